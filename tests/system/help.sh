# shellcheck shell=sh disable=SC2034
# What the system tests share; to be sourced with BUILD in $1. Gives $build and a
# private folder $dir; at the end everything that start() started is stopped and
# the folder is gone.
#
#   check LABEL WANT GOT          strings are equal
#   contains LABEL FILE TEXT      a line of the file holds the text
#   gives LABEL CODE COMMAND…     the exit code; output in $dir/out and $dir/err
#   start LOG COMMAND…            in the background, $! is its process; log in $dir/LOG
#   until_ok SECONDS COMMAND…     waits for it to succeed

build=$(cd "${1:?usage: $0 BUILD}" && pwd)
dir=$(mktemp -d "${TMPDIR:-/tmp}/picket-test.XXXXXX")
started=
bad=0

leave() {
	for p in $started ${REDIS_PID:-}; do kill "$p" 2>/dev/null; done
	wait 2>/dev/null
	rm -rf "$dir"
}
trap leave EXIT
trap 'exit 130' INT TERM

wrong() {
	echo "$(basename "$0"): $*" >&2
	bad=1
}

check() { [ "$2" = "$3" ] || wrong "$1: expected \"$2\", found \"$3\""; }

contains() {
	grep -qF -- "$3" "$2" && return
	wrong "$1: no \"$3\" in:"
	head -n 20 "$2" >&2
}

gives() {
	label=$1 want=$2
	shift 2
	code=0
	timeout "${GIVES_SECONDS:-20}" "$@" >"$dir/out" 2>"$dir/err" </dev/null || code=$?
	[ "$code" = "$want" ] && return
	wrong "$label: exit code $code, expected $want; it said:"
	head -n 20 "$dir/err" >&2
}

start() {
	log=$dir/$1
	shift
	: >"$log" # what one before it said there must not be taken for its own
	"$@" >"$log.out" 2>"$log" </dev/null &
	started="$started $!"
}

until_ok() {
	tries=$(($1 * 20))
	shift
	until "$@" >/dev/null 2>&1; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || {
			wrong "still not after the time given: $*"
			return 1
		}
		sleep 0.05
	done
}

# stop PID: asks it to leave, gives its exit code in $code.
stop() {
	kill "$1" 2>/dev/null
	code=0
	wait "$1" || code=$?
}

finish() {
	[ "$bad" -eq 0 ] && echo "  ok    $(basename "$0")"
	exit "$bad"
}
