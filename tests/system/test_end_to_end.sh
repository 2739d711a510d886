#!/bin/sh
# A capture through sensor, collector and Redis, over a unix socket and over
# mutual TLS: what stands in Redis is what picket scan says, counted once, also
# when the same alerts are sent again.
set -u
# shellcheck source=tests/system/help.sh
. tests/system/help.sh
# shellcheck source=tests/system/redis.sh
. tests/system/redis.sh
start_redis "$dir" || exit 1
REDIS=unix:$REDIS_SOCKET

deploy/make-test-ca.sh "$dir/ca" test 5 || wrong "make-test-ca.sh fails"
deploy/make-test-ca.sh "$dir/ca" test 5 sensor tls-1 || wrong "make-test-ca.sh fails for a further sensor"
port=$(deploy/free-port.sh)
cat >"$dir/collector.yaml" <<YAML
listen: {address: ["127.0.0.1:$port"]}
tls: {cert: $dir/ca/collector-1.crt, key: $dir/ca/collector-1.key, ca: $dir/ca/sensor-ca.crt, crl: $dir/ca/sensor-ca.crl}
redis: {address: "$REDIS"}
YAML
start tls.log "$build/picket-collector" -c "$dir/collector.yaml"
tls_collector=$!
start unix.log "$build/picket-collector" --set listen.address="unix:$dir/c.sock" --set listen.plaintext=true --set redis.address="$REDIS"
unix_collector=$!
until_ok 5 grep -q ': ready' "$dir/tls.log" || cat "$dir/tls.log"
until_ok 5 grep -q ': ready' "$dir/unix.log" || cat "$dir/unix.log"

case=tests/golden/dns-tcp
"$build/picket" scan -q --json --rules $case/rules.yaml $case/case.pcap >"$dir/scan.jsonl" || wrong "scan fails"

# Sum of n over all groups, and of one sensor.
sum() {
	for id in $(redis_cli ZRANGE 'picket:{p0}:open' 0 -1); do redis_cli HGET "picket:{p0}:alert:$id" "$1"; done |
		awk '{ s += $1 } END { print s + 0 }'
}

run_sensor() {
	name=$1
	shift
	timeout 20 "$build/picket-sensor" --set sensor.id="$name" --set spool.dir="$dir/spool-$name" -R $case/rules.yaml \
		-r $case/case.pcap -o "$dir/$name.jsonl" "$@" >"$dir/$name.log" 2>&1
	check "sensor $name leaves" 0 $?
}
run_sensor unix-1 --set collector.address="unix:$dir/c.sock"
run_sensor tls-1 --set collector.address="127.0.0.1:$port" --set tls.cert="$dir/ca/tls-1.crt" \
	--set tls.key="$dir/ca/tls-1.key" --set tls.ca="$dir/ca/collector-ca.crt"

# A protocol that only nDPI knows: scan names it, and the sensor tells it in its status.
ntp=tests/golden/protocol-ntp/case.pcap
"$build/picket" scan --rules $case/rules.yaml $ntp 2>"$dir/unread" >/dev/null || wrong "scan of NTP fails"
contains "what no parser reads" "$dir/unread" 'as nDPI calls them: 1'
contains "by its name" "$dir/unread" '  NTP                              1'
"$build/picket" scan --dpi off --rules $case/rules.yaml $ntp 2>&1 >/dev/null | grep -q 'nDPI calls' && wrong "nDPI is off and names flows"
told() { # a sensor that leaves at once may leave before its last status is taken
	timeout 20 "$build/picket-sensor" --set sensor.id=ntp-1 --set spool.dir="$dir/spool-ntp" -R $case/rules.yaml -r $ntp \
		--set collector.address="unix:$dir/c.sock" >"$dir/ntp.log" 2>&1 || return 1
	sleep 0.2
	[ "$(redis_cli HGET picket:sensor:ntp-1 unread.NTP)" = 1 ]
}
until_ok 15 told
redis_cli HGETALL picket:sensor:ntp-1 | grep -q status_cut && wrong "the status has no room in Redis"

# The sensor's own JSON lines are those of scan, but for its id.
alerts=$(wc -l <"$dir/scan.jsonl")
for s in unix-1 tls-1; do
	check "alerts of $s" "$alerts" "$(wc -l <"$dir/$s.jsonl")"
	sed 's/"sensor":{[^}]*}//; s/"alert_id":"[^"]*",//' "$dir/$s.jsonl" >"$dir/$s.plain"
	sed 's/"sensor":{[^}]*}//; s/"alert_id":"[^"]*",//' "$dir/scan.jsonl" | cmp -s - "$dir/$s.plain" || wrong "$s differs from scan"
done

# Hits on the wire: one more than the alerts is the second answer's owner name.
repeats=$("$build/picket" scan --rules $case/rules.yaml $case/case.pcap 2>&1 >/dev/null | awk '$1 == "alerts.repeats" { print $2 }')
hits=$((alerts + ${repeats:-0}))
check "hits of unix-1 in Redis" "$hits" "$(sum sensor:unix-1)"
check "hits of tls-1 in Redis" "$hits" "$(sum sensor:tls-1)"
check "all hits in Redis" $((2 * hits)) "$(sum n)"
check "the day's total" $((2 * hits)) "$(redis_cli HGET "picket:{p0}:day:$(($(date +%s) / 86400))" total)"

"$build/picket" alerts list --json --redis "$REDIS" >"$dir/list.jsonl" || wrong "picket alerts list fails"
for since in "2000-01-01T00:00:00Z $(wc -l <"$dir/list.jsonl")" "1h 0" "2099-01-01T00:00:00Z 0"; do
	"$build/picket" alerts list --json --since "${since% *}" --redis "$REDIS" >"$dir/since.jsonl" || wrong "--since ${since% *} fails"
	check "groups since ${since% *}" "${since#* }" "$(wc -l <"$dir/since.jsonl")"
done
gives "a time that is none" 2 "$build/picket" alerts list --since yesterday --redis "$REDIS"
check "groups listed" "$(redis_cli ZCARD 'picket:{p0}:open')" "$(wc -l <"$dir/list.jsonl")"
contains "list" "$dir/list.jsonl" '"value":"bad.example"'
gives "sensors list" 0 "$build/picket" sensors list --redis "$REDIS"
contains "sensors list" "$dir/out" tls-1
gives "sensors show" 0 "$build/picket" sensors show unix-1 --redis "$REDIS"

# The spool is still there: a second run of the same spool sends nothing twice.
run_sensor tls-1 --set collector.address="127.0.0.1:$port" --set tls.cert="$dir/ca/tls-1.crt" \
	--set tls.key="$dir/ca/tls-1.key" --set tls.ca="$dir/ca/collector-ca.crt"
check "hits after a second run over the same capture" $((2 * hits)) "$(sum sensor:tls-1)"

# A sensor with somebody else's certificate gets nowhere.
timeout 3 "$build/picket-sensor" --set sensor.id=not-me --set spool.dir="$dir/spool-x" -R $case/rules.yaml -r $case/case.pcap \
	--set collector.address="127.0.0.1:$port" --set tls.cert="$dir/ca/tls-1.crt" --set tls.key="$dir/ca/tls-1.key" \
	--set tls.ca="$dir/ca/collector-ca.crt" >"$dir/x.log" 2>&1
check "nothing of an impostor" 0 "$(sum sensor:not-me)"

for c in $tls_collector $unix_collector; do
	stop "$c"
	check "a collector leaves on TERM" 0 "$code"
done
finish
