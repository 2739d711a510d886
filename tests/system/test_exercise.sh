#!/bin/sh
# An exercise beside real work: start, inject, hits apart from real ones, the report,
# stop (sensors match with what they had), forget; and what is refused.
set -u
# shellcheck source=tests/system/help.sh
. tests/system/help.sh
# shellcheck source=tests/system/redis.sh
. tests/system/redis.sh
start_redis "$dir" || exit 1
PICKET_REDIS=unix:$REDIS_SOCKET
export PICKET_REDIS
picket=$build/picket
port=5398

start collector.log "$build/picket-collector" --set listen.address="unix:$dir/c.sock" --set listen.plaintext=true \
	--set redis.address="$PICKET_REDIS"
until_ok 5 grep -q ': ready' "$dir/collector.log" || cat "$dir/collector.log"
"$picket" rules keygen "$dir/k.pem" >"$dir/k.entry" || wrong "keygen fails"
{ echo keys: && cat "$dir/k.entry"; } >"$dir/keys.yaml"
for n in 1 2; do
	start "s$n.log" "$build/picket-sensor" -i lo --set sensor.id="s-$n" --set spool.dir="$dir/spool$n" --set dpi.mode=off \
		--set collector.address="unix:$dir/c.sock" --set rules.keys="$dir/keys.yaml" --set rules.dir="$dir/sets$n" \
		"udp port $port"
done
if ! until_ok 5 grep -q 'captures on lo' "$dir/s1.log" 2>/dev/null; then
	echo "test_exercise.sh: no right to capture here: skipped"
	bad=0
	finish
fi
takes() { [ "$(redis_cli HGET "picket:sensor:s-$1" takes_sets)" = true ]; }
for n in 1 2; do until_ok 15 takes $n; done

rules() { # rules SET NAME: a rule file
	printf 'set: {id: %s, version: 1, producer: cert, tlp: amber, valid_until: 2100-01-01}\ndomain: [%s]\n' "$1" "$2"
}
lookup() { # a DNS question for a name, over loopback
	python3 - "$1" $port <<-'END'
		import socket, sys
		name = b"".join(bytes([len(p)]) + p.encode() for p in sys.argv[1].split("."))
		s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		s.sendto(b"\x12\x34\x01\x00\x00\x01\0\0\0\0\0\0" + name + b"\0\0\x01\0\x01", ("127.0.0.1", int(sys.argv[2])))
	END
}
held() { sed -n 's/.*"digest":"\([0-9a-f]*\)".*/\1/p' "$dir/sets$1"/*.pset | sort; }
count() { redis_cli ZCARD "picket:{p0}:$1"; }
counts() { [ "$(count "$1")" = "$2" ]; }

rules real bad.example >"$dir/real.yaml"
gives "a real set" 0 "$picket" rules push "$dir/real.yaml" --key "$dir/k.pem" --wait
before=$(held 1)
[ -n "$before" ] || wrong "sensor 1 holds no set"

rules drill drill.example >"$dir/drill.yaml"
gives "inject before start" 1 "$picket" exercise inject KEEN-26 "$dir/drill.yaml" --key "$dir/k.pem"
gives "start" 0 "$picket" exercise start KEEN-26 --title 'winter drill' --until 8h
gives "start twice" 3 "$picket" exercise start KEEN-26
contains "start twice" "$dir/err" "running already"
gives "a name" 2 "$picket" exercise start 'KEEN 26'
gives "until" 2 "$picket" exercise start X --until never
gives "until what is past" 2 "$picket" exercise start X --until "$(date -u -d yesterday +%Y-%m-%dT%H:%M:%SZ)"
gives "inject" 0 "$picket" exercise inject KEEN-26 "$dir/drill.yaml" --key "$dir/k.pem" --wait
contains "inject" "$dir/out" "2 of 2 sensors match"
gives "a real set as an exercise" 3 "$picket" exercise inject KEEN-26 "$dir/real.yaml" --key "$dir/k.pem"
contains "a real set as an exercise" "$dir/err" "a real one"
gives "an exercise's set as real" 3 "$picket" rules push "$dir/drill.yaml" --bump --key "$dir/k.pem"
contains "an exercise's set as real" "$dir/err" "exercise KEEN-26"

lookup www.drill.example
lookup www.bad.example
until_ok 10 counts exercise:open 1
until_ok 10 counts open 1
check "real entries" 0 "$(redis_cli XRANGE 'picket:{p0}:alerts' - + | grep -cE 'drill|EXERCISE')"
id=$(redis_cli ZRANGE 'picket:{p0}:exercise:open' 0 0)
both_told() { [ "$(redis_cli XLEN 'picket:{p0}:exercise:alerts')" = 2 ]; } # new, and one more sensor
until_ok 10 both_told
check "it says so" 2 "$(redis_cli XRANGE 'picket:{p0}:exercise:alerts' - + | grep -c '"signature":"EXERCISE 演習 ')"
gives "alerts" 0 "$picket" alerts list --json
check "alerts: real ones only" 0 "$(grep -c drill.example "$dir/out")"
gives "alerts --exercise" 0 "$picket" alerts list --exercise
contains "alerts --exercise" "$dir/out" "EXERCISE KEEN-26"
gives "ack" 0 "$picket" alerts ack "$id" --exercise --note seen
gives "ack a real one of that name" 1 "$picket" alerts ack "$id"

# Both sensors saw the question: the second one is a transition with a reason.
until_ok 10 sh -c "'$picket' exercise report KEEN-26 --json | grep -q '\"hits\":[2-9]'"
gives "report" 0 "$picket" exercise report KEEN-26
for word in 'winter drill' 'drill version 1, 1 indicators' 'on 2 sensors' '1 judged' 's-1' 's-2'; do
	contains "report" "$dir/out" "$word"
done
check "first hits: of all, of each sensor" 3 "$("$picket" exercise report KEEN-26 --json | grep -o '"first_hit":"2' | wc -l)"
gives "list" 0 "$picket" exercise list
contains "list" "$dir/out" "KEEN-26"

gives "forget while it runs" 3 "$picket" exercise forget KEEN-26
gives "stop without a key" 2 "$picket" exercise stop KEEN-26
gives "stop" 0 "$picket" exercise stop KEEN-26 --key "$dir/k.pem" --wait
contains "stop" "$dir/out" "EXERCISE KEEN-26 is over"
gives "stop twice" 3 "$picket" exercise stop KEEN-26 --key "$dir/k.pem"
gives "inject after stop" 3 "$picket" exercise inject KEEN-26 "$dir/drill.yaml" --key "$dir/k.pem"
for n in 1 2; do
	contains "sensor $n: the real set is as it was" "$dir/sets$n/real.pset" "$before"
	contains "sensor $n: the drill is over" "$dir/s$n.log" "0 indicators, withdrawn"
done
lookup again.drill.example
lookup again.bad.example
real_again() { [ "$(redis_cli HGET "picket:{p0}:alert:$(redis_cli ZRANGE 'picket:{p0}:open' 0 0)" n)" -ge 4 ]; }
until_ok 10 real_again
check "nothing more of the drill" 2 "$(redis_cli HGET "picket:{p0}:exercise:alert:$id" n)"

gives "forget" 0 "$picket" exercise forget KEEN-26
check "no group is left" "" "$(redis_cli KEYS 'picket:{p0}:exercise:alert:*')"
counts exercise:open 0 || wrong "the index still has the group"
gives "report of nothing" 1 "$picket" exercise report KEEN-26
gives "--help" 0 "$picket" exercise --help
finish
