#!/bin/sh
# What a partner sends as flash is acknowledged when his policy says so; what he sends for an
# exercise is matched here while that exercise runs here, says so
# in its signature, and is counted with nothing real; before and after it is not on any sensor.
set -eu
cd "$(dirname "$0")/../.."
build=${1:-build}
. tests/system/partners.sh
partners_test partner-exercise
set=partner-alpha.x-ke
manifest() { cli bravo hget "picket:{x}:set:$1" "$(cli bravo hget 'picket:{x}:sets' "$1"):manifest"; }
says() { manifest "$1" | grep -q "$2"; }
rules() { # ID DOMAIN
	printf 'set: {id: %s, version: 1, producer: alpha, tlp: amber, releasable_to: [coalition], valid_until: 2099-01-01T00:00:00Z}\ndomain: [%s]\n' "$1" "$2"
}
armed() { cli bravo hvals "picket:{x}:set:$1:receipts:$(cli bravo hget 'picket:{x}:sets' "$1")" | grep -q '^armed '; }

policy='release: {tlp_max: amber, groups: [coalition], profile: picket, exercises: [ke, other]}
inbound: {mode: auto}'
"$build/picket" rules keygen "$dir/bravo.pem" --scope 'partner-*' >"$dir/entry"
partners_start "$dir" "$build" "$policy" "$(echo "$policy" | sed 's/profile: picket/&, receipts: true/')" || fail "start"
"$build/picket-collector" --set listen.address="unix:$dir/bravo/c.sock" --set listen.plaintext=true \
	--set redis.address="unix:$dir/bravo/redis.sock" >"$dir/bravo/collector.log" 2>&1 &
pids="$pids $!"
{ echo keys: && cat "$dir/entry"; } >"$dir/bravo/keys.yaml"
udp=$((20000 + $$ % 20000))
"$build/picket-sensor" -i lo --set sensor.id=s-1 --set spool.dir="$dir/bravo/spool" --set dpi.mode=off \
	--set collector.address="unix:$dir/bravo/c.sock" --set rules.keys="$dir/bravo/keys.yaml" \
	--set rules.dir="$dir/bravo/sets" "udp port $udp" >"$dir/bravo/sensor.log" 2>&1 &
pids="$pids $!"
sensor=yes
wait_for 10 grep -q 'captures on lo' "$dir/bravo/sensor.log" || sensor=

# 1. no exercise runs: it is kept, and not matched
rules real real.bad.example >"$dir/real.yaml"
rules drill drill.bad.example >"$dir/drill.yaml"
on alpha partner publish "$dir/real.yaml" >/dev/null || fail "publish"
on alpha partner publish "$dir/drill.yaml" --exercise ke --priority flash >/dev/null || fail "publish for the exercise"
on alpha partner publish "$dir/drill.yaml" --exercise elsewhere >/dev/null || fail "publish for another exercise"
wait_for 20 says partner-alpha '"count":1' || fail "the real set"
wait_for 20 sh -c "[ \"\$(redis-cli -s $dir/bravo/redis.sock zcard 'picket:{x}:partner-alpha.flash:last')\" = 1 ]" || fail "the exercise's object does not come"
sleep 1
[ "$(cli bravo hget 'picket:{x}:sets' "$set.flash")" = "" ] && [ "$(cli bravo hlen 'picket:{x}:sets')" = 1 ] || fail "published before it runs: $(cli bravo hgetall 'picket:{x}:sets')"

