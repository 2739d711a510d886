#!/bin/sh
# The property of the release gate over a real link: random objects, most of which must not go, are
# published for a partner; what must not go is in nothing that the partner holds, in no name of a
# key, and in no line that either gateway says. What may go is there. More: GATE_OBJECTS=100000.
set -eu
cd "$(dirname "$0")/../.."
build=${1:-build}
. tests/system/partners.sh
partners_test leak
n=${GATE_OBJECTS:-2000}
mkdir "$dir/made"
GATE_OBJECTS=$n GATE_WRITE=$dir/made "$build/tests/unit/test_gate" >"$dir/made/said" 2>&1 || fail "$(cat "$dir/made/said")"
seed=$(grep -o 'GATE_SEED=.*' "$dir/made/said")
sed -i 's/"jp"/"bravo"/g' "$dir/made/bundle.json"
partners_start "$dir" "$build" "$(cat "$dir/made/release.yaml")
inbound: {mode: auto}" "release: {tlp_max: clear, profile: picket}
inbound: {mode: auto, rate: 1000000, burst: 1000000}" || fail "start"
code=0 # 5: those that tell of a way to us are left out
on alpha partner publish "$dir/made/bundle.json" >"$dir/said" 2>&1 || code=$?
[ "$code" = 5 ] && grep -q 'left out: it came from' "$dir/said" || fail "publish: $code, $(tail -n 5 "$dir/said")"
# the last of all is one that goes whatever the policy is
echo 'set: {id: last, version: 1, producer: alpha, tlp: clear, releasable_to: [g0], valid_until: 2099-01-01T00:00:00Z}
hostname: [the-last-of-all.example]' >"$dir/last.yaml"
on alpha partner publish "$dir/last.yaml" >/dev/null || fail "publish"
wait_for 60 sh -c "redis-cli -s $dir/bravo/redis.sock hvals 'picket:{x}:rows' | grep -q the-last-of-all" || fail "the last did not come ($seed)"
cli bravo --scan | while read -r key; do
	cli bravo dump "$key"
	echo "$key"
done >"$dir/bravo.bytes"
cat "$dir/bravo/gateway.log" "$dir/alpha/gateway.log" >"$dir/logs"
on bravo partner review alpha >>"$dir/logs" 2>&1
for what in bravo.bytes logs; do
	grep -aoFf "$dir/made/forbidden" "$dir/$what" | sort -u >"$dir/found"
	[ ! -s "$dir/found" ] || fail "$(wc -l <"$dir/found") forbidden texts are in $what ($seed): $(head -n 3 "$dir/found")"
done
sort -u "$dir/made/may" >"$dir/want"
grep -aoFf "$dir/want" "$dir/bravo.bytes" | sort -u >"$dir/found"
comm -23 "$dir/want" "$dir/found" >"$dir/missing"
[ ! -s "$dir/missing" ] || fail "$(wc -l <"$dir/missing") of $(wc -l <"$dir/want") texts that may go are missing ($seed): $(head -n 3 "$dir/missing")"
[ "$(wc -l <"$dir/want")" -gt 20 ] || fail "the policy lets nothing go ($seed)"
echo "  ok    test_partner_leak.sh ($n objects: $(wc -l <"$dir/want") texts went, $(wc -l <"$dir/made/forbidden") did not)"
