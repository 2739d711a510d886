#!/bin/sh
# Signed sets on their way: push, canary and promote, refusals with their reason,
# rollback and withdrawal, kill -9, a start without the collector, a changed file.
set -u
# shellcheck source=tests/system/help.sh
. tests/system/help.sh
# shellcheck source=tests/system/redis.sh
. tests/system/redis.sh
start_redis "$dir" || exit 1
PICKET_REDIS=unix:$REDIS_SOCKET
export PICKET_REDIS
picket=$build/picket

start collector.log "$build/picket-collector" --set listen.address="unix:$dir/c.sock" --set listen.plaintext=true \
	--set redis.address="$PICKET_REDIS"
collector=$!
until_ok 5 grep -q ': ready' "$dir/collector.log" || cat "$dir/collector.log"

"$picket" rules keygen "$dir/k1.pem" --scope 'apt-*' >"$dir/k1.entry" || wrong "keygen fails"
"$picket" rules keygen "$dir/k2.pem" >"$dir/k2.entry" || wrong "keygen fails"
{ echo keys: && cat "$dir/k1.entry"; } >"$dir/keys.yaml"

sensor() { # sensor N [option…]
	n=$1
	shift
	start "s$n.log" "$build/picket-sensor" -i lo --set sensor.id="s-$n" --set spool.dir="$dir/spool$n" --set dpi.mode=off \
		--set collector.address="unix:$dir/c.sock" --set rules.keys="$dir/keys.yaml" --set rules.dir="$dir/sets$n" "$@" \
		"udp port 5399"
}
sensor 1 --set rules.ring=canary
one=$!
if ! until_ok 5 grep -q 'captures on lo' "$dir/s1.log" 2>/dev/null; then
	echo "test_distribution.sh: no right to capture here: skipped"
	bad=0
	finish
fi
sensor 2
two=$!
sensor 3
for n in 1 2 3; do until_ok 5 grep -q 'connected to the collector' "$dir/s$n.log"; done
takes() { [ "$(redis_cli HGET "picket:sensor:s-$1" takes_sets)" = true ]; }
for n in 1 2 3; do until_ok 5 takes $n; done

rules() { # rules VERSION COUNT: a rule file
	i=0
	printf 'set: {id: apt-demo, version: %s, producer: cert, tlp: amber, valid_until: 2100-01-01}\ndomain:\n' "$1"
	while [ "$i" -lt "$2" ]; do
		echo "  - d$i.example"
		i=$((i + 1))
	done
}
push() {
	"$picket" rules "$@" --wait >"$dir/out" 2>&1
	code=$?
}
all_three() {
	check "$1: exit code" 0 "$code"
	contains "$1" "$dir/out" "3 of 3 sensors match since t+"
}

rules 7 100 >"$dir/r7.yaml"
push push "$dir/r7.yaml" --key "$dir/k1.pem"
all_three "push"
rules 8 101 >"$dir/r8.yaml"
push push "$dir/r8.yaml" --key "$dir/k1.pem" --ring canary --priority flash
contains "canary" "$dir/out" "1 of 1 sensors match"
contains "canary: by delta" "$dir/s1.log" "version 8 is armed: 101 indicators, by delta"
check "the others stay" "" "$(grep -h 'version 8' "$dir/s2.log" "$dir/s3.log")"
push promote apt-demo
all_three "promote"
gives "status" 0 "$picket" rules status apt-demo
contains "status" "$dir/out" "s-3"

gives "older" 3 "$picket" rules push "$dir/r7.yaml" --key "$dir/k1.pem"
contains "older" "$dir/err" "not newer than 8"
rules 9 20 >"$dir/r9.yaml"
push push "$dir/r9.yaml" --key "$dir/k1.pem"
check "shrunken: exit code" 1 "$code"
contains "shrunken" "$dir/out" "0 of 3 sensors match"
contains "shrunken: why" "$dir/out" "lost more than 50 %"
until_ok 10 sh -c "'$picket' sensors show s-2 | grep -q 'sets_refused.apt-demo.*lost more than'"
rules 10 102 >"$dir/r10.yaml"
push push "$dir/r10.yaml" --key "$dir/k2.pem"
contains "another key" "$dir/out" "not trusted here"
push push "$dir/r10.yaml" --key "$dir/k1.pem" --bump
all_three "after the refusals"
sed 's/apt-demo/other/' "$dir/r10.yaml" >"$dir/other.yaml"
push push "$dir/other.yaml" --key "$dir/k1.pem"
contains "scope" "$dir/out" "outside its scope"
push rollback apt-demo --key "$dir/k1.pem" --to 8
all_three "rollback"
contains "rollback" "$dir/s2.log" "version 12 is armed: 101 indicators"

