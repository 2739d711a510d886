#!/bin/sh
# A flood of alerts, live: one indicator is hit tens of thousands of times a second on its
# way to Redis. The sensor folds it (few records leave for many hits), every hit is in the
# count, and the indicators that are hit once among it are there, each with its count.
# Needs root and network namespaces; without, it says so.
set -u
# shellcheck source=tests/system/help.sh
. tests/system/help.sh
# shellcheck source=tests/system/redis.sh
. tests/system/redis.sh
# shellcheck source=tests/bench/wire.sh
. tests/bench/wire.sh
start_redis "$dir" || exit 0
wire_up || {
	echo "  skip  $(basename "$0"): needs root and network namespaces"
	exit 0
}
trap 'wire_down; leave' EXIT
needles=50
"$build/tests/hostile/flood" alert 120000 $needles >"$dir/flood.pcap"
# Folded by the indicator alone: with spoofed addresses each would be a group of its own.
"$build/tests/hostile/flood" rules $needles | sed 's/^type,value$/type,value,fold/; s/^domain,.*/&,indicator/' >"$dir/rules.csv"
start collector.log "$build/picket-collector" --set listen.address="unix:$dir/c.sock" --set listen.plaintext=true \
	--set redis.address="unix:$REDIS_SOCKET"
until_ok 5 grep -q ': ready' "$dir/collector.log"
start sensor ip netns exec "$wire_far" "$build/picket-sensor" -i wire1 -R "$dir/rules.csv" --set sensor.id=s-1 --set dpi.mode=off \
	--set spool.dir="$dir/spool" --set collector.address="unix:$dir/c.sock" --set capture.ring=256MB
sensor=$!
until_ok 10 grep -q 'worker 0 captures' "$dir/sensor"
until_ok 10 grep -q 'connected to the collector' "$dir/sensor"
sent=$(ip netns exec "$wire_near" "$build/tests/bench/send" wire0 "$dir/flood.pcap" 40000 0 | sed -n 's/^sent=//p')

counter() { awk -v n="$1" '$1 == n { v = $2 } $1 == "packets.received" && n != $1 { v = 0 } END { print v + 0 }' "$dir/sensor"; }
all_here() {
	kill -USR1 "$sensor"
	sleep 0.2
	[ $(($(counter packets.received) + $(counter drops.kernel) + $(counter drops.interface))) -ge "$sent" ]
}
until_ok 60 all_here
hits() { # all that Redis has of the flood, and of the others
	redis_cli --raw EVAL "local flood, others, groups = 0, 0, 0
		for _, k in ipairs(redis.call('KEYS', 'picket:{p0}:alert:*')) do
			if not k:find(':peers') then
				local n, v = tonumber(redis.call('HGET', k, 'n')), redis.call('HGET', k, 'value')
				if v == 'alert.example' then flood = flood + n else others, groups = others + n, groups + 1 end
			end
		end
		return flood .. ' ' .. others .. ' ' .. groups" 0
}
lost() { redis_cli --raw HMGET picket:sensor:s-1 spool_lost queue_lost | awk '{ n += $1 } END { print n + 0 }'; }
total() { # is what the sensor has counted
	# shellcheck disable=SC2046
	set -- $(hits)
	[ $(($1 + $2 + $(lost))) -eq $(($(counter alerts.raised) + $(counter alerts.repeats))) ]
}
until_ok 60 total || hits >&2
# shellcheck disable=SC2046
set -- $(hits)
[ "$(($(counter drops.kernel) + $(counter end.shed)))" != 0 ] || check "other indicators" $((3 * needles)) "$3"
[ "$1" -gt 20000 ] || wrong "only $1 hits of $sent packets"
records=$(redis_cli --raw HGET picket:sensor:s-1 spool_records)
[ "${records:-0}" -lt $((6 * needles + 200)) ] || wrong "$records records for $1 hits: nothing was folded"
[ "$(lost)" = 0 ] || echo "  note  $(basename "$0"): $(lost) hits of the flood were lost and counted on this busy machine"
[ "$(counter drops.kernel)" = 0 ] || echo "  note  $(basename "$0"): the kernel dropped $(counter drops.kernel) of $sent packets on this busy machine"
finish
