#!/bin/sh
# TLS to Redis: whom the collector believes, and the examples of deploy/local.sh with
# Sentinel and with a Cluster, where `picket alerts` reads and decides through the
# collector's configuration.
set -u
# shellcheck source=tests/system/help.sh
. tests/system/help.sh
case=tests/golden/pcapng-two-sections
port=$(deploy/free-port.sh 10)

make_ca() { # make_ca NAME
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3 -subj "/CN=$1" \
		-keyout "$dir/$1.key" -out "$dir/$1.crt" 2>/dev/null
}
make_cert() { # make_cert NAME CA SAN [DAYS]
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" -keyout "$dir/$1.key" -out "$dir/$1.csr" 2>/dev/null
	echo "subjectAltName = $3" >"$dir/$1.ext"
	openssl x509 -req -in "$dir/$1.csr" -CA "$dir/$2.crt" -CAkey "$dir/$2.key" -days "${4:-3}" -extfile "$dir/$1.ext" \
		-out "$dir/$1.crt" 2>/dev/null
}
make_ca ca
make_ca other-ca
make_cert redis ca DNS:redis.example,IP:127.0.0.1
make_cert client ca DNS:client.example
make_cert stranger other-ca DNS:client.example
start_tls() { # start_tls OPTION…
	redis-server --port $((port + 1)) --bind 127.0.0.1 --tls-port "$port" --tls-cert-file "$dir/redis.crt" --tls-key-file "$dir/redis.key" \
		--tls-ca-cert-file "$dir/ca.crt" --save "" --dir "$dir" --logfile "$dir/redis.log" "$@" &
	REDIS_PID=$!
	until_ok 5 redis-cli -p $((port + 1)) ping
}
stop_tls() {
	kill "$REDIS_PID" && wait "$REDIS_PID"
	REDIS_PID=
}
collector() { # collector LOG --set…
	log=$1
	shift
	start "$log" "$build/picket-collector" --set listen.address="unix:$dir/c.sock" --set listen.plaintext=true \
		--set redis.tls=true --set redis.tls_ca="$dir/ca.crt" "$@"
	collector=$!
}
refused() { # refused LABEL SENTENCE --set…
	label=$1 sentence=$2
	shift 2
	rm -f "$dir/refused.log" # start() empties it a moment later
	collector refused.log --set redis.address="127.0.0.1:$port" "$@"
	until_ok 10 grep -q 'sensors keep their alerts' "$dir/refused.log"
	contains "$label" "$dir/refused.log" "$sentence"
	stop "$collector"
}

# ---- one Redis: whom we believe ----
start_tls --tls-auth-clients yes
mine="--set redis.tls_cert=$dir/client.crt --set redis.tls_key=$dir/client.key"
# shellcheck disable=SC2086
{
	refused "a CA that did not sign it" "certificate is not acceptable" $mine --set redis.tls_ca="$dir/other-ca.crt"
	refused "the system's CAs" "certificate is not acceptable" $mine --set redis.tls_ca=
	refused "another name" "its certificate is not for other.example" $mine --set redis.tls_name=other.example
	refused "a port without TLS" "Redis has not answered" $mine --set redis.timeout=500ms --set redis.address="127.0.0.1:$((port + 1))"
}
refused "no certificate of ours" "Redis at 127.0.0.1:$port"
refused "a certificate of somebody else's" "Redis at 127.0.0.1:$port" --set redis.tls_cert="$dir/stranger.crt" --set redis.tls_key="$dir/stranger.key"
# shellcheck disable=SC2086
gives "a key without its certificate" 3 "$build/picket-collector" -T --set listen.plaintext=true --set redis.tls=true \
	--set redis.address=127.0.0.1:1 --set redis.tls_key="$dir/client.key"
contains "a key without its certificate" "$dir/err" "belong together"
gives "a CA that is not there" 3 "$build/picket-collector" -T --set listen.plaintext=true --set redis.tls=true \
	--set redis.address=127.0.0.1:1 --set redis.tls_ca=/nowhere
contains "a CA that is not there" "$dir/err" "cannot load the CA /nowhere"
gives "TLS on a unix socket" 3 "$build/picket-collector" -T --set listen.plaintext=true --set redis.tls=true
contains "TLS on a unix socket" "$dir/err" "a unix socket has no TLS"

# shellcheck disable=SC2086
collector good.log --set redis.address="127.0.0.1:$port" --set redis.tls_name=redis.example $mine
until_ok 5 grep -q ': ready' "$dir/good.log"
gives "alerts over TLS" 0 "$build/picket-sensor" --set sensor.id=a --set spool.dir="$dir/spool" --set collector.address="unix:$dir/c.sock" \
	-R $case/rules.yaml -r $case/case.pcapng
