#!/bin/sh
# Prometheus figures of both daemons: every line is as the format says, the figures
# are those of the alerts, and a port that is taken is told at start.
set -u
# shellcheck source=tests/system/help.sh
. tests/system/help.sh
# shellcheck source=tests/system/redis.sh
. tests/system/redis.sh
case=tests/golden/pcapng-two-sections
start_redis "$dir" || exit 1

port=$(deploy/free-port.sh)
start collector.log "$build/picket-collector" --set listen.address="unix:$dir/c.sock" --set listen.plaintext=true \
	--set redis.address="unix:$dir/redis.sock" --set metrics.listen="127.0.0.1:$port"
collector=$!
until_ok 5 grep -q 'metrics at http' "$dir/collector.log"
figures() { tests/system/promtext.py "$1" >"$dir/figures"; }
figures "127.0.0.1:$port" || wrong "the collector's text is not strict"
contains "before any sensor" "$dir/figures" 'picket_collector_alerts_total{} 0'
contains "Redis is there" "$dir/figures" 'picket_collector_redis_ready{} 1'

gives "a capture's alerts" 0 "$build/picket-sensor" --set sensor.id=tok-1 --set spool.dir="$dir/spool" \
	--set collector.address="unix:$dir/c.sock" -R $case/rules.yaml -r $case/case.pcapng
figures "127.0.0.1:$port" || wrong "the collector's text is not strict"
contains "alerts" "$dir/figures" 'picket_collector_alerts_total{} 3'
contains "flushes" "$dir/figures" 'picket_collector_flushes_failed_total{} 0'
contains "none was refused" "$dir/figures" 'picket_collector_connections_refused_total{} 0'

if [ "$(id -u)" -eq 0 ]; then
	echo 'ip,127.77.0.3' >"$dir/live.csv"
	start live.log "$build/picket-sensor" -i lo -R "$dir/live.csv" --set sensor.id=live-1 --set sensor.site='a "b\' \
		--set spool.dir="$dir/spool2" --set collector.address="unix:$dir/c.sock" \
		--set metrics.listen="unix:$dir/m.sock" udp and host 127.77.0.3
	live=$!
	until_ok 5 grep -q 'captures on' "$dir/live.log"
	knocked() {
		bash -c 'echo picket >/dev/udp/127.77.0.3/9' 2>/dev/null
		sleep 0.1
		figures "unix:$dir/m.sock" && grep -q '^picket_sensor_alerts_raised_total{} 1$' "$dir/figures"
	}
	until_ok 5 knocked
	figures "unix:$dir/m.sock" || wrong "the sensor's text is not strict"
	contains "sensor: armed" "$dir/figures" 'picket_sensor_indicators{type=ip} 1'
	contains "sensor: site, escaped and read back" "$dir/figures" 'site=a "b\,version='
	contains "sensor: capture" "$dir/figures" 'picket_sensor_captures_up{} 1'
	received=$(awk '$1 == "picket_sensor_packets_received_total{}" { print $2 }' "$dir/figures")
	ended=$(awk '/^picket_sensor_packets_ended_total/ { s += $2 } END { print s }' "$dir/figures")
	check "sensor: the ledger's ends sum up" "$received" "$ended"
	reported() {
		figures "127.0.0.1:$port" && grep -q '^picket_collector_sensor_alerts_raised_total{sensor=live-1} 1$' "$dir/figures"
	}
	until_ok 12 reported
	contains "collector: what the sensor is" "$dir/figures" 'picket_collector_sensor_info{capture=up,'
	contains "collector: losses" "$dir/figures" 'picket_collector_sensor_packets_dropped_total{sensor=live-1,stage=kernel} 0'
	stop "$live"
	check "a sensor with metrics leaves on TERM" 0 "$code"
	[ -e "$dir/m.sock" ] && wrong "the socket of the metrics stays behind"
fi

gives "a port that is taken" 4 "$build/picket-collector" --set listen.address="unix:$dir/c2.sock" --set listen.plaintext=true \
	--set redis.address="unix:$dir/redis.sock" --set metrics.listen="127.0.0.1:$port"
contains "a port that is taken" "$dir/err" "cannot listen on 127.0.0.1 port $port"
gives "no address" 3 "$build/picket-collector" -T --set metrics.listen=here
contains "no address" "$dir/err" 'metrics.listen: "here" is not'
gives "no address, sensor" 3 "$build/picket-sensor" -T -R $case/rules.yaml --set metrics.listen=here
stop "$collector"
check "a collector with metrics leaves on TERM" 0 "$code"
finish
