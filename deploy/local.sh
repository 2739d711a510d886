#!/bin/sh
# An example that runs: three collectors in front of a Redis that can lose a machine,
# all on loopback in a private folder, until Ctrl-C.
#
#   deploy/local.sh sentinel|cluster [--tls] [BUILD [DIR]]
#
# sentinel: a master, two replicas, three sentinels. cluster: three masters, each with
# a replica. --tls: TLS with certificates on every connection to Redis. It prints what
# a sensor and `picket alerts` must be told, and writes it down in DIR/sensor.yaml and
# DIR/collector-1.yaml: the files are what a deployment on several machines needs, with
# other addresses.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
near() { if [ -e "$here/$1" ]; then echo "$here/$1"; else echo "$here/${1##*/}"; fi; } # installed, all lies in one folder
mode=${1:-}
case $mode in sentinel | cluster) ;; *)
	sed -n '2,13p' "$0" | sed 's/^# \{0,1\}//' >&2
	exit 2
	;;
esac
shift
tls=
[ "${1:-}" != --tls ] || {
	tls=1
	shift
}
build=$(cd "${1:-$here/../build}" && pwd)
keep=${2:-}
dir=${2:-$(mktemp -d)}
for tool in redis-server redis-cli openssl; do
	command -v $tool >/dev/null 2>&1 || {
		echo "local.sh: no $tool (apt install redis-server redis-tools openssl)" >&2
		exit 4
	}
