#!/bin/sh
# What the collector does on this machine, as ratios of one run, against its own
# redis-server and a real picket-collector over mutual TLS:
#
#   tests/bench/bench_collector.sh BUILD [ALERTS [ROUNDS]]      (default 60,000 and 5)
#
#   unique     new groups, from the sensor's spool to the acknowledgement, against the same writes, field by
#              field, as pipelined MULTI … EXEC of one alert each without a collector (goal >= 0.9)
#   always     the same with appendfsync always and durability: disk, against everysec (goal >= 0.8)
#   script     how long a script call keeps Redis busy, by Redis' clock (goal p99 <= 5 ms)
#   memory     Redis memory per open group, the stream apart (goal <= 700 bytes)
#   storm      1,000 groups in rotation, one collector (goal >= 1,000,000 alerts/s)
#   latency    10,000 new groups a second, from the worker's hand-over to the acknowledgement (goal p99 < 100 ms)
#   reconnect  1,000 sensors with a certificate each come at once (goal <= 5 s)
#
# The first three are measured in turns, round by round; the medians count. Every
# process has a core to itself at most: on two cores sensor, collector and Redis share
# them, raw needs one and a half. BENCH_RUN="chrt -f 1" keeps other work on the machine out.
# The spool lies in BENCH_SPOOL (default /dev/shm): a sensor has its own disk, and on
# one file system the commit of the spool makes Redis' fsync wait.
set -eu
build=${1:?usage: bench_collector.sh BUILD [ALERTS [ROUNDS]]}
n=${2:-60000}
rounds=${3:-5}
run=${BENCH_RUN:-}
root=$(cd "$(dirname "$0")/../.." && pwd)
bench="$run $build/tests/bench/bench_collector"
dir=$(mktemp -d)
spool=$(mktemp -d "${BENCH_SPOOL:-/dev/shm}/picket-spool.XXXXXX")
port=$("$root/deploy/free-port.sh")
collector=
# shellcheck source=tests/system/redis.sh
. "$root/tests/system/redis.sh"

stop_collector() {
	[ -z "$collector" ] || { kill "$collector" && wait "$collector" || true; }
	collector=
}
trap 'stop_collector; stop_redis; rm -rf "$dir" "$spool"' EXIT

"$root/deploy/make-test-ca.sh" "$dir/pki" bench 365 >/dev/null
"$root/deploy/make-test-ca.sh" "$dir/pki" bench 365 sensor bench >/dev/null
sensor="$dir/pki/bench.crt $dir/pki/bench.key"

start_collector() { # ADDRESS PLAINTEXT [--set …]
	address=$1 plain=$2
	shift 2
	$run "$build/picket-collector" -q --set listen.address="$address" --set listen.plaintext="$plain" \
		--set redis.address="unix:$REDIS_SOCKET" --set tls.cert="$dir/pki/collector-1.crt" \
		--set tls.key="$dir/pki/collector-1.key" --set tls.ca="$dir/pki/sensor-ca.crt" \
		--set limits.bytes_per_second=0 --set limits.records_per_second=0 "$@" &
	collector=$!
	sleep 1
}

used() { redis_cli info memory | sed -n 's/^used_memory:\([0-9]*\).*/\1/p'; }
stream() { redis_cli memory usage 'picket:{p0}:alerts' samples 0 | tr -dc 0-9; }
ratio() { awk "BEGIN { printf \"%.2f\", $1 / $2 }"; }
median() { sort -n "$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

fresh() { # fresh FSYNC
	mkdir -p "$dir/redis"
	REDIS_RUN=$run start_redis "$dir/redis" --appendonly yes --appendfsync "$1" --auto-aof-rewrite-percentage 0
}
gone() {
	stop_collector
	stop_redis
	rm -rf "${dir:?}/redis" "${spool:?}/spool"
}

one_unique() { # FSYNC DURABILITY
	fresh "$1"
	start_collector "127.0.0.1:$port" false --set redis.durability="$2"
	before=$(used)
	# shellcheck disable=SC2086
	$bench unique "127.0.0.1:$port" "$n" "$spool/spool" $sensor "$dir/pki/collector-ca.crt" >>"$dir/$1"
	redis_cli info latencystats | sed -n 's/^latency_percentiles_usec_evalsha:p50=\([0-9]*\).*,p99=\([0-9]*\).*/\1 \2/p' \
		>>"$dir/script.$1"
	redis_cli info commandstats | sed -n 's/^cmdstat_evalsha:calls=\([0-9]*\).*/\1/p' >>"$dir/calls.$1"
	stop_collector
	sleep 0.3
	open=$(redis_cli zcard 'picket:{p0}:open' | tr -dc 0-9)
	echo $((($(used) - before - $(stream)) / open)) >>"$dir/memory"
	gone
}

round=0
while [ "$round" -lt "$rounds" ]; do
	round=$((round + 1))
	fresh everysec
	$bench raw "unix:$REDIS_SOCKET" "$n" >>"$dir/raw"
	gone
	one_unique everysec memory
	one_unique always disk
	paste "$dir/everysec" "$dir/raw" | awk '{ print $1 / $2 }' >"$dir/by_raw"
	paste "$dir/always" "$dir/everysec" | awk '{ print $1 / $2 }' >"$dir/by_everysec"
done
all() { tr '\n' ' ' <"$1"; }
printf 'raw MULTI                %9s /s   median of %s\n' "$(median "$dir/raw")" "$(all "$dir/raw")"
printf 'unique, everysec         %9s /s   median of %s\n' "$(median "$dir/everysec")" "$(all "$dir/everysec")"
printf 'unique, always           %9s /s   median of %s\n' "$(median "$dir/always")" "$(all "$dir/always")"
printf 'everysec of raw          %9.2f      median of the rounds (goal 0.9)\n' "$(median "$dir/by_raw")"
printf 'always of everysec       %9.2f      median of the rounds (goal 0.8)\n' "$(median "$dir/by_everysec")"
for f in everysec always; do
	awk '{ print $1 }' "$dir/script.$f" >"$dir/p50"
	awk '{ print $2 }' "$dir/script.$f" >"$dir/p99"
	printf 'script call, %-8s    %9s us p99, %s us median, about %s groups each%s\n' "$f" "$(median "$dir/p99")" \
		"$(median "$dir/p50")" "$((n / $(median "$dir/calls.$f")))" "$([ $f = always ] || echo ' (goal 5000)')"
done
printf 'memory per open group    %9s bytes (goal 700)\n' "$(median "$dir/memory")"

fresh everysec
start_collector "127.0.0.1:$port" false --set limits.per_address=4096
# shellcheck disable=SC2046,SC2086,SC2183
printf 'latency at 10,000/s      %9s us median, %s us p99 (goal 100000), %s us worst\n' \
	$($bench latency "127.0.0.1:$port" 10000 5 "$spool/spool" $sensor "$dir/pki/collector-ca.crt")
# shellcheck disable=SC2086
printf 'reconnect of 1,000       %9s s (goal 5)\n' \
	"$($bench reconnect "127.0.0.1:$port" 1000 $sensor "$dir/pki/sensor-ca.crt" "$dir/pki/sensor-ca.key" "$dir/pki/collector-ca.crt")"
stop_collector

start_collector "unix:$dir/storm.sock" true
for json in 0 700; do
	rate=$($bench storm "$dir/storm.sock" 3000000 1000 "$json")
	printf 'storm, 1,000 groups      %9s /s   event of %s bytes (goal 1000000)\n' "$rate" "$json"
done
