#!/bin/bash
# The main job for real, in a minute: packets -> sensor -> collector -> Redis.
#
#   demo.sh BUILD [--recorded | --record FILE]
#
# As root: two network namespaces joined by a veth pair, real servers in one, real
# clients in the other, the sensor on the wire between them. Otherwise the capture
# that was recorded from the same programs is read. Everything lives in a
# temporary folder and in processes of its own, and is gone afterwards; no Redis
# that runs already is touched.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "${1:?usage: demo.sh BUILD [--recorded | --record FILE]}" && pwd)
mode=${2:-auto}
record=${3:-}

dir=$(mktemp -d "${TMPDIR:-/tmp}/picket-demo.XXXXXX")
redis="unix:$dir/redis.sock"
office=picket-office-$$ internet=picket-internet-$$
pids=()
started=$(date +%s)

say() { printf '\n\033[1m%s\033[0m\n' "$*" | if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then cat; else sed 's/\x1b\[[0-9;]*m//g'; fi; }
note() { printf '   %s\n' "$*"; }

cleanup() {
	for p in "${pids[@]}"; do kill "$p" 2>/dev/null || true; done
	for ns in "$office" "$internet"; do
		[ -e "/run/netns/$ns" ] || continue
		ip netns pids "$ns" | xargs -r kill 2>/dev/null || true
		ip netns del "$ns" 2>/dev/null || true
	done
	wait 2>/dev/null || true
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

fail() {
	echo "demo: $*" >&2
	for log in "$dir"/*.log; do
		[ -s "$log" ] && { echo "--- ${log##*/}" >&2; tail -n 15 "$log" >&2; }
	done
	exit 1
}

# wait_for SECONDS WHAT COMMAND...: until it succeeds.
wait_for() {
	local until=$(($(date +%s) + $1)) what=$2
	shift 2
	until "$@" >/dev/null 2>&1; do
		[ "$(date +%s)" -lt "$until" ] || fail "$what did not come up"
		sleep 0.1
	done
}

in_office() { ip netns exec "$office" "$@"; }
in_internet() { ip netns exec "$internet" "$@"; }
where=() # the command prefix of sensor and collector: the namespace, when there is one

# start LOG COMMAND...: in the background, as a process that kill reaches.
start() {
	local log=$1
	shift
	"$@" >"$dir/$log.log" 2>&1 </dev/null &
	pids+=($!)
}

network_up() {
	ip netns add "$office" && ip netns add "$internet" || return 1
	ip link add tap0 netns "$internet" type veth peer name eth0 netns "$office" || return 1
	in_office ip addr add 192.0.2.10/24 dev eth0
	in_office ip link set eth0 up
	in_office ip link set lo up
	in_internet ip addr add 192.0.2.1/24 dev tap0
	in_internet ip addr add 198.51.100.53/32 dev tap0
	in_internet ip addr add 203.0.113.9/32 dev tap0
	in_internet ip addr add 203.0.113.66/32 dev tap0
	in_internet ip link set tap0 up
	in_internet ip link set lo up
	in_office ip route add default via 192.0.2.1
}

live_possible() {
	[ "$mode" = auto ] || [ "$mode" = --record ] || return 1
	[ "$(id -u)" -eq 0 ] && network_up 2>"$dir/network.log"
}

servers_up() {
	mkdir "$dir/www"
	echo 'hello from the demo' >"$dir/www/index.html"
	printf 'this is the demo payload\n' >"$dir/www/payload.bin"
	start dns ip netns exec "$internet" dnsmasq --keep-in-foreground --no-resolv --no-hosts --conf-file=/dev/null --user=root --pid-file= \
		--listen-address=198.51.100.53 --bind-interfaces \
		--address=/example/203.0.113.9 --address=/example.org/203.0.113.9
	start http ip netns exec "$internet" busybox httpd -f -p 203.0.113.9:80 -h "$dir/www"
	start http2 ip netns exec "$internet" busybox httpd -f -p 203.0.113.66:80 -h "$dir/www"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj '/O=Demo Phishing/CN=login.bank.example' \
		-keyout "$dir/www.key" -out "$dir/www.crt" 2>/dev/null
	# TLS 1.2, so that the certificate passes in clear, as on many a phishing host.
	start https env -C "$dir/www" ip netns exec "$internet" openssl s_server -quiet -no_tls1_3 -WWW \
		-accept 203.0.113.9:443 -cert "$dir/www.crt" -key "$dir/www.key"
	cert=$(openssl x509 -in "$dir/www.crt" -outform DER | sha256sum | cut -c1-64)
	wait_for 10 "the web server" in_office curl -s -m 1 -o /dev/null http://203.0.113.9/
	wait_for 10 "the TLS server" in_office curl -sk -m 1 -o /dev/null https://203.0.113.9/index.html
	wait_for 10 "the DNS server" in_office dig +time=1 +tries=1 @198.51.100.53 ready.example.org
}

traffic() {
	local lookup="in_office dig +short +time=2 +tries=1 @198.51.100.53"
	local get="in_office curl -sk -m 5 -o /dev/null"
	$lookup www.example.org A >/dev/null
	for _ in 1 2 3; do $lookup c2.malware.example A >/dev/null; done
	$lookup status.malware.example A >/dev/null
	$get --resolve www.example.org:80:203.0.113.9 http://www.example.org/
	$get --resolve files.malware.example:80:203.0.113.9 http://files.malware.example/payload.bin
	$get -A DemoBot/1.0 --resolve www.example.org:80:203.0.113.9 http://www.example.org/index.html
	$get --resolve login.bank.example:443:203.0.113.9 https://login.bank.example/index.html
	$get http://203.0.113.66/
}

