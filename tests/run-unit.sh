#!/bin/sh
# Runs each unit test binary it is given, four at a time (some wait for a disk or a
# clock); prints a test's output only when it fails.
set -u
if [ "$1" = --one ]; then
	out=$2/${3##*/}
	if "$3" >"$out" 2>&1; then
		n=$(grep -c '\[       OK \]' "$out")
		echo "$n" >"$out.passed"
		printf '  ok    %s (%s)\n' "${3##*/}" "$n"
	else
		echo 1 >"$out.failed"
		{ printf '  FAIL  %s\n' "${3##*/}"; cat "$out"; } >"$out.told"
		cat "$out.told"
	fi
	exit 0
fi
dir=$(mktemp -d)
# Tests of what is written durably need no real disk to be durable on.
if [ -w /dev/shm ]; then export TMPDIR=/dev/shm; fi
trap 'rm -rf "$dir"' EXIT
sum() { cat "$dir"/*."$1" 2>/dev/null | awk '{ n += $1 } END { print n + 0 }'; }
printf '%s\n' "$@" | xargs -P 4 -n 1 sh "$0" --one "$dir"
failed=$(sum failed)
printf 'unit: %d passed, %d failed\n' "$(sum passed)" "$failed"
[ "$failed" -eq 0 ]
