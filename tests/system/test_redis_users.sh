#!/bin/sh
# deploy/redis: everybody can do what they must with the users of users.acl, and nothing else.
set -u
# shellcheck source=tests/system/help.sh
. tests/system/help.sh
# shellcheck source=tests/system/redis.sh
. tests/system/redis.sh
sed 's/#0\{64\}/>secret/' deploy/redis/users.acl >"$dir/users.acl"
sed '/^#/d' deploy/redis/redis.conf >"$dir/extra.conf"
start_redis "$dir" --include "$dir/extra.conf" --aclfile "$dir/users.acl" || exit 1
(umask 077 && echo secret >"$dir/password")
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

# ---- nothing else ----
# What each may do with each kind of key: - nothing, r read, w read and write.
may() { redis_cli ACL DRYRUN "$@" 2>&1 | grep -qx OK; }
cat >"$dir/matrix" <<-TABLE
	key                          collector gateway dashboard analyst publisher liaison
	picket:{p0}:alert:0a         w         r       r         w       -         -
	picket:{p15}:alerts          w         r       r         w       -         -
	picket:{p0}:hwm              w         -       r         w       -         -
	picket:{p0}:exercise:open    w         -       r         w       w         -
	picket:schema                w         -       r         r       -         -
	picket:sensors               w         r       r         r       r         r
	picket:sensor:tok-03         w         r       r         r       r         r
	picket:{x}:sets              r         w       -         r       w         w
	picket:{x}:set:apt           r         w       -         r       w         w
	picket:{x}:set:apt:content:1 r         w       -         r       w         w
	picket:{x}:set:apt:receipts:1 w        w       -         r       w         w
	picket:{x}:exercise:keen     -         w       -         -       w         w
	picket:{x}:rows              -         w       -         -       -         w
	picket:{x}:cursor_key        -         w       -         -       -         w
	picket:{x}:partner:commands  -         w       -         -       -         w
	picket:{x}:audit             -         w       -         -       -         w
	picket:elsewhere             -         -       -         -       -         -
	suricata                     -         -       -         -       -         -
	session:42                   -         -       -         -       -         -
TABLE
# shellcheck disable=SC2034,SC2154 # by name, in eval
while read -r key collector_may gateway_may dashboard_may analyst_may publisher_may liaison_may; do
	[ "$key" != key ] || continue
	for user in collector gateway dashboard analyst publisher liaison; do
		eval "want=\$${user}_may"
		got=-
		may picket-$user HGETALL "$key" && got=r
		if may picket-$user HSET "$key" f v; then
			[ $got = r ] && got=w || got=write-only
		fi
		check "picket-$user on $key" "$want" "$got"
	done
done <"$dir/matrix"
for user in collector gateway dashboard analyst publisher liaison; do
	for words in FLUSHALL 'FLUSHDB' 'KEYS *' 'CONFIG SET dir /tmp' 'CONFIG REWRITE' 'ACL LIST' 'ACL SETUSER x' 'DEBUG SLEEP 0' SHUTDOWN \
		'REPLICAOF no one' 'MODULE LIST' MONITOR SAVE BGSAVE BGREWRITEAOF 'CLIENT LIST' 'CLIENT KILL ID 1' 'SCRIPT FLUSH' 'SCRIPT KILL' \
		'FUNCTION LIST' 'SWAPDB 0 1' 'CLUSTER RESET' 'CLUSTER FAILOVER' 'SLOWLOG GET' 'LATENCY RESET' RANDOMKEY 'MIGRATE h 1 k 0 1' \
		'RESTORE picket:{p0}:open 0 x' 'EVAL return 0' 'SUBSCRIBE other'; do
		case "$user $words" in
		'analyst EVAL'* | 'publisher EVAL'* | 'liaison EVAL'* | 'gateway EVAL'*) continue ;; # scripts of theirs; bounded by their keys
		*RANDOMKEY) continue ;; # a name, of the keyspace's command
		esac
		# shellcheck disable=SC2086
		may picket-$user $words && wrong "picket-$user may $words"
	done
done
for user in dashboard analyst; do
	may picket-$user SUBSCRIBE picket:live || wrong "picket-$user may not listen to picket:live"
done
for words in 'SET picket:x 1' "DEL picket:{p0}:alert:$id" 'XADD picket:{p0}:alerts * op new' 'PUBLISH picket:live x' 'EVALSHA 0 0'; do
	# shellcheck disable=SC2086
	may picket-dashboard $words && wrong "a dashboard may $words"
done
# And really, not only as the access list says.
redis-cli -s "$REDIS_SOCKET" --user picket-dashboard --pass secret --no-auth-warning GET 'picket:{x}:cursor_key' 2>&1 |
	grep -q NOPERM || wrong "a dashboard reads the gateways' keys"
stop "$collector"
stop_redis

# ---- their work: other tests, everybody as the user that is meant ----
tests/system/as_users.sh "$build" "$dir/as"
for t in exercise bundle distribution partners; do
	PATH="$dir/as:$PATH" tests/system/test_$t.sh "$dir/as" >"$dir/out" 2>&1 || wrong "test_$t.sh as these users: $(head -n 8 "$dir/out"; tail -n 12 "$dir/out")"
done
finish
