#!/bin/sh
# Golden cases: each folder below tests/golden holds a capture, rules, the alerts
# that picket scan must raise (expected.jsonl, byte for byte) and its exit code if
# it is not 0 (exit). Run with UPDATE=1 to write what it says now, and read the
# difference before committing it.
set -u
build=$1
failed=0 passed=0
out=$(mktemp)
trap 'rm -f "$out" "$out.err"' EXIT
for c in tests/golden/*/; do
	c=${c%/}
	[ -e "$c/expected.jsonl" ] || [ "${UPDATE:-}" ] || continue
	"$build/picket" scan --quiet --json --rules "$c/rules.yaml" "$c"/case.pcap* >"$out" 2>"$out.err"
	code=$?
	[ "${UPDATE:-}" ] && cp "$out" "$c/expected.jsonl"
	want=$(cat "$c/exit" 2>/dev/null || echo 0)
	if [ "$code" = "$want" ] && cmp -s "$out" "$c/expected.jsonl"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "golden: $c: exit code $code, expected $want"
		diff "$c/expected.jsonl" "$out" | head -n 10
		cat "$out.err"
	fi
done
echo "golden: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
