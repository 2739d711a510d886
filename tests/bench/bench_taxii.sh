#!/bin/sh
# What the TAXII server does on this machine, in one run, through the release gate, the
# judgement of what comes in, and the audit, against its own redis-server over plain HTTP
# on loopback (TLS adds what AES takes):
#
#   tests/bench/bench_taxii.sh BUILD [OBJECTS]      (default 1,000,000)
#
#   post    new indicators of about 600 bytes, 5,000 in one POST (goal >= 50,000/s)
#   memory  Redis memory per object, its own text apart
#   page    all of them read back by another partner, 1,000 in a page (goal >= 100,000/s)
#   match   match[id] of one of them (goal < 5 ms)
#
# Beside each rate stands the processor time that gateway and Redis took for one
# object: on two cores the client takes its share, too. BENCH_RUN="chrt -f 1" keeps
# other work on the machine out.
set -eu
build=$(cd "${1:?usage: bench_taxii.sh BUILD [OBJECTS]}" && pwd)
n=${2:-1000000}
run=${BENCH_RUN:-}
root=$(cd "$(dirname "$0")/../.." && pwd)
dir=$(mktemp -d)
port=$("$root/deploy/free-port.sh")
gateway=
id=91a7b528-80eb-42ed-a74d-c6fbd5a26116
# shellcheck source=tests/system/redis.sh
. "$root/tests/system/redis.sh"

stop_gateway() {
	[ -z "$gateway" ] || { kill "$gateway" && wait "$gateway" || true; }
	gateway=
}
trap 'stop_gateway; stop_redis; rm -rf "$dir"' EXIT

mkdir "$dir/collections" "$dir/partners"
echo "collection: {id: $id, title: Bench, write: true}" >"$dir/collections/a.yaml"
cat >"$dir/partners/writer.yaml" <<YAML
partner: {id: writer}
taxii: {user: writer, write: [$id]}
inbound: {mode: auto, rate: 10000000, burst: 100000000, quota: 100000000}
YAML
cat >"$dir/partners/reader.yaml" <<YAML
partner: {id: reader}
taxii: {user: reader, read: [$id]}
release: {tlp_max: amber, unaddressed: green}
YAML
for u in writer reader; do echo "$u:$(openssl passwd -6 x)"; done >"$dir/passwords"
chmod 0600 "$dir/passwords"

start_redis "$dir"
[ -z "$run" ] || chrt -f -p 1 "$REDIS_PID" >/dev/null
# shellcheck disable=SC2086
$run "$build/picket-gateway" -q --set gateway.org=us --set redis.address="unix:$REDIS_SOCKET" --set taxii.address="127.0.0.1:$port" \
	--set taxii.plaintext=true --set taxii.passwords="$dir/passwords" --set taxii.collections="$dir/collections" \
	--set partners.dir="$dir/partners" --set limits.page=5000 --set retention.objects=10000000 &
gateway=$!
client() { $run "$build/tests/bench/bench_taxii" "$1" "$port" "/shared/collections/$id/objects/" "$2:x" "$3" ${4:+"$4"} ${5:+"$5"}; }
tries=0
until client page reader 1 >/dev/null 2>&1; do
	tries=$((tries + 1))
	[ "$tries" -lt 100 ] || { echo "bench_taxii: the gateway does not come up" >&2; exit 1; }
	sleep 0.1
done

ms() { awk '{print ($14 + $15) * 10}' "/proc/$1/stat"; }
begin() { g=$(ms "$gateway") r=$(ms "$REDIS_PID"); }
each() { # OBJECTS: processor time of one
	awk -v g="$(($(ms "$gateway") - g))" -v r="$(($(ms "$REDIS_PID") - r))" -v n="$1" \
		'BEGIN {printf "gateway %.1f us, Redis %.1f us each", g * 1000 / n, r * 1000 / n}'
}
used() { redis_cli info memory | sed -n 's/^used_memory:\([0-9]*\).*/\1/p'; }

begin
before=$(used)
rate=$(client post writer "$n" 5000 0)
printf 'post    %9.0f objects/s   (%s)\n' "$rate" "$(each "$n")"
text=$(redis_cli hstrlen 'picket:{x}:rows' "$(redis_cli zrange "picket:{x}:$id:last" 0 0 | cut -d' ' -f1)")
awk -v b="$before" -v a="$(used)" -v n="$n" -v t="$text" \
	'BEGIN {printf "memory  %9.0f bytes an object in Redis, %d of them its text\n", (a - b) / n, t}'
begin
# shellcheck disable=SC2046 # three numbers
set -- $(client page reader 1000)
[ "$1" = "$n" ] || { echo "bench_taxii: $1 of $n objects came back" >&2; exit 1; }
printf 'page    %9.0f objects/s   %s MB/s (%s)\n' "$2" "$3" "$(each "$n")"
# shellcheck disable=SC2046
set -- $(client match reader "$n" 2000)
awk -v m="$1" -v p="$2" -v w="$3" 'BEGIN {printf "match   %9.2f ms median, %.2f ms p99, %.2f ms worst\n", m / 1000, p / 1000, w / 1000}'
stop_gateway
