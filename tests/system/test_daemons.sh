#!/bin/sh
# Running daemons go on: collector absent and coming, Redis absent, coming, going
# and coming back, rules reloaded well and badly, TERM.
set -u
# shellcheck source=tests/system/help.sh
. tests/system/help.sh
# shellcheck source=tests/system/redis.sh
. tests/system/redis.sh
REDIS=unix:$dir/redis.sock
case=tests/golden/pcapng-two-sections
total() {
	for id in $(redis_cli ZRANGE 'picket:{p0}:open' 0 -1 2>/dev/null); do redis_cli HGET "picket:{p0}:alert:$id" "sensor:$1"; done |
		awk '{ s += $1 } END { print s + 0 }'
}
total_is() { [ "$(total "$1")" = "$2" ]; }
collector() {
	start collector.log "$build/picket-collector" --set listen.address="unix:$dir/c.sock" --set listen.plaintext=true \
		--set redis.address="$REDIS"
	collector=$!
}

# ---- nobody there: the spool keeps, TERM is obeyed ----
start alone.log "$build/picket-sensor" --set sensor.id=late --set spool.dir="$dir/spool" --set collector.address="unix:$dir/c.sock" \
	-R $case/rules.yaml -r $case/case.pcapng
late=$!
until_ok 5 grep -q 'c.sock' "$dir/alone.log"
before=$(date +%s)
stop "$late"
[ $(($(date +%s) - before)) -le 5 ] || wrong "a sensor that waits for a collector takes $(($(date +%s) - before)) s to leave on TERM"

# ---- the collector comes, Redis is not there yet ----
collector
until_ok 5 grep -q 'cannot reach Redis' "$dir/collector.log"
# The same sensor again, over a capture without hits: what it sends are the alerts of before.
start late.log "$build/picket-sensor" --set sensor.id=late --set spool.dir="$dir/spool" --set collector.address="unix:$dir/c.sock" \
	-R $case/rules.yaml -r tests/golden/protocol-ntp/case.pcap
late=$!
sleep 1
kill -0 "$collector" 2>/dev/null || wrong "the collector does not wait for Redis"
start_redis "$dir" --appendonly yes || exit 1
until_ok 15 total_is late 3 || cat "$dir/late.log" "$dir/collector.log" >&2
code=0
wait "$late" || code=$?
check "the sensor leaves once all is acknowledged" 0 "$code"

# ---- Redis goes away and comes back: counted once ----
stop_redis
start again.log "$build/picket-sensor" --set sensor.id=again --set spool.dir="$dir/spool2" --set collector.address="unix:$dir/c.sock" \
	-R $case/rules.yaml -r $case/case.pcapng
again=$!
sleep 1
start_redis "$dir" --appendonly yes || exit 1
until_ok 15 total_is again 3 || cat "$dir/again.log" "$dir/collector.log" >&2
wait "$again" || wrong "the sensor does not leave once Redis is back"
check "the first sensor's hits stand" 3 "$(total late)"

stop "$collector"
check "the collector leaves on TERM" 0 "$code"

# ---- live on loopback: reload, the ledger, TERM ----
if [ "$(id -u)" -eq 0 ] && command -v bash >/dev/null; then
	knock() { bash -c "echo picket >/dev/udp/$1/9" 2>/dev/null; }
	seen() { grep -q "\"value\":\"$1\"" "$dir/live.jsonl"; }
	knocked() { knock "$1"; sleep 0.1; seen "$1"; }
	echo 'ip,127.77.0.1' >"$dir/live.csv"
	start live.log "$build/picket-sensor" -i lo -R "$dir/live.csv" -o "$dir/live.jsonl" host 127.77.0.1 or host 127.77.0.2
	live=$!
	until_ok 5 grep -q 'captures on' "$dir/live.log"
	until_ok 5 knocked 127.77.0.1
	printf 'ip,127.77.0.1\nip,127.77.0.2\n' >"$dir/live.csv" && kill -HUP "$live"
	until_ok 5 grep -q 'armed with 2 ' "$dir/live.log"
	until_ok 5 knocked 127.77.0.2
	# An empty set is refused, the old one stays.
	: >"$dir/live.csv" && kill -HUP "$live"
	until_ok 5 grep -q 'are refused' "$dir/live.log"
	: >"$dir/live.jsonl"
	until_ok 5 knocked 127.77.0.2
	kill -USR1 "$live"
	until_ok 5 grep -q packets.received "$dir/live.log"
	stop "$live"
	check "a live sensor leaves on TERM" 0 "$code"
fi
finish
