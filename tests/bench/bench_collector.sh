#!/bin/sh
# What the collector does on this machine, as ratios of one run, against its own
# redis-server and a real picket-collector over mutual TLS:
#
#   tests/bench/bench_collector.sh BUILD [ALERTS]      (default 100,000)
#
#   unique    new groups, from the sensor's spool to the acknowledgement, against the same writes as
#             pipelined MULTI (goal >= 0.9); appendfsync always against everysec (goal >= 0.8)
#   memory    Redis memory per open group, the stream apart (goal <= 700 bytes)
#   stall     how long a dashboard's PING waits meanwhile (goal p99 <= 5 ms)
#   storm     1,000 groups in rotation, one collector (goal >= 1,000,000 alerts/s)
set -eu
build=${1:?usage: bench_collector.sh BUILD [ALERTS]}
n=${2:-100000}
root=$(cd "$(dirname "$0")/../.." && pwd)
bench=$build/tests/bench/bench_collector
dir=$(mktemp -d)
collector=
# shellcheck source=tests/system/redis.sh
. "$root/tests/system/redis.sh"

stop_collector() {
	[ -z "$collector" ] || { kill "$collector" && wait "$collector" || true; }
	collector=
}
trap 'stop_collector; stop_redis; rm -rf "$dir"' EXIT

"$root/deploy/make-test-ca.sh" "$dir/pki" bench 30 >/dev/null
"$root/deploy/make-test-ca.sh" "$dir/pki" bench 30 sensor bench >/dev/null

start_collector() {
	"$build/picket-collector" -q --set listen.address="$1" --set listen.plaintext="$2" --set redis.address="unix:$REDIS_SOCKET" \
		--set tls.cert="$dir/pki/collector-1.crt" --set tls.key="$dir/pki/collector-1.key" --set tls.ca="$dir/pki/sensor-ca.crt" \
		--set limits.bytes_per_second=0 --set limits.records_per_second=0 &
	collector=$!
	sleep 1
}

used() { redis_cli info memory | sed -n 's/^used_memory:\([0-9]*\).*/\1/p'; }
stream() { redis_cli memory usage 'picket:{p0}:alerts' samples 0 | tr -dc 0-9; }
ratio() { awk "BEGIN { printf \"%.2f\", $1 / $2 }"; }
cpu_of() { ps -o cputimes= -p "$1" | tr -d ' '; }

fresh() { # fresh FSYNC
	mkdir -p "$dir/redis"
	start_redis "$dir/redis" --appendonly yes --appendfsync "$1"
}
gone() {
	stop_redis
	rm -rf "${dir:?}/redis" "$dir/spool"
}

one_unique() { # sets rate, per_group, stalls
	fresh "$1"
	start_collector 127.0.0.1:17443 false
	before=$(used)
	"$bench" stall "unix:$REDIS_SOCKET" 3 >"$dir/stall" &
	stall=$!
	rate=$("$bench" unique 127.0.0.1:17443 "$n" "$dir/spool" "$dir/pki/bench.crt" "$dir/pki/bench.key" "$dir/pki/collector-ca.crt")
	wait "$stall"
	stalls=$(cat "$dir/stall")
	script=$(redis_cli info latencystats | sed -n 's/^latency_percentiles_usec_evalsha:p50=\([0-9]*\).*,p99=\([0-9]*\).*/\1 us median, \2 us p99/p')
	stop_collector
	sleep 0.3
	open=$(redis_cli zcard 'picket:{p0}:open' | tr -dc 0-9)
	all=$((($(used) - before) / open))
	per_group=$((($(used) - before - $(stream)) / open))
	gone
}

fresh everysec
raw=$("$bench" raw "unix:$REDIS_SOCKET" "$n")
gone
one_unique everysec
everysec=$rate
printf 'raw MULTI                %9s /s\n' "$raw"
printf 'unique, everysec         %9s /s   %s of raw (goal 0.9)\n' "$everysec" "$(ratio "$everysec" "$raw")"
printf 'memory per open group    %9s bytes (goal 700), %s with the stream and the sums\n' "$per_group" "$all"
# shellcheck disable=SC2086
printf 'PING meanwhile           %9s us median, %s us p99 (goal 5000), %s us worst\n' $stalls
printf 'script calls             %s\n' "$script"
one_unique always
printf 'unique, always           %9s /s   %s of everysec (goal 0.8)\n' "$rate" "$(ratio "$rate" "$everysec")"

fresh everysec
start_collector "unix:$dir/storm.sock" true
for json in 0 700; do
	rate=$("$bench" storm "$dir/storm.sock" 3000000 1000 "$json")
	counted=$(redis_cli hget "picket:{p0}:day:$(($(date +%s) / 86400))" total | tr -dc 0-9)
	printf 'storm, 1,000 groups      %9s /s   event of %s bytes; %s counted so far (goal 1000000/s)\n' "$rate" "$json" "$counted"
done