# ---- 1: what is there before any sensor: Redis, collector, certificates ----
say "1. A private Redis, a test CA, a collector"
start redis redis-server --port 0 --unixsocket "$dir/redis.sock" --save '' --appendonly no --dir "$dir"
wait_for 10 Redis redis-cli -s "$dir/redis.sock" ping
"$here/../make-test-ca.sh" "$dir/ca" demo 60 >"$dir/ca.log" 2>&1 || fail "cannot make the test CA"
note "redis-server on $dir/redis.sock"

live=
if live_possible; then
	live=1
	where=(ip netns exec "$internet")
elif [ "$mode" = --record ]; then
	fail "recording needs root and network namespaces"
fi

port=8460
if [ -z "$live" ]; then port=$("$here/../free-port.sh"); fi
cat >"$dir/collector.yaml" <<YAML
listen: {address: "127.0.0.1:$port"}
tls: {cert: $dir/ca/collector-1.crt, key: $dir/ca/collector-1.key, ca: $dir/ca/sensor-ca.crt, crl: $dir/ca/sensor-ca.crl}
redis: {address: "$redis"}
YAML
start collector "${where[@]}" "$build/picket-collector" -c "$dir/collector.yaml"
wait_for 10 "the collector" grep -q listening "$dir/collector.log"
note "picket-collector on 127.0.0.1:$port: TLS 1.3, both sides show a certificate"

# ---- 2: the sensor ----
cp "$here/rules.yaml" "$dir/rules.yaml"
if [ -n "$live" ]; then
	servers_up
else
	cert=$(cat "$here/recorded-cert.sha256")
fi
cat >"$dir/certificate.csv" <<CSV
type,value,id,severity
cert_sha256,$cert,DEMO-CERT,high
CSV
cat >"$dir/sensor.yaml" <<YAML
sensor: {id: sensor-1, site: demo}
home: {networks: [192.0.2.0/24]}
rules: {files: [$dir/rules.yaml, $dir/certificate.csv]}
spool: {dir: $dir/spool}
collector: {address: "127.0.0.1:$port"}
tls: {cert: $dir/ca/sensor-1.crt, key: $dir/ca/sensor-1.key, ca: $dir/ca/collector-ca.crt, crl: $dir/ca/collector-ca.crl}
YAML
if [ -n "$live" ]; then
	say "2. A sensor on a live wire, and real programs that talk across it"
	if [ -n "$record" ]; then
		start tcpdump ip netns exec "$internet" tcpdump -q -i tap0 -w "$record"
		tcpdump=$!
		printf '%s\n' "$cert" >"$here/recorded-cert.sha256"
		sleep 1
	fi
	start sensor "${where[@]}" "$build/picket-sensor" -c "$dir/sensor.yaml" -i tap0 -o "$dir/alerts.jsonl"
	sensor=$!
	wait_for 10 "the sensor" grep -q 'captures on' "$dir/sensor.log"
	sleep 0.5
	traffic
	note "dig: 5 lookups; curl: 4 requests over HTTP, 1 over HTTPS"
	sleep 1.5
	kill "$sensor" && wait "$sensor" || fail "the sensor did not leave cleanly"
	if [ -n "$record" ]; then kill "$tcpdump"; wait "$tcpdump" || true; fi
else
	say "2. A sensor over the recorded capture"
	if [ "$(id -u)" -ne 0 ]; then
		note "(as root, the demo captures live)"
	elif [ -s "$dir/network.log" ]; then
		note "(no live capture: this machine does not let us make network namespaces: $(head -n 1 "$dir/network.log"))"
	fi
	"$build/picket-sensor" -c "$dir/sensor.yaml" -r "$here/recorded.pcap" -o "$dir/alerts.jsonl" 2>"$dir/sensor.log" ||
		fail "the sensor failed"
fi
sed 's/^/   /' "$dir/sensor.log" | cut -c1-150 | grep -v '^ *$' | head -n 12
note "$(wc -l <"$dir/alerts.jsonl") alerts as JSON lines from the sensor itself (-o)"

# ---- 3: what a SOC sees ----
say "3. The alerts, folded, out of Redis: picket alerts"
"$build/picket" alerts list --redis "$redis" || fail "picket alerts failed"
say "4. The packet ledger of the sensor: every packet is accounted for (picket sensors show sensor-1)"
"$build/picket" sensors show sensor-1 --redis "$redis" >"$dir/sensor.txt" || fail "picket sensors failed"
grep -Ev " 0$" "$dir/sensor.txt" | sed "s/^/   /"
say "5. The same with plain redis-cli"
note "redis-cli ZREVRANGE picket:{p0}:open 0 -1 WITHSCORES | head -4"
redis-cli -s "$dir/redis.sock" ZREVRANGE 'picket:{p0}:open' 0 -1 WITHSCORES | head -n 4 | sed 's/^/   /'
groups=$(redis-cli -s "$dir/redis.sock" ZCARD 'picket:{p0}:open')
[ "$groups" -ge 6 ] || fail "only $groups groups of alerts stand in Redis, 6 or more were expected"

say "Done in $(($(date +%s) - started)) s: $groups groups of alerts in Redis."
cat <<'TEXT'
Where to look next:
   picket scan --rules deploy/demo/rules.yaml deploy/demo/recorded.pcap     one command, no server
   README.md                 deploy a sensor, read Redis from a dashboard, tour of the source
   collector/redis-schema.md every Redis key
   rules/README.md           what each indicator type matches
TEXT
