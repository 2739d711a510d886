#!/bin/sh
# How long from `picket partner publish --priority flash` at one organisation until the
# sensors of another match with it, over a link with mutual TLS, real gateways,
# collector and Redis, while a sync of many objects runs on the same link:
#
#   tests/bench/bench_partners.sh BUILD [OBJECTS [SENSORS]]     (default 1000000, 50)
#
#   quiet     10 flash objects one after the other on an idle link, per sensor and object (goal p95 < 1 s, worst < 2 s)
#   sync      the same as long as OBJECTS go over the link, are judged, kept, and made into the bulk set
#   objects   how many of them went in which time
# Two of the sensors take the bulk set, too; the others trust the key for flash alone, because
# each would be a machine of its own and here all share one. The objects are published before, with the link
# paused. BENCH_AUTOGROUP=-15 gives what runs here more of the processors than other work on the machine
# (Linux, sched_autogroup). Exits 1 when a goal is missed or a sensor missed a version.
set -eu
build=$(cd "${1:?usage: bench_partners.sh BUILD [OBJECTS [SENSORS]]}" && pwd)
objects=${2:-1000000}
sensors=${3:-50}
cd "$(dirname "$0")/../.."
[ ! -w /dev/shm ] || TMPDIR=/dev/shm
export TMPDIR="${TMPDIR:-/tmp}"
. tests/system/partners.sh
dir=$(mktemp -d)
pids=
leave() {
	for p in $pids; do kill "$p" 2>/dev/null || true; done
	partners_stop || true
	wait 2>/dev/null || true
	rm -rf "$dir"
}
trap leave EXIT
trap 'exit 1' INT TERM

deploy/make-test-ca.sh "$dir/pki" bench 365 >/dev/null
i=1
while [ "$i" -le "$sensors" ]; do
	deploy/make-test-ca.sh "$dir/pki" bench 365 sensor "s-$i" >/dev/null
	i=$((i + 1))
done
"$build/picket" rules keygen "$dir/bravo.pem" --scope 'partner-*' >"$dir/entry"
{ echo keys: && cat "$dir/entry"; } >"$dir/all.yaml"
sed 's/partner-\*/partner-alpha.flash/' "$dir/all.yaml" >"$dir/flash.yaml"
partners_start "$dir" "$build" 'link: {rate: 10000000}
release: {tlp_max: amber, groups: [coalition], profile: picket}' \
	'release: {tlp_max: amber, groups: [coalition], profile: picket}
inbound: {mode: auto, rate: 10000000, burst: 10000000, quota: 10000000}' 2>/dev/null || true
prefer() { [ -z "${BENCH_AUTOGROUP:-}" ] || echo "$BENCH_AUTOGROUP" >"/proc/$1/autogroup"; }
prefer self
for org in alpha bravo; do prefer "$(cat "$dir/$org/redis.pid")"; done
# one map cannot stand twice in a policy: rate goes into the link's
sed -i '/^link: {rate/d; s/\(link: {.*\)}/\1, rate: 10000000}/' "$dir/alpha/partners/bravo.yaml"
gateway_stop alpha
gateway_start alpha
"$build/picket-collector" -q --set listen.address="127.0.0.1:$((port + 1))" --set redis.address="unix:$dir/bravo/redis.sock" \
	--set limits.per_address=10000 --set tls.cert="$dir/pki/collector-1.crt" --set tls.key="$dir/pki/collector-1.key" \
	--set tls.ca="$dir/pki/sensor-ca.crt" &
pids=$!
mkfifo "$dir/in1" "$dir/in2"
"$build/tests/bench/bench_sets" "127.0.0.1:$((port + 1))" 2 "$dir/pki" "$dir/pki/collector-ca.crt" "$dir/all.yaml" partner-alpha \
	<"$dir/in1" >"$dir/events1" &
pids="$pids $!"
"$build/tests/bench/bench_sets" "127.0.0.1:$((port + 1))" $((sensors - 2)) "$dir/pki" "$dir/pki/collector-ca.crt" "$dir/flash.yaml" none 3 \
	<"$dir/in2" >"$dir/events2" 2>"$dir/refused" &