# Killed, and started while the collector is away: what it had is what it has.
kill -9 $two
wait $two 2>/dev/null
stop $collector
sensor 2
two=$!
until_ok 5 grep -q 'armed with 101 indicators' "$dir/s2.log"
kill -9 $two
wait $two 2>/dev/null
# A file that was changed is not believed; the rest of the sensor works.
sed 's/d7.example/dx.example/' "$dir/sets2/apt-demo.pset" >"$dir/changed" && cp "$dir/changed" "$dir/sets2/apt-demo.pset"
sensor 2
until_ok 5 grep -q 'another digest' "$dir/s2.log"
until_ok 5 grep -q 'armed with 0 indicators' "$dir/s2.log"
start collector.log "$build/picket-collector" --set listen.address="unix:$dir/c.sock" --set listen.plaintext=true \
	--set redis.address="$PICKET_REDIS"
until_ok 40 grep -q 'version 12 is armed: 101 indicators' "$dir/s2.log"

# Another key beside the old one, then instead of it.
{ echo keys: && cat "$dir/k1.entry" "$dir/k2.entry"; } >"$dir/keys.yaml"
kill -HUP $one
until_ok 5 sh -c "[ \"\$(grep -c 'armed with 101' '$dir/s1.log')\" = 1 ]"
{ echo keys: && cat "$dir/k2.entry"; } >"$dir/keys.yaml"
kill -HUP $one
until_ok 5 grep -q 'not trusted here' "$dir/s1.log"
{ echo keys: && cat "$dir/k1.entry" "$dir/k2.entry"; } >"$dir/keys.yaml"
kill -HUP $one
until_ok 5 sh -c "[ \"\$(grep -c 'armed with 101' '$dir/s1.log')\" = 2 ]"

until_ok 40 grep -q 'sending from' "$dir/s3.log"

# Decisions: a reason and an end, signed, everywhere, and taken back.
gives "no reason" 2 "$picket" disable add domain d1.example --permanent --key "$dir/k1.pem"
contains "no reason" "$dir/err" "--reason is missing"
gives "no end" 2 "$picket" disable add domain d1.example --reason wrong --key "$dir/k1.pem"
contains "no end" "$dir/err" "--expires TIME or --permanent"
verb() {
	"$picket" "$@" --set apt-local --key "$dir/k1.pem" --wait >"$dir/out" 2>&1
	code=$?
}
verb disable add domain d1.example --reason wrong --expires 30d
all_three "disable"
verb suppress add domain d2.example --source 192.0.2.0/24 --reason "our scanner" --permanent
all_three "suppress"
verb allow add domain d3.example --reason vendor --expires 2100-01-01
all_three "allow"
gives "list" 0 "$picket" suppress list --set apt-local
contains "list" "$dir/out" "our scanner"
for name in d1 www.d3 d3; do python3 tests/system/lookup.py $name.example 5399; done
until_ok 15 sh -c "'$picket' allow list --set apt-local --json | grep -q '\"value\":\"d3.example\".*\"reason\":\"vendor.*\"hidden\":6}'" # three sensors
until_ok 15 sh -c "'$picket' disable list --set apt-local | grep -q ' 3 hidden wrong'"
gives "what allow hid" 0 "$picket" allow list --set apt-local
contains "what allow hid" "$dir/out" "    6 hidden vendor"
redis_cli HSET 'picket:{p0}:alert:0123456789abcdef0123456789abcdef' type domain value d5.example set apt-demo indicator x n 3 \
	severity high producer cert state new >/dev/null
gives "alerts why" 0 "$picket" alerts why 0123456789ab
contains "alerts why: the line" "$dir/out" "domain,d5.example,"
contains "alerts why: the version" "$dir/out" "version 12, until 2100-01-01"
contains "alerts why: decisions" "$dir/out" "none names it"
verb disable rm domain D1.EXAMPLE
all_three "disable rm"
sleep 1 # until the next word of the sensors
gives "the counts go on" 0 "$picket" allow list --set apt-local
contains "the counts go on" "$dir/out" "    6 hidden vendor"
verb disable rm domain d1.example
check "rm of nothing" 1 "$code"
for c in allow suppress disable; do
	gives "$c --help" 0 "$picket" $c --help
	contains "$c --help" "$dir/out" "usage: picket $c add"
done

push withdraw apt-demo --key "$dir/k1.pem" --timeout 40
all_three "withdraw"
contains "withdraw" "$dir/s3.log" "version 13 is armed: 0 indicators, withdrawn"
gives "status of nothing" 1 "$picket" rules status nothing
for c in push rollback promote withdraw status; do
	gives "$c --help" 0 "$picket" rules $c --help
	contains "$c --help" "$dir/out" "usage: picket rules $c"
done
finish
