# shellcheck shell=sh
# Two organisations for tests and the demo: alpha calls bravo. To be sourced.
#
#   . tests/system/partners.sh
#   partners_start DIR BUILD [alpha's policy for bravo: more YAML] [bravo's for alpha]
#   on alpha COMMAND…        picket COMMAND… against alpha's Redis
#   gateway_start ORG, gateway_stop ORG [SIGNAL]
#   wait_for SECONDS COMMAND…
#   partners_stop
#
# And for tests alone:
#
#   partners_test NAME       dir is a folder of its own, gone at the end with everything that ran in it and all pids
#   fail WORDS…              says so, shows the logs, exits 1
#   lookup NAME PORT         a DNS question on loopback

on() {
	org=$1
	shift
	PICKET_REDIS=unix:$partners_dir/$org/redis.sock "$partners_build/picket" "$@"
}

cli() {
	org=$1
	shift
	redis-cli -s "$partners_dir/$org/redis.sock" "$@"
}

wait_for() {
	tries=$(($1 * 20))
	shift
	until "$@" >/dev/null 2>&1; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || return 1
		sleep 0.05
	done
}

gateway_start() {
	"$partners_build/picket-gateway" -c "$partners_dir/$1/gateway.yaml" >>"$partners_dir/$1/gateway.log" 2>&1 &
	echo $! >"$partners_dir/$1/gateway.pid"
}

gateway_stop() {
	[ -e "$partners_dir/$1/gateway.pid" ] || return 0
	kill "-${2:-TERM}" "$(cat "$partners_dir/$1/gateway.pid")" 2>/dev/null || true
	wait "$(cat "$partners_dir/$1/gateway.pid")" 2>/dev/null || true
	while kill -0 "$(cat "$partners_dir/$1/gateway.pid")" 2>/dev/null; do sleep 0.05; done
}

# Its configuration and policies anew.
gateway_reload() {
	loaded=$(grep -c 'configuration loaded again' "$partners_dir/$1/gateway.log" || true)
	kill -HUP "$(cat "$partners_dir/$1/gateway.pid")"
	wait_for 10 sh -c "[ \"\$(grep -c 'configuration loaded again' '$partners_dir/$1/gateway.log')\" -gt $loaded ]"
}

partners_leave() {
	for pid in $pids; do kill "$pid" 2>/dev/null || true; done
	[ -z "${partners_dir:-}" ] || partners_stop
	for pid in $pids; do wait "$pid" 2>/dev/null || true; done
	rm -rf "$dir"
}

partners_test() {
	command -v redis-server >/dev/null || {
		echo "SKIP: no redis-server (apt install redis-server)"
		exit 0
	}
	dir=$(mktemp -d "/tmp/picket-test-$1.XXXXXX")
	pids=
	trap partners_leave EXIT
}

fail() {
	echo "FAIL: $*" >&2
	tail -n 20 "$dir"/*/*.log >&2
	exit 1
}

lookup() { python3 tests/system/lookup.py "$@"; }

partner_policy() { # ORG PARTNER ADDRESS-LINE MORE
	cat >"$partners_dir/$1/partners/$2.yaml" <<-POLICY
		partner: {id: $2, title: "Organisation $2"}
		link: {identity: "picket://$2/partner/gw-$2"$3}
		$4
	POLICY
}

partners_start() {
	partners_dir=$1
	partners_build=$2
	port=$(deploy/free-port.sh)
	mkdir -p "$partners_dir/tls"
	for org in alpha bravo; do
		mkdir -p "$partners_dir/$org/partners"
		deploy/make-test-ca.sh "$partners_dir/tls" "$org" 90 partner "gw-$org"
		redis-server --port 0 --unixsocket "$partners_dir/$org/redis.sock" --save "" --rdbcompression no --dir "$partners_dir/$org" \
			--logfile "$partners_dir/$org/redis.log" --hash-max-listpack-value 1024 \
			--pidfile "$partners_dir/$org/redis.pid" --daemonize yes >/dev/null
		listen=
		[ "$org" = alpha ] || listen=", address: \"127.0.0.1:$port\""
		sets=
		[ ! -e "$partners_dir/$org.pem" ] || sets="sets: {key: $partners_dir/$org.pem}"
		cat >"$partners_dir/$org/gateway.yaml" <<-CONF
			gateway: {org: $org}
			partners: {dir: $partners_dir/$org/partners}
			links: {cert: $partners_dir/tls/gw-$org.crt, key: $partners_dir/tls/gw-$org.key, ca: $partners_dir/tls/partner-ca.crt$listen}
			redis: {address: "unix:$partners_dir/$org/redis.sock"}
			metrics: {listen: "unix:$partners_dir/$org/metrics.sock"}
			$sets
		CONF
	done
	partner_policy alpha bravo ", address: \"127.0.0.1:$port\"" "$3"
	partner_policy bravo alpha "" "$4"
	for org in bravo alpha; do
		wait_for 10 cli "$org" ping
		gateway_start "$org"
	done
}

partners_stop() {
	for org in alpha bravo; do
		[ -e "$partners_dir/$org/redis.pid" ] || continue
		gateway_stop "$org"
		redis_pid=$(cat "$partners_dir/$org/redis.pid")
		kill "$redis_pid" 2>/dev/null || true
		while kill -0 "$redis_pid" 2>/dev/null; do sleep 0.05; done
	done
}