# 2. it runs: on the sensors, marked
flash=partner-alpha.flash.x-ke
on bravo exercise start ke --until 8h >/dev/null || fail "start"
wait_for 20 says "$flash" '"exercise":"ke"' || fail "it is not on the sensors: $(cli bravo hgetall 'picket:{x}:sets')"
says "$flash" '"count":1' || fail "$(manifest "$flash")"
says partner-alpha '"exercise":""' || fail "the real set bears an exercise"
says partner-alpha '"count":1' || fail "the real set holds it"
if [ -n "$sensor" ]; then
	wait_for 20 armed "$flash" || fail "the sensor does not match with it"
	wait_for 20 armed partner-alpha || fail "the sensor does not match with the real set"
	lookup www.drill.bad.example $udp
	lookup www.real.bad.example $udp
	wait_for 20 sh -c "[ \"\$(redis-cli -s '$dir/bravo/redis.sock' zcard 'picket:{p0}:exercise:open')\" = 1 ]" || fail "no alert of the exercise"
	wait_for 20 sh -c "[ \"\$(redis-cli -s '$dir/bravo/redis.sock' zcard 'picket:{p0}:open')\" = 1 ]" || fail "no real alert"
	on bravo alerts list --exercise | grep -q 'EXERCISE ke' || fail "$(on bravo alerts list --exercise)"
	on bravo alerts list | grep -q drill && fail "it counts as real"
	# its hit is told to nobody; the real one is
	wait_for 20 sh -c "PICKET_REDIS=unix:$dir/alpha/redis.sock '$build/picket' sighting list 2>/dev/null | grep -q '^in '" || fail "no sighting of the real one"
	sleep 1
	[ "$(on alpha sighting list | grep -c '^in ')" = 1 ] || fail "a hit of the exercise is told: $(on alpha sighting list)"
fi

# and what is flash is acknowledged, in sums: by bravo, whose policy says so; to nobody else
if [ -n "$sensor" ]; then
	rules urgent urgent.bad.example >"$dir/urgent.yaml"
	on alpha partner publish "$dir/urgent.yaml" --priority flash --wait >"$dir/out" || fail "publish --wait"
	grep -q '^bravo: 1 of 1 sensors match since t+[0-9]' "$dir/out" || fail "receipt: $(cat "$dir/out")"
	on alpha partner show bravo | grep -q '^receipt_sensors *1$' || fail "show: $(on alpha partner show bravo)"
	rules back back.bad.example >"$dir/back.yaml"
	on bravo partner publish "$dir/back.yaml" --priority flash --wait >"$dir/out" || fail "publish --wait at bravo"
	grep -q '^alpha: no receipt' "$dir/out" || fail "alpha tells, and its policy does not say so: $(cat "$dir/out")"
	on bravo partner show alpha | grep -q receipt_ && fail "alpha has told"
fi

# 3. it grows meanwhile
rules more more.bad.example >"$dir/more.yaml"
on alpha partner publish "$dir/more.yaml" --exercise ke --priority flash >/dev/null || fail "publish"
wait_for 20 says "$flash" '"count":2' || fail "what comes meanwhile is not matched"

# the report of the exercise knows it, too: what came, when, who had it and saw it
on bravo exercise report ke >"$dir/out" || fail "report"
grep -q "  $flash version 1, 1 indicators" "$dir/out" && grep -q "  $flash version [0-9]*, 2 indicators" "$dir/out" || fail "report: $(cat "$dir/out")"
on bravo exercise report ke --json | grep -q "\"set\":\"$flash\",\"version\":[0-9]*,\"indicators\":2" || fail "report --json"
if [ -n "$sensor" ]; then
	wait_for 10 sh -c "PICKET_REDIS=unix:$dir/bravo/redis.sock '$build/picket' exercise report ke | grep -q '   s-1  *has it +[0-9.]* s  *first hit +'" || fail "report of s-1: $(on bravo exercise report ke)"
fi

# 4. it is over: off the sensors, the real set untouched; a gateway that was away finds that out
real=$(cli bravo hget 'picket:{x}:sets' partner-alpha)
gateway_stop bravo
on bravo exercise stop ke >/dev/null || fail "stop"
gateway_start bravo
wait_for 20 says "$flash" '"withdrawn":true' || fail "it stays on the sensors: $(manifest "$flash")"
[ "$(cli bravo hget 'picket:{x}:sets' partner-alpha)" = "$real" ] || fail "the real set changed"
[ -z "$sensor" ] || wait_for 20 armed "$flash" || fail "the sensor keeps it"
cli bravo hvals 'picket:{x}:rows' | grep -q drill.bad.example || fail "it is gone from the store"
[ -n "$sensor" ] || echo "  note  test_partner_exercise.sh: no right to capture here: without a sensor"
echo "  ok    test_partner_exercise.sh"
