#!/bin/sh
# Redis stopped, frozen, or not there at the start; the collector frozen: packets are
# captured all the while at the rate at which they come, with a ring that would not
# hide a packet thread that waits, and afterwards every hit that the ledger counts
# stands in Redis, once. Beyond the bound of the spool what is missing is counted
# there, too. Needs root and network namespaces; without, it says so.
set -u
# shellcheck source=tests/system/help.sh
. tests/system/help.sh
# shellcheck source=tests/system/redis.sh
. tests/system/redis.sh
# shellcheck source=tests/bench/wire.sh
. tests/bench/wire.sh
command -v redis-server >/dev/null || {
	echo "  skip  $(basename "$0"): no redis-server"
	exit 0
}
wire_up || {
	echo "  skip  $(basename "$0"): needs root and network namespaces"
	exit 0
}
unfreeze() { for p in ${frozen:-}; do kill -CONT "$p" 2>/dev/null; done; }
trap 'unfreeze; wire_down; leave' EXIT
tools=$build/tests/bench
rate=10000 seconds=2
"$tools/sets" 70000 "$dir/set" >/dev/null
"$tools/generate" dns $((rate * seconds)) "$dir/some.pcap" 50 >/dev/null
"$tools/generate" dns 20000 "$dir/all.pcap" 1 >/dev/null
mkdir "$dir/redis"
redis_up() { start_redis "$dir/redis" --appendonly yes --appendfsync everysec; }
collector_up() {
	start "collector-$1" "$build/picket-collector" --set listen.address="unix:$dir/c.sock" --set listen.plaintext=true \
		--set redis.address="unix:$dir/redis/redis.sock" --set redis.timeout=1s
	collector=$!
	until_ok 10 grep -q 'listening on' "$dir/collector-$1"
}
sensor_up() { # NAME OPTION…
	name=$1
	shift
	start "$name" ip netns exec "$wire_far" "$build/picket-sensor" -i wire1 -R "$dir/set" --set sensor.id="$name" \
		--set dpi.mode=off --set spool.dir="$dir/$name.spool" --set collector.address="unix:$dir/c.sock" \
		--set collector.leave=20s "$@"
	sensor=$!
	until_ok 10 grep -q "worker 0 captures" "$dir/$name"
}
sends() { ip netns exec "$wire_near" "$tools/send" wire0 "$@" | sed -n 's/^sent=//p'; }
counter() { awk -v n="$1" '$1 == n { v = $2 } END { print v + 0 }' "$dir/$name"; }
ledger() { kill -USR1 "$sensor" && sleep 0.2; }
raised() { echo $(($(counter alerts.raised) + $(counter alerts.repeats))); }
captured() { ledger && [ $(($(counter packets.received) + $(counter drops.kernel) + $(counter drops.interface))) -ge "$1" ]; }
counted() {
	redis_cli --raw eval "local t = 0
		for _, k in ipairs(redis.call('KEYS', 'picket:{p0}:alert:*')) do
			if not string.find(k, ':peers', 1, true) then t = t + (redis.call('HGET', k, 'sensor:' .. ARGV[1]) or 0) end
		end
		return t" 0 "$name"
}
lost() {
	redis_cli --raw eval "local t = 0
		for _, k in ipairs(redis.call('KEYS', 'picket:{p0}:day:*')) do t = t + (redis.call('HGET', k, 'loss') or 0) end
		return t" 0
}
# shellcheck disable=SC2317 # called by until_ok
delivered() { ledger && [ "$(raised)" -gt 0 ] && [ $(($(counted) + $(lost))) -eq "$(raised)" ]; }
goes_on() { # LABEL SENT
	until_ok 5 captured "$2" || wrong "$1: captured $(counter packets.received) and $(counter drops.kernel) dropped of $2"
	check "$1: dropped by the kernel" 0 "$(counter drops.kernel)"
}
away() { # LABEL, while something is away
	sensor_up "$1" --set capture.ring=4MB
	sent=$(sends "$dir/some.pcap" $rate $seconds)
	goes_on "$1" "$sent"
}
back() { # LABEL
	until_ok 30 delivered || wrong "$1: raised $(raised), in Redis $(counted), lost $(lost)"
	check "$1: announced as lost" 0 "$(lost)"
	stop "$sensor"
	check "$1: exit code" 0 "$code"
	summary="${summary:-}${summary:+, }$1 $(counted)"
}

# ---- absent at the start: of the collector, then of the sensor ----
collector_up early
away absent
redis_up || exit 1
back absent

# ---- stopped while it is in use ----
stop_redis
away stopped
redis_up || exit 1
back stopped

# ---- frozen ----
frozen=$REDIS_PID
kill -STOP "$frozen"
away frozen-redis
kill -CONT "$frozen"
back frozen-redis

frozen=$collector
kill -STOP "$frozen"
away frozen-collector
kill -CONT "$frozen"
back frozen-collector

# ---- everything is there: it is the same ----
away nothing
back nothing

# ---- beyond the spool's bound: what is not in Redis is counted as lost ----
stop_redis
sensor_up small --set capture.ring=32MB --set spool.max=1MB --set spool.horizon=0ms
sent=$(sends "$dir/all.pcap" $rate 0)
goes_on small "$sent"
redis_up || exit 1
until_ok 30 delivered || wrong "small: raised $(raised), in Redis $(counted), lost $(lost)"
[ "$(lost)" -gt 0 ] || wrong "small: nothing was lost, so nothing was tested"
[ "$(counted)" -gt 0 ] || wrong "small: nothing was kept"
summary="$summary; small spool $(counted) and $(lost) announced as lost of $(raised)"
stop "$sensor"
check "small: exit code" 0 "$code"
stop "$collector"
[ "$bad" -ne 0 ] || echo "test_away: $summary"
finish
