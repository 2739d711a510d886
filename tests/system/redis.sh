# shellcheck shell=sh
# A redis-server of our own for the tests and the demo: no port, no file, one
# unix socket in a folder that the caller owns. To be sourced.
#
#   . tests/system/redis.sh
#   start_redis DIR [redis.conf option…]   sets REDIS_SOCKET and REDIS_PID
#   redis_cli COMMAND…                     against it
#   stop_redis
#
# start_redis gives 77 ("skip", with a line that says so) when there is no
# redis-server on this machine.

start_redis() {
	redis_dir=$1
	shift
	if ! command -v redis-server >/dev/null 2>&1; then
		echo "SKIP: no redis-server (apt install redis-server)" >&2
		return 77
	fi
	REDIS_SOCKET=$redis_dir/redis.sock
	${REDIS_RUN:-} redis-server --port 0 --unixsocket "$REDIS_SOCKET" --save "" --dir "$redis_dir" \
		--logfile "$redis_dir/redis.log" --hash-max-listpack-value 1024 "$@" &
	REDIS_PID=$!
	tries=0
	until redis_cli ping >/dev/null 2>&1; do
		tries=$((tries + 1))
		if [ "$tries" -gt 100 ] || ! kill -0 "$REDIS_PID" 2>/dev/null; then
			echo "redis-server does not come up; its log:" >&2
			cat "$redis_dir/redis.log" >&2
			return 1
		fi
		sleep 0.05
	done
}

redis_cli() {
	redis-cli -s "$REDIS_SOCKET" "$@"
}

stop_redis() {
	[ -n "${REDIS_PID:-}" ] || return 0
	kill "$REDIS_PID" 2>/dev/null
	wait "$REDIS_PID" 2>/dev/null
	REDIS_PID=
}
