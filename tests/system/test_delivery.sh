#!/bin/bash
# From a capture to Redis with the real programs: every hit that the sensor's
# ledger counts stands in Redis, once, whoever was absent, killed or restarted in
# between. As root also that SIGHUP brings a revoked certificate into force.
#
#   test_delivery.sh BUILD
set -eu
build=${1:?usage: test_delivery.sh BUILD}
dir=$(mktemp -d)
pids=()
cleanup() {
	for p in "${pids[@]}"; do kill -9 "$p" 2>/dev/null || true; done
	stop_redis
	wait 2>/dev/null || true
	rm -rf "$dir"
}
fail() {
	echo "test_delivery: $*" >&2
	tail -n 15 "$dir"/*.log >&2
	exit 1
}
# shellcheck source=tests/system/redis.sh
. tests/system/redis.sh
trap cleanup EXIT
start_redis "$dir" || { [ $? -eq 77 ] && exit 0; exit 1; }

start_collector() { # OPTION…
	"$build/picket-collector" --set redis.address="unix:$REDIS_SOCKET" "$@" >>"$dir/collector.log" 2>&1 &
	collector=$!
	pids+=("$collector")
}
plain=(--set listen.plaintext=true --set listen.address="unix:$dir/collector.sock")

words() { # SENSOR: how it is called
	sensor=("$build/picket-sensor" -r deploy/demo/recorded.pcap -R deploy/demo/rules.yaml -o "$dir/$1.json"
		--set sensor.id="$1" --set spool.dir="$dir/$1.spool" --set collector.address="unix:$dir/collector.sock")
}
read_capture() { # SENSOR
	words "$1"
	"${sensor[@]}" >"$dir/$1.log" 2>&1
}
read_behind() { # SENSOR: sets reader
	words "$1"
	"${sensor[@]}" >"$dir/$1.log" 2>&1 &
	reader=$!
	pids+=("$reader")
}

# What Redis has counted for a sensor, and what the sensor's ledger says it sent.
counted() {
	redis_cli --raw eval "local t = 0
		for _, k in ipairs(redis.call('KEYS', 'picket:{p0}:alert:*')) do
			if not string.find(k, ':peers', 1, true) then t = t + (redis.call('HGET', k, 'sensor:' .. ARGV[1]) or 0) end
		end
		return t" 0 "$1"
}
raised() {
	awk '$1 == "alerts.raised" || $1 == "alerts.repeats" { for (i = 2; i <= NF; i++) if ($i ~ /^[0-9]+$/) { n += $i; break } }
		END { print n + 0 }' "$dir/$1.log"
}
exact() { # SENSOR TIMES LABEL
	want=$(($(raised "$1") * $2))
	[ "$want" -gt 0 ] || fail "$3: the sensor has raised nothing"
	[ "$(counted "$1")" -eq "$want" ] || fail "$3: raised $want, Redis has $(counted "$1")"
}

start_collector "${plain[@]}"
read_capture one || fail "the sensor fails"
exact one 1 "one run"
[ "$(wc -l <"$dir/one.json")" -eq "$(awk '$1 == "alerts.raised" { print $2 }' "$dir/one.log")" ] ||
	fail "as many JSON lines as alerts raised: $(wc -l <"$dir/one.json")"

read_capture one || fail "the second run fails"
exact one 2 "a second run from the same spool"

kill -9 "$collector" && wait "$collector" 2>/dev/null || true
read_behind two
sleep 1
kill -0 "$reader" 2>/dev/null || fail "the sensor has not waited for its collector"
start_collector "${plain[@]}"
wait "$reader" || fail "the sensor fails when its collector comes late"
exact two 1 "a collector that comes late"

kill -9 "$collector" && wait "$collector" 2>/dev/null || true
read_behind three
sleep 2
kill -9 "$reader"
wait "$reader" 2>/dev/null || true
start_collector "${plain[@]}"
read_capture three || fail "the sensor fails after a kill"
exact three 2 "a sensor that was killed before it could send"
kill "$collector" && wait "$collector" 2>/dev/null || true

# A collector whose certificate is revoked while a sensor speaks to it.
certs=$dir/certs
deploy/make-test-ca.sh "$certs"
port=$(deploy/free-port.sh)
start_collector --set listen.address="127.0.0.1:$port" --set tls.cert="$certs/collector-1.crt" \
	--set tls.key="$certs/collector-1.key" --set tls.ca="$certs/sensor-ca.crt" --set tls.crl="$certs/sensor-ca.crl"
"$build/picket-sensor" -i lo -R deploy/demo/rules.yaml --set sensor.id=sensor-1 --set spool.dir="$dir/live.spool" \
	--set collector.address="127.0.0.1:$port" --set tls.cert="$certs/sensor-1.crt" --set tls.key="$certs/sensor-1.key" \
	--set tls.ca="$certs/collector-ca.crt" --set tls.crl="$certs/collector-ca.crl" >"$dir/live.log" 2>&1 &
live=$!
pids+=("$live")
says() { # FILE TEXT: within five seconds
	for _ in $(seq 100); do
		grep -q "$2" "$1" && return
		sleep 0.05
	done
	return 1
}
if says "$dir/live.log" "captures on lo" && says "$dir/live.log" "connected to the collector"; then
	deploy/make-test-ca.sh --revoke "$certs" collector collector-1
	kill -HUP "$live"
	says "$dir/live.log" "revoked" || fail "a revoked collector is still spoken to after SIGHUP"
elif kill -0 "$live" 2>/dev/null; then
	fail "the live sensor does not reach its collector"
else
	echo "test_delivery: SIGHUP not tried, no capture on lo here" >&2
fi
echo "test_delivery: $(counted one) + $(counted two) + $(counted three) alerts, exact"