done
base=$("$here/free-port.sh" 20)
pids=
leave() {
	for p in $pids; do kill "$p" 2>/dev/null || true; done
	wait 2>/dev/null || true
	[ -n "$keep" ] || rm -rf "$dir"
}
trap leave EXIT
trap 'exit 0' INT TERM
fail() {
	echo "local.sh: $*" >&2
	tail -n 5 "$dir"/*.log >&2
	exit 4
}
wait_until() { # wait_until SECONDS COMMAND…
	left=$(($1 * 10))
	shift
	until "$@" >/dev/null 2>&1; do
		left=$((left - 1))
		[ "$left" -gt 0 ] || fail "waited in vain for: $*"
		sleep 0.1
	done
}
mkdir -p "$dir"
"$here/make-test-ca.sh" "$dir/pki" example 90 collector collector-1 collector-2 collector-3
"$here/make-test-ca.sh" "$dir/pki" example 90 sensor sensor-1

# ---- Redis ----

pki=$dir/pki
if [ -n "$tls" ]; then
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 90 -subj "/CN=redis CA" \
		-keyout "$pki/redis-ca.key" -out "$pki/redis-ca.crt" 2>/dev/null
	for name in redis redis-client; do
		openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$name" \
			-keyout "$pki/$name.key" -out "$pki/$name.csr" 2>/dev/null
		echo "subjectAltName = DNS:localhost,IP:127.0.0.1" >"$pki/$name.ext"
		openssl x509 -req -in "$pki/$name.csr" -CA "$pki/redis-ca.crt" -CAkey "$pki/redis-ca.key" -days 90 \
			-extfile "$pki/$name.ext" -out "$pki/$name.crt" 2>/dev/null
	done
fi
cli() { # cli PORT COMMAND…
	port=$1
	shift
	# shellcheck disable=SC2086
	redis-cli -p "$port" ${tls:+--tls --cacert "$pki/redis-ca.crt" --cert "$pki/redis-client.crt" --key "$pki/redis-client.key"} "$@"
}
# Options as lines of redis.conf, for the server and for sentinels.
listen_on() { # listen_on PORT
	echo "bind 127.0.0.1"
	[ -n "$tls" ] || {
		echo "port $1"
		return
	}
	printf 'port 0\ntls-port %s\ntls-cert-file %s\ntls-key-file %s\ntls-ca-cert-file %s\ntls-replication yes\n' \
		"$1" "$pki/redis.crt" "$pki/redis.key" "$pki/redis-ca.crt"
}
start_redis() { # start_redis N LINES…
	i=$1
	shift
	mkdir -p "$dir/redis-$i"
	{
		listen_on $((base + i))
		cat "$(near redis/redis.conf)"
		echo "dir $dir/redis-$i"
		echo "logfile $dir/redis-$i.log"
		echo 'save ""'
		printf '%s\n' "$@"
	} >"$dir/redis-$i.conf"
	redis-server "$dir/redis-$i.conf" &
	pids="$pids $!"
	wait_until 10 cli $((base + i)) ping
}

nodes=
if [ "$mode" = sentinel ]; then
	start_redis 1
	start_redis 2 "replicaof 127.0.0.1 $((base + 1))"
	start_redis 3 "replicaof 127.0.0.1 $((base + 1))"
	for i in 4 5 6; do
		{
			listen_on $((base + i))
			printf 'dir %s\nlogfile %s\nsentinel monitor picket 127.0.0.1 %s 2\n' "$dir" "$dir/sentinel-$i.log" $((base + 1))
			printf 'sentinel down-after-milliseconds picket 1000\nsentinel failover-timeout picket 5000\n'
		} >"$dir/sentinel-$i.conf"
		redis-server "$dir/sentinel-$i.conf" --sentinel &
		pids="$pids $!"
		nodes="$nodes${nodes:+, }\"127.0.0.1:$((base + i))\""
	done
	known() { cli $((base + 4)) sentinel master picket | tr '\n' ' ' | grep -q 'num-slaves 2 .*num-other-sentinels 2 '; }
	wait_until 30 known
else
	addresses=
	for i in 1 2 3 4 5 6; do
		start_redis $i "cluster-enabled yes" "cluster-port $((base + i + 10))" "cluster-node-timeout 2000" ${tls:+"tls-cluster yes"}
		addresses="$addresses 127.0.0.1:$((base + i))"
		[ $i -gt 3 ] || nodes="$nodes${nodes:+, }\"127.0.0.1:$((base + i))\""
	done
	# shellcheck disable=SC2086
	cli $((base + 1)) --cluster create $addresses --cluster-replicas 1 --cluster-yes >"$dir/create.log" 2>&1 ||
		fail "the cluster does not form"
	formed() { for i in 1 2 3; do cli $((base + i)) cluster info | grep -q 'cluster_state:ok' || return 1; done; }
	wait_until 30 formed
fi

# ---- three collectors, and what a sensor needs ----

collectors=
for n in 1 2 3; do
	port=$((base + 6 + n))
	cat >"$dir/collector-$n.yaml" <<-YAML
		collector: {name: collector-$n}
		listen: {address: "127.0.0.1:$port"}
		tls: {cert: $pki/collector-$n.crt, key: $pki/collector-$n.key, ca: $pki/sensor-ca.crt, crl: $pki/sensor-ca.crl}
		redis:
		  mode: $mode
		  nodes: [$nodes]
		  timeout: 1s
	YAML
	[ -z "$tls" ] || cat >>"$dir/collector-$n.yaml" <<-YAML
		  tls: true
		  tls_ca: $pki/redis-ca.crt
		  tls_cert: $pki/redis-client.crt
		  tls_key: $pki/redis-client.key
	YAML
	"$build/picket-collector" -c "$dir/collector-$n.yaml" >"$dir/collector-$n.log" 2>&1 &
	pids="$pids $!"
	collectors="$collectors${collectors:+, }\"127.0.0.1:$port\""
	wait_until 15 grep -q ': ready' "$dir/collector-$n.log"
done
cat >"$dir/sensor.yaml" <<-YAML
	sensor: {id: sensor-1}
	spool: {dir: $dir/spool}
	collector: {address: [$collectors]}
	tls: {cert: $pki/sensor-1.crt, key: $pki/sensor-1.key, ca: $pki/collector-ca.crt, crl: $pki/collector-ca.crl}
YAML

cat <<-TEXT
	Running: $mode${tls:+ with TLS}, three collectors. In another terminal:
	  $build/picket-sensor -c $dir/sensor.yaml -R $(near demo/rules.yaml) -r $(near demo/recorded.pcap)
	  $build/picket alerts --config $dir/collector-1.yaml
	  $build/picket status --config $dir/collector-1.yaml
	Then kill the redis-server on port $((base + 1)), or a picket-collector, and read another capture. Ctrl-C ends it all.
TEXT
touch "$dir/ready"
while :; do sleep 1; done
