#!/bin/sh
# How long from the command that publishes a set until sensors match with it, over
# mutual TLS, against a real collector and a Redis of its own:
#
#   tests/bench/bench_sets.sh BUILD [SENSORS [ROUNDS [BULK]]]     (default 50, 20, 100000)
#
#   flash     a small set to all sensors: from the start of picket rules push to a hit in what the sensor
#             is armed with, per sensor and round (goal p95 < 1 s)
#   meanwhile the same while a set of BULK indicators is on its way to all of them (goal p95 < 1 s)
#   withdraw  until the last sensor has dropped it (goal < 5 s)
# Exits 1 when a goal is missed or a sensor missed a version.
set -eu
build=${1:?usage: bench_sets.sh BUILD [SENSORS [ROUNDS [BULK]]]}
sensors=${2:-50}
rounds=${3:-20}
bulk=${4:-100000}
root=$(cd "$(dirname "$0")/../.." && pwd)
build=$(cd "$build" && pwd)
# All sensors of this run would share one disk, and wait for each other's fsync: in memory they do not.
[ ! -w /dev/shm ] || TMPDIR=/dev/shm
export TMPDIR="${TMPDIR:-/tmp}"
dir=$(mktemp -d)
pids=
# shellcheck source=tests/system/redis.sh
. "$root/tests/system/redis.sh"
leave() {
	for p in $pids; do kill "$p" 2>/dev/null || true; done
	stop_redis || true
	wait 2>/dev/null || true
	rm -rf "$dir"
}
trap leave EXIT

"$root/deploy/make-test-ca.sh" "$dir/pki" bench 365 >/dev/null
i=1
while [ "$i" -le "$sensors" ]; do
	"$root/deploy/make-test-ca.sh" "$dir/pki" bench 365 sensor "s-$i" >/dev/null
	i=$((i + 1))
done
start_redis "$dir"
PICKET_REDIS=unix:$REDIS_SOCKET
export PICKET_REDIS
picket=$build/picket
port=$("$root/deploy/free-port.sh")
"$build/picket-collector" -q --set listen.address="127.0.0.1:$port" --set redis.address="$PICKET_REDIS" \
	--set limits.per_address=10000 --set tls.cert="$dir/pki/collector-1.crt" --set tls.key="$dir/pki/collector-1.key" \
	--set tls.ca="$dir/pki/sensor-ca.crt" &
pids=$!
{ echo keys: && "$picket" rules keygen "$dir/k.pem"; } >"$dir/keys.yaml"
mkfifo "$dir/in"
"$build/tests/bench/bench_sets" "127.0.0.1:$port" "$sensors" "$dir/pki" "$dir/pki/collector-ca.crt" "$dir/keys.yaml" \
	<"$dir/in" >"$dir/events" &
pids="$pids $!"
exec 3>"$dir/in"

connected() {
	n=0
	for s in $(redis_cli ZRANGE picket:sensors 0 -1); do
		[ "$(redis_cli HGET "picket:sensor:$s" takes_sets)" = true ] && n=$((n + 1))
	done
	[ "$n" -ge "$sensors" ]
}
tries=0
until connected; do
	tries=$((tries + 1))
	[ "$tries" -lt 300 ] || { echo "bench_sets: the sensors do not connect" >&2 && exit 1; }
	sleep 0.2
done

us() { date +%s%6N; }
push() { # push VERSION
	printf 'set: {id: hot, version: %s}\ndomain: [probe-%s.hot.example, always.example]\n' "$1" "$1" >"$dir/hot.yaml"
	printf '%s %s\n' "$1" "$(us)" >>"$dir/published"
	"$picket" rules push "$dir/hot.yaml" --key "$dir/k.pem" --priority flash >/dev/null
}
arrived() { [ "$(grep -c "^armed hot $1 " "$dir/events")" -ge "$sensors" ]; }
wait_for() { # wait_for VERSION: at most 10 s
	tries=0
	until arrived "$1" || [ "$tries" -ge 200 ]; do
		sleep 0.05
		tries=$((tries + 1))
	done
}

judge() { # judge NAME FROM TO: milliseconds of these versions
	awk -v from="$2" -v to="$3" 'NR == FNR { t[$1] = $2; next }
		$1 == "armed" && $2 == "hot" && $3 >= from && $3 <= to { print int(($5 - t[$3]) / 1000) }' \
		"$dir/published" "$dir/events" | sort -n >"$dir/ms"
	want=$(($3 - $2 + 1))
	want=$((want * sensors))
	awk -v name="$1" -v want="$want" '{ v[NR] = $1 }
		END { p = v[int((NR * 95 + 99) / 100)]
		printf "%-10s %d of %d, median %d ms, p95 %d ms, worst %d ms (goal p95 1000)\n", name, NR, want, v[int((NR + 1) / 2)], p, v[NR]
		exit NR != want || p >= 1000 }' "$dir/ms"
}

bad=0
v=1
while [ "$v" -le "$rounds" ]; do
	push $v
	wait_for $v
	v=$((v + 1))
done
judge flash 1 "$rounds" || bad=1

awk -v n="$bulk" 'BEGIN { print "set: {id: bulk, version: 1}\ndomain:"; for (i = 0; i < n; i++) printf "  - n%d.%x.bulk.example\n", i, i * 2654435761 % 4294967296 }' >"$dir/bulk.yaml"
"$picket" rules push "$dir/bulk.yaml" --key "$dir/k.pem" >/dev/null
began=$(us)
first=$v
while [ "$v" -lt "$((first + rounds))" ]; do
	push $v
	wait_for $v
	[ "$(grep -c '^kept bulk' "$dir/events")" -lt "$sensors" ] && last=$v
	v=$((v + 1))
	[ "$(grep -c '^kept bulk' "$dir/events")" -lt "$sensors" ] || break
done
tries=0
until [ "$(grep -c '^kept bulk' "$dir/events")" -ge "$sensors" ] || [ "$tries" -ge 1200 ]; do
	sleep 0.1
	tries=$((tries + 1))
done
judge meanwhile "$first" "${last:-$((v - 1))}" || bad=1
end=$(awk '$1 == "kept" && $5 > m { m = $5 } END { printf "%.0f", m }' "$dir/events")
printf 'bulk       %s indicators to %s of %s sensors in %s ms\n' "$bulk" "$(grep -c '^kept bulk' "$dir/events")" "$sensors" $(((end - began) / 1000))
[ "$(grep -c '^kept bulk' "$dir/events")" -ge "$sensors" ] || bad=1

at=$(us)
"$picket" rules withdraw hot --key "$dir/k.pem" --wait >"$dir/out" || bad=1
printf 'withdraw   %s, %s ms with the command (goal 5000)\n' "$(tail -n 1 "$dir/out")" $((($(us) - at) / 1000))
exec 3>&-
exit $bad
