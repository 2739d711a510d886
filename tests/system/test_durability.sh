#!/bin/sh
# redis.durability: what must be true before a sensor is told that its alerts are stored.
# disk: a Redis that could lose them is refused, with what to change; replica: nothing is
# acknowledged while too few replicas have it, and nothing is lost by that.
set -u
# shellcheck source=tests/system/help.sh
. tests/system/help.sh
# shellcheck source=tests/system/redis.sh
. tests/system/redis.sh
command -v redis-server >/dev/null || {
	echo "  skip  $(basename "$0"): no redis-server"
	exit 0
}
mkdir "$dir/one" "$dir/two"
port=$(deploy/free-port.sh)
collector_up() { # LOG OPTION…
	log_name=$1
	shift
	start "$log_name" "$build/picket-collector" --set listen.address="unix:$dir/c.sock" --set listen.plaintext=true \
		--set redis.address="unix:$dir/one/redis.sock" --set redis.timeout=1s "$@"
	collector=$!
}
reads() { # NAME SECONDS: a capture, and waits so long for its acknowledgement
	timeout "$2" "$build/picket-sensor" -r deploy/demo/recorded.pcap -R deploy/demo/rules.yaml --set sensor.id="$1" --set dpi.mode=off \
		--set spool.dir="$dir/$1.spool" --set collector.address="unix:$dir/c.sock" \
		>/dev/null 2>"$dir/$1.log"
}
counted() {
	redis_cli --raw eval "local t = 0
		for _, k in ipairs(redis.call('KEYS', 'picket:{p0}:alert:*')) do
			if not string.find(k, ':peers', 1, true) then t = t + (redis.call('HGET', k, 'sensor:' .. ARGV[1]) or 0) end
		end
		return t" 0 "$1"
}
raised() { awk '$1 == "alerts.raised" || $1 == "alerts.repeats" { n += $2 } END { print n + 0 }' "$dir/$1.log"; }
refused() { # LABEL SENTENCE
	collector_up refused.log --set redis.durability=disk
	code=0
	wait "$collector" || code=$?
	check "$1" 4 "$code"
	contains "$1" "$dir/refused.log" "$2"
}

# ---- disk ----
start_redis "$dir/one" || exit 1
refused "no append-only file" 'durability: disk needs Redis'"'"' append-only file: set "appendonly yes" and "appendfsync always"'
stop_redis
start_redis "$dir/one" --appendonly yes --appendfsync everysec || exit 1
refused "appendfsync everysec" 'durability: disk needs "appendfsync always", Redis has everysec: change redis.conf'
redis_cli config set appendfsync always >/dev/null
collector_up disk.log --set redis.durability=disk
until_ok 10 grep -q ': ready' "$dir/disk.log"
reads disk 30 || wrong "disk: $(tail -n 3 "$dir/disk.log")"
check "disk: in Redis" "$(raised disk)" "$(counted disk)"
# A kill, not a stop: what was acknowledged is on the disk.
kill -9 "$REDIS_PID"
wait "$REDIS_PID" 2>/dev/null
start_redis "$dir/one" --appendonly yes --appendfsync always || exit 1
check "disk: after a kill" "$(raised disk)" "$(counted disk)"
stop "$collector"

# ---- replica ----
collector_up replica.log.all --set redis.durability=replica
until_ok 10 grep -q ': ready' "$dir/replica.log.all"
connected() { grep -q 'connected to the collector' "$dir/replica.log"; }
reads replica 3
contains "none there" "$dir/replica.log.all" "only 0 of 1 Redis replicas have the alerts; sensors keep them until they do"
connected && wrong "none there: the sensor was told a mark"
redis_cli config set bind 127.0.0.1 >/dev/null
redis_cli config set port $port >/dev/null
redis-server --port 0 --unixsocket "$dir/two/redis.sock" --save "" --dir "$dir/two" --logfile "$dir/two/redis.log" \
	--repl-diskless-sync-delay 0 --replicaof 127.0.0.1 $port &
replica=$!
started="$started $replica"
linked() { redis_cli info replication | grep -q 'state=online'; }
until_ok 20 linked
reads replica 60
check "there: two runs, each alert once" $((2 * $(raised replica))) "$(counted replica)"
check "there: it has them" "$(redis_cli zcard 'picket:{p0}:open')" "$(redis-cli -s "$dir/two/redis.sock" zcard 'picket:{p0}:open')"
kill -STOP $replica
redis_cli set frozen 1 >/dev/null # which it has not got; all before it may have
reads replica 4
connected && wrong "frozen: the sensor was told a mark"
kill -CONT $replica
reads replica 60
check "back again: four runs, each alert once" $((4 * $(raised replica))) "$(counted replica)"
stop "$collector"
finish