pids="$pids $!"
exec 3>"$dir/in1" 4>"$dir/in2"
connected() {
	n=0
	for s in $(cli bravo ZRANGE picket:sensors 0 -1); do
		[ "$(cli bravo HGET "picket:sensor:$s" takes_sets)" = true ] && n=$((n + 1))
	done
	[ "$n" -ge "$sensors" ]
}
wait_for 60 connected || { echo "bench_partners: the sensors do not connect" >&2; exit 1; }
wait_for 20 grep -q 'link with bravo is up' "$dir/alpha/gateway.log" || { cat "$dir"/*/gateway.log >&2; exit 1; }

us() { date +%s%6N; }
v=0
flash() { # one more, and at most 10 s until all have it
	v=$((v + 1))
	printf 'set: {id: f%s, version: 1, producer: alpha, tlp: amber, releasable_to: [coalition], valid_until: 2099-01-01T00:00:00Z}\ndomain: [probe-%s.partner-alpha.flash.example]\n' \
		"$v" "$v" >"$dir/flash-$v.yaml"
	printf '%s %s\n' "$v" "$(us)" >>"$dir/published"
	on alpha partner publish "$dir/flash-$v.yaml" --priority flash >/dev/null
	tries=0
	until [ "$(cat "$dir"/events? | grep -c "^armed partner-alpha.flash $v ")" -ge "$sensors" ] || [ $tries -ge 200 ]; do
		sleep 0.05
		tries=$((tries + 1))
	done
}
judge() { # judge NAME FROM TO
	cat "$dir"/events? | awk -v from="$2" -v to="$3" 'NR == FNR { t[$1] = $2; next }
		$1 == "armed" && $2 == "partner-alpha.flash" && $3 >= from && $3 <= to { print int(($5 - t[$3]) / 1000) }' \
		"$dir/published" - | sort -n >"$dir/ms"
	awk -v name="$1" -v want="$((($3 - $2 + 1) * sensors))" '{ v[NR] = $1 }
		END { p = v[int((NR * 95 + 99) / 100)]
		printf "%-8s %d of %d, median %d ms, p95 %d ms, worst %d ms (goals p95 1000, worst 2000)\n", name, NR, want, v[int((NR + 1) / 2)], p, v[NR]
		exit NR != want || p >= 1000 || v[NR] >= 2000 }' "$dir/ms"
}

bad=0
while [ "$v" -lt 10 ]; do flash; done
judge quiet 1 10 || bad=1

on alpha partner pause bravo --out --reason "bench" >/dev/null
awk -v n="$objects" 'BEGIN { for (i = 0; i < n; i++) printf "n%d.%x.bulk.example\n", i, i * 2654435761 % 4294967296 }' >"$dir/bulk.txt"
printf 'set: {id: bulk, version: 1, producer: alpha, tlp: amber, releasable_to: [coalition], valid_until: 2099-01-01T00:00:00Z}\nfile: [{type: domain, path: bulk.txt}]\n' >"$dir/bulk.yaml"
at=$(us)
on alpha partner publish "$dir/bulk.yaml" >/dev/null
printf 'publish  %s objects into the own store in %s ms\n' "$objects" $((($(us) - at) / 1000))
on alpha partner resume bravo >/dev/null
began=$(us)
came() { cli bravo zcard 'picket:{x}:partner-alpha:last'; }
first=$((v + 1))
sleep 1
while [ "$(came)" -lt "$objects" ]; do
	flash
	sleep 0.5
	[ $((($(us) - began) / 1000000)) -lt 900 ] || break
done
end=$(us)
[ "$v" -ge "$first" ] || { echo "bench_partners: the sync was over before the first flash: more OBJECTS" >&2; exit 1; }
judge sync "$first" "$v" || bad=1
printf 'objects  %s of %s in %s ms, %s/s\n' "$(came)" "$objects" $(((end - began) / 1000)) $(($(came) * 1000000 / (end - began)))
first=$((v + 1))
tries=0
until [ "$(grep -c '^kept' "$dir/events1")" -ge 2 ] || [ $tries -ge 20 ]; do # the bulk set is still being made, and goes out
	flash
	tries=$((tries + 1))
done
judge set "$first" "$v" || bad=1
exec 3>&- 4>&-
exit $bad
