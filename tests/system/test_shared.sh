#!/bin/sh
# What goes beyond alerts on a Redis that can lose a machine, as deploy/local.sh starts
# it (three collectors, TLS to Redis): rules published from the command line, an
# exercise, a gateway with a partner, sightings both ways; while a slot moves, or the
# master is killed.
#
#   test_shared.sh BUILD [cluster|sentinel]     both when none is named
set -eu
cd "$(dirname "$0")/../.."
build=$(cd "${1:-build}" && pwd)
# shellcheck source=tests/system/partners.sh
. tests/system/partners.sh
for tool in redis-server redis-cli openssl python3; do
	command -v $tool >/dev/null 2>&1 || {
		echo "SKIP test_shared: no $tool" >&2
		exit 0
	}
done
if [ -z "${2:-}" ]; then
	"$0" "$1" cluster
	exec "$0" "$1" sentinel
fi
mode=$2
dir=$(mktemp -d /tmp/picket-test-shared.XXXXXX)
pids=
leave() {
	for pid in $pids; do kill "$pid" 2>/dev/null || true; done
	for org in alpha bravo; do [ ! -e "$dir/$org/gateway.pid" ] || gateway_stop "$org"; done
	[ ! -e "$dir/bravo/redis.pid" ] || kill "$(cat "$dir/bravo/redis.pid")" 2>/dev/null || true
	for pid in $pids; do wait "$pid" 2>/dev/null || true; done
	rm -rf "$dir"
}
trap leave EXIT
trap 'exit 1' INT TERM
fail() {
	echo "test_shared, $mode: $*" >&2
	tail -n 8 "$dir"/*/gateway.log "$dir"/*/sensor.log "$dir"/*/collector-1.log "$dir/out" >&2
	exit 1
}

# ---- alpha on several machines, bravo on one ----
mkdir -p "$dir/alpha/partners" "$dir/bravo/partners" "$dir/tls"
deploy/local.sh "$mode" --tls "$build" "$dir/local" >"$dir/alpha/local.log" 2>&1 &
local=$!
pids="$pids $local"
for org in alpha bravo; do deploy/make-test-ca.sh "$dir/tls" "$org" 90 partner "gw-$org" >/dev/null; done
"$build/picket" rules keygen "$dir/key.pem" --scope '*' >"$dir/entry" 2>/dev/null
{ echo keys: && cat "$dir/entry"; } >"$dir/keys.yaml"
partners_dir=$dir partners_build=$build
port=$(deploy/free-port.sh)
redis-server --port 0 --unixsocket "$dir/bravo/redis.sock" --save "" --dir "$dir/bravo" --logfile "$dir/bravo/redis.log" \
	--pidfile "$dir/bravo/redis.pid" --daemonize yes >/dev/null
links() { echo "links: {cert: $dir/tls/gw-$1.crt, key: $dir/tls/gw-$1.key, ca: $dir/tls/partner-ca.crt$2}"; }
policy='release: {tlp_max: amber, groups: [coalition], profile: picket}
inbound: {mode: auto, rate: 1000000, burst: 1000000}'
partner_policy alpha bravo ", address: \"127.0.0.1:$port\"" "$policy"
partner_policy bravo alpha "" "$policy"
{
	printf 'gateway: {org: bravo}\npartners: {dir: %s}\n' "$dir/bravo/partners"
	links bravo ", address: \"127.0.0.1:$port\""
	echo "redis: {address: \"unix:$dir/bravo/redis.sock\"}"
} >"$dir/bravo/gateway.yaml"
gateway_start bravo
wait_for 60 test -e "$dir/local/ready" || fail "deploy/local.sh does not come up"
conf=$dir/local/collector-1.yaml
{
	printf 'gateway: {org: alpha}\npartners: {dir: %s}\nsets: {key: %s}\n' "$dir/alpha/partners" "$dir/key.pem"
	links alpha ""
	sed -n '/^redis:/,$p' "$conf"
} >"$dir/alpha/gateway.yaml"
gateway_start alpha
wait_for 20 grep -q 'link with bravo is up' "$dir/alpha/gateway.log" || fail "no link"
here() { "$build/picket" "$@" --config "$conf"; } # at alpha

# ---- rules from the command line ----
rules() { # ID VERSION DOMAIN…
	echo "set: {id: $1, version: $2, producer: alpha, tlp: green, releasable_to: [coalition], valid_until: 2099-01-01T00:00:00Z}"
	shift 2
	echo "domain:"
	for d in "$@"; do echo "  - $d"; done
}
says() { # TEXT COMMAND…
	text=$1
	shift
	"$@" >"$dir/out" 2>&1 || fail "$*"
	grep -qF -- "$text" "$dir/out" || fail "$*: no \"$text\""
}
rules own 1 own.shared.example >"$dir/own1.yaml"
rules own 2 own.shared.example second.shared.example >"$dir/own2.yaml"
says own here rules push "$dir/own1.yaml" --key "$dir/key.pem"
here rules push "$dir/own1.yaml" --key "$dir/key.pem" >"$dir/out" 2>&1 && fail "the same version is taken twice"
grep -q 'not newer than 1' "$dir/out" || fail "why the same version is not taken"
says own here rules push "$dir/own2.yaml" --key "$dir/key.pem" --ring canary
says own here rules promote own
says own here rules rollback own --key "$dir/key.pem"
says own here rules status
here allow add domain good.shared.example --reason test --permanent --key "$dir/key.pem" >"$dir/out" 2>&1 || fail "allow"
says good.shared.example here allow list

# ---- a sensor takes them, an alert, a sighting ----
udp=$((20000 + $$ % 20000))
sed "s|^sensor:.*|sensor: {id: sensor-1}|" "$dir/local/sensor.yaml" >"$dir/sensor.yaml"
"$build/picket-sensor" -c "$dir/sensor.yaml" -i lo --set dpi.mode=off --set rules.keys="$dir/keys.yaml" --set rules.dir="$dir/alpha/sets" \
	"udp port $udp" >"$dir/alpha/sensor.log" 2>&1 &
pids="$pids $!"
captures=1
wait_for 20 grep -q 'captures on lo' "$dir/alpha/sensor.log" || captures=
lookup() {
	python3 - "$1" "$udp" <<-'PY'
		import socket, sys
		q = b"".join(bytes([len(p)]) + p.encode() for p in sys.argv[1].split(".")) + b"\0"
		m = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + q + b"\x00\x01\x00\x01"
		socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(m, ("127.0.0.1", int(sys.argv[2])))
	PY
}
# shellcheck disable=SC2317 # called by wait_for
armed() { here rules status "$1" | grep -q 'sensor-1  *armed'; }
# shellcheck disable=SC2317
alerted() { here alerts list --json ${2:-} | grep -q "$1"; }
# shellcheck disable=SC2317
sighted() { on bravo sighting list 2>/dev/null | grep -q '^in '; }
sed 's/id: own1*/id: theirs/; s/producer: alpha/producer: bravo/; s/own\.shared/theirs.shared/' "$dir/own1.yaml" >"$dir/theirs.yaml"
on bravo partner publish "$dir/theirs.yaml" >"$dir/out" 2>&1 || fail "publish at bravo"
if [ -n "$captures" ]; then
	wait_for 20 armed own || fail "the sensor has not what was pushed"
	wait_for 20 armed partner-bravo || fail "the sensor has not what bravo gave"
	lookup own.shared.example
	lookup theirs.shared.example
	wait_for 20 alerted '"value":"own.shared.example"' || fail "no alert of our own set"
	wait_for 20 alerted '"value":"theirs.shared.example"' || fail "no alert of bravo's set"
	wait_for 30 sighted || fail "no sighting at bravo"
	here exercise start drill --title test >/dev/null || fail "exercise start"
	rules drill 1 drill.shared.example >"$dir/drill.yaml"
	says drill here exercise inject drill "$dir/drill.yaml" --key "$dir/key.pem" --wait
	lookup drill.shared.example
	wait_for 20 alerted '"value":"drill.shared.example"' --exercise || fail "no alert of the exercise"
	says '1 hits in 1 groups' here exercise report drill
	here exercise stop drill --key "$dir/key.pem" >/dev/null || fail "exercise stop"
	says 1 here exercise forget drill
fi

# ---- alpha publishes while its Redis changes ----
n=1500
{
	echo 'set: {id: many, version: 1, producer: alpha, tlp: green, releasable_to: [coalition], valid_until: 2099-01-01T00:00:00Z}'
	echo 'domain:'
	seq -f '  - h%g.many.example' $n
} >"$dir/many.yaml"
tls="--tls --cacert $dir/local/pki/redis-ca.crt --cert $dir/local/pki/redis-client.crt --key $dir/local/pki/redis-client.key"
base=$(sed -n 's/.*nodes: \["127.0.0.1:\([0-9]*\)".*/\1/p' "$conf")
# shellcheck disable=SC2086
node() { node_port=$1 && shift && redis-cli -p "$node_port" $tls "$@" 2>/dev/null | tr -d '\r'; }
move_x() { # the slot of {x} from one master of the cluster to the next
	slot=$(node "$base" cluster keyslot '{x}')
	from=$(node "$base" cluster slots | awk -v s="$slot" '$1 == "127.0.0.1" && s >= first && s <= last && !port { getline; port = $1 }
		{ first = last; last = $1 } END { print port }')
	to=$base
	[ "$from" != "$base" ] || to=$((base + 1))
	[ "$(node "$to" role | head -n 1)" = master ] || to=$((base + 2))
	node "$to" cluster setslot "$slot" importing "$(node "$from" cluster myid)" >/dev/null
	node "$from" cluster setslot "$slot" migrating "$(node "$to" cluster myid)" >/dev/null
	while keys=$(node "$from" cluster getkeysinslot "$slot" 10) && [ -n "$keys" ]; do
		# shellcheck disable=SC2086
		node "$from" migrate 127.0.0.1 "$to" "" 0 5000 replace keys $keys >/dev/null
	done
	for p in $to $from $base $((base + 1)) $((base + 2)); do node "$p" cluster setslot "$slot" node "$(node "$to" cluster myid)" >/dev/null; done
}
kill_master() { # what the sentinels call the master
	from=$(node "$base" sentinel get-master-addr-by-name picket | tail -n 1)
	kill -9 "$(node "$from" info server | sed -n 's/process_id://p')"
}
here partner publish "$dir/many.yaml" >"$dir/out" 2>&1 &
publishing=$!
if [ "$mode" = cluster ]; then move_x; else kill_master; fi
wait $publishing || true # what could not be done is said; once more does no harm
tries=0
until here partner publish "$dir/many.yaml" >"$dir/out" 2>&1; do
	tries=$((tries + 1))
	[ $tries -lt 30 ] || fail "publishing does not work again"
	sleep 0.5
done
has_all() { [ "$(cli bravo zcard 'picket:{x}:partner-alpha:last')" -ge $n ]; }
wait_for 40 has_all || fail "bravo has $(cli bravo zcard 'picket:{x}:partner-alpha:last') of $n objects"
if [ "$mode" = cluster ]; then
	# While the cluster still settles a command may say that it is down; a chain that is broken stays so.
	wait_for 10 here partner audit --verify ||
		fail "the audit stream: $(here partner audit --verify 2>&1 | tail -n 3)"
fi
says own here rules push "$dir/own2.yaml" --key "$dir/key.pem" --bump
if [ -n "$captures" ]; then
	wait_for 20 armed own || fail "the sensor has not what was pushed afterwards"
	lookup second.shared.example
	wait_for 20 alerted '"value":"second.shared.example"' || fail "no alert afterwards"
fi
grep -l 'Sanitizer\|runtime error' "$dir"/*/*.log && fail "a sanitizer has something to say"
echo "test_shared: $mode, TLS: rules, exercise, partner, sightings${captures:+, sensor}; bravo has $n of $n after the $([ "$mode" = cluster ] && echo "slot's move" || echo "master's death")"