check "groups over TLS" 1 "$(redis-cli -p $((port + 1)) zcard 'picket:{p0}:open')"
# shellcheck disable=SC2086
gives "picket alerts over TLS" 0 "$build/picket" alerts --json --redis-set tls=true --redis-set tls_ca="$dir/ca.crt" \
	--redis-set tls_cert="$dir/client.crt" --redis-set tls_key="$dir/client.key" --redis "127.0.0.1:$port"
check "picket alerts over TLS" 1 "$(wc -l <"$dir/out")"
# The gateway has the same keys.
gateway() { start gateway.log "$build/picket-gateway" --set redis.tls=true --set redis.address="127.0.0.1:$port" --set redis.tls_name=redis.example "$@"; }
# shellcheck disable=SC2086
gateway --set redis.tls_ca="$dir/ca.crt" $mine
until_ok 10 grep -q 'Redis is ready' "$dir/gateway.log"
stop "$!"
check "the gateway leaves" 0 "$code"
# shellcheck disable=SC2086
gateway --set redis.tls_ca="$dir/other-ca.crt" $mine
until_ok 10 grep -q 'certificate is not acceptable.*partners get "try again"' "$dir/gateway.log"
stop "$!"
# Redis goes and comes back with TLS 1.2 only and a certificate that was issued anew.
stop_tls
make_cert redis ca DNS:redis.example,IP:127.0.0.1
start_tls --tls-auth-clients no --tls-protocols TLSv1.2
until_ok 10 sh -c "[ \$(grep -c ': ready' '$dir/good.log') -ge 2 ]"
stop "$collector"
check "the collector leaves" 0 "$code"
stop_tls

# ---- the examples, with TLS on every connection to Redis ----
alerts() { "$build/picket" alerts "$@" --config "$dir/$mode/collector-2.yaml"; }
status() { "$build/picket" status --json --config "$dir/$mode/collector-3.yaml"; }
has_groups() { [ "$(alerts --json | wc -l)" = "$1" ]; }
for mode in sentinel cluster; do
	start $mode.log deploy/local.sh $mode --tls "$build" "$dir/$mode"
	example=$!
	until_ok 60 test -e "$dir/$mode/ready" || cat "$dir/$mode.log" "$dir/$mode.log.out" >&2
	gives "$mode: a capture" 0 "$build/picket-sensor" -q -c "$dir/$mode/sensor.yaml" -R deploy/demo/rules.yaml -r deploy/demo/recorded.pcap
	until_ok 10 has_groups 8
	alerts --json >"$dir/list"
	id=$(sed -n 's/^{"id":"\([0-9a-f]*\)".*"value":"c2.malware.example".*/\1/p' "$dir/list")
	sed 's/.*"last_seen":"\([^"]*\)...Z".*/\1/' "$dir/list" >"$dir/times" # milliseconds are what the index sorts by
	check "$mode: newest first" "$(sort -r "$dir/times")" "$(cat "$dir/times")"
	check "$mode: a limit" 3 "$(alerts --json --limit 3 | wc -l)"
	alerts show "$(printf %.6s "$id")" >"$dir/show" || wrong "$mode: show"
	contains "$mode: show" "$dir/show" "c2.malware.example"
	contains "$mode: the event from the stream" "$dir/show" "first event:"
	alerts ack "$id" --note seen >"$dir/ack" || wrong "$mode: ack"
	contains "$mode: ack" "$dir/ack" "acknowledged (was new)"
	alerts close "$id" >"$dir/close" || wrong "$mode: close"
	has_groups 7 || wrong "$mode: a closed group is still open"
	check "$mode: closed ones" 1 "$(alerts --state closed --json | wc -l)"
	check "$mode: all" 8 "$(alerts --state all --json | wc -l)"
	timeout 2 "$build/picket" alerts tail -n 20 --json --config "$dir/$mode/collector-1.yaml" >"$dir/tail"
	check "$mode: tail" 8 "$(wc -l <"$dir/tail")"
	status >"$dir/status"
	contains "$mode: status" "$dir/status" '"open":7'
	contains "$mode: status" "$dir/status" '"alerts_today":24'
	"$build/picket" sensors --config "$dir/$mode/collector-1.yaml" >"$dir/sensors" || wrong "$mode: sensors"
	contains "$mode: sensors" "$dir/sensors" "sensor-1"
	stop "$example"
done
gives "sentinels that are not there" 4 "$build/picket" alerts --redis-set mode=sentinel --redis-set nodes="127.0.0.1:$((port + 9))"
contains "sentinels that are not there" "$dir/err" "cannot reach Redis at 127.0.0.1:$((port + 9))"
gives "a setting that is none" 4 "$build/picket" alerts --redis-set redis.mode=circle
contains "a setting that is none" "$dir/err" "circle"
finish
