#!/bin/sh
# deploy/redis: the collector, analysts and dashboards can do what they must with
# the users of users.acl, and dashboards nothing else.
set -u
# shellcheck source=tests/system/help.sh
. tests/system/help.sh
# shellcheck source=tests/system/redis.sh
. tests/system/redis.sh
sed 's/#0\{64\}/>secret/' deploy/redis/users.acl >"$dir/users.acl"
sed '/^#/d' deploy/redis/redis.conf >"$dir/extra.conf"
start_redis "$dir" --include "$dir/extra.conf" --aclfile "$dir/users.acl" || exit 1
echo secret >"$dir/password"
export PICKET_REDIS="unix:$REDIS_SOCKET" PICKET_REDIS_PASSWORD=secret

start collector.log "$build/picket-collector" --set listen.address="unix:$dir/c.sock" --set listen.plaintext=true \
	--set redis.address="$PICKET_REDIS" --set redis.user=picket-collector --set redis.password_file="$dir/password"
collector=$!
until_ok 5 grep -q ': ready' "$dir/collector.log" || cat "$dir/collector.log" >&2
for case in dns-tcp http-keepalive-pipelined; do
	timeout 15 "$build/picket-sensor" -q --set sensor.id=s1 --set spool.dir="$dir/spool" --set collector.address="unix:$dir/c.sock" \
		-R tests/golden/$case/rules.yaml -r tests/golden/$case/case.pcap 2>"$dir/sensor.log" || wrong "sensor: $(cat "$dir/sensor.log")"
done
grep -iE 'NOPERM|refuses' "$dir/collector.log" && wrong "the collector's user lacks a right"
id=$(redis_cli ZREVRANGE 'picket:{p0}:open' 0 0)
[ -n "$id" ] || wrong "no alerts in Redis"

gives "analyst: list" 0 "$build/picket" alerts list --redis-user picket-analyst
gives "analyst: close" 0 "$build/picket" alerts close "$id" --note seen --redis-user picket-analyst
gives "analyst: reopen" 0 "$build/picket" alerts reopen "$id" --redis-user picket-analyst
gives "dashboard: list" 0 "$build/picket" alerts list --redis-user picket-dashboard
gives "dashboard: show" 0 "$build/picket" alerts show "$id" --redis-user picket-dashboard
gives "dashboard: sensors" 0 "$build/picket" sensors --redis-user picket-dashboard
code=0
"$build/picket" status --redis-user picket-dashboard >"$dir/out" 2>&1 || code=$?
[ "$code" -le 1 ] || wrong "dashboard: status: $code: $(cat "$dir/out")"
gives "dashboard: close" 4 "$build/picket" alerts close "$id" --redis-user picket-dashboard
refused() { redis-cli -s "$REDIS_SOCKET" --user picket-dashboard --pass secret --no-auth-warning "$@" 2>&1 | grep -q NOPERM || wrong "a dashboard may $*"; }
refused SET picket:x 1
refused DEL "picket:{p0}:alert:$id"
refused GET elsewhere
refused FLUSHALL
refused CONFIG GET '*'
stop "$collector"
finish
