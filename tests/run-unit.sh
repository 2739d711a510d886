#!/bin/sh
# Runs each unit test binary it is given; prints its output only when it fails.
set -u
failed=0 passed=0
out=$(mktemp)
trap 'rm -f "$out"' EXIT
for t in "$@"; do
	if "$t" >"$out" 2>&1; then
		n=$(grep -c '\[       OK \]' "$out")
		passed=$((passed + n))
		printf '  ok    %s (%s)\n' "${t##*/}" "$n"
	else
		failed=$((failed + 1))
		printf '  FAIL  %s\n' "${t##*/}"
		cat "$out"
	fi
done
printf 'unit: %d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
