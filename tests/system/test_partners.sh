#!/bin/sh
# Two organisations, two gateways, a link: what may go goes, what may not is in no
# byte of the other side, the link goes on where it was after kill -9, people's
# decisions have their effect, and a changed audit stream is noticed.
set -eu
cd "$(dirname "$0")/../.."
build=${1:-build}
. tests/system/partners.sh
partners_test partners

partners_start "$dir" "$build" \
	'release: {tlp_max: amber, groups: [coalition], unaddressed: green, profile: picket, exercises: [ke], types: [indicator, identity, marking-definition, sighting]}
inbound: {mode: auto}' \
	'release: {tlp_max: amber, groups: [coalition], profile: picket}
inbound: {mode: review, tlp_max: amber, exercises: []}' 2>/dev/null || true
# an unknown key is an error, with its place
"$build/picket-gateway" -T -c "$dir/bravo/gateway.yaml" >"$dir/out" 2>&1 && fail "an unknown key passes"
grep -q 'alpha.yaml:4:41: error: unknown key "inbound.exercises"' "$dir/out" || fail "the place of an unknown key: $(cat "$dir/out")"
sed -i 's/, exercises: \[\]//' "$dir/bravo/partners/alpha.yaml"
"$build/picket-gateway" -T -c "$dir/bravo/gateway.yaml" >/dev/null || fail "the policy is not accepted"
gateway_start bravo
wait_for 10 sh -c "grep -q 'link with bravo is up' '$dir/alpha/gateway.log'" || fail "no link"

# 1. what may go, and what may not
cat >"$dir/apt.yaml" <<'RULES'
set: {id: apt, version: 1, producer: alpha, tlp: amber, releasable_to: [coalition, canary-group], valid_until: 2030-03-01T00:00:00Z}
domain: [bad.example, worse.example]
indicators:
  - {id: C-1, ip: 203.0.113.66, tlp: red, note: {en: "canary-note"}}
  - {id: C-2, hostname: canary-red.example, tlp: red}
RULES
sed 's/coalition, canary-group/canary-other/; s/id: apt/id: other/; s/bad\.ex/canary-bad.ex/; s/worse/canary-worse/' "$dir/apt.yaml" >"$dir/other.yaml"
cat >"$dir/plain.json" <<'STIX'
{"type":"bundle","id":"bundle--01234567-0123-4123-8123-0123456789ab","objects":[
{"type":"indicator","spec_version":"2.1","id":"indicator--01234567-0123-4123-8123-000000000001","created":"2026-11-20T00:00:00.000Z","modified":"2026-11-20T00:00:00.000Z","pattern":"[url:value = 'http://unmarked.example/canary']","pattern_type":"stix","valid_from":"2026-11-20T00:00:00Z"},
{"type":"indicator","spec_version":"2.1","id":"indicator--01234567-0123-4123-8123-000000000002","created":"2026-11-20T00:00:00.000Z","modified":"2026-11-20T00:00:00.000Z","pattern":"[url:value = 'http://good.example/x']","pattern_type":"stix","valid_from":"2026-11-20T00:00:00Z","description":"canary-description","x_internal":"canary-custom","created_by_ref":"identity--01234567-0123-4123-8123-00000000cafe","object_marking_refs":["marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"],"granular_markings":[{"marking_ref":"marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1","selectors":["description"]}]},
{"type":"indicator","spec_version":"2.1","id":"indicator--01234567-0123-4123-8123-000000000003","created":"2026-11-20T00:00:00.000Z","modified":"2026-11-20T00:00:00.000Z","pattern":"[url:value = 'http://canary-of-an-exercise.example/x']","pattern_type":"stix","valid_from":"2026-11-20T00:00:00Z","object_marking_refs":["marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"],"extensions":{"extension-definition--134945c3-8bed-546c-83b9-48a31fdfb4b2":{"extension_type":"property-extension","exercise":"other"}}}]}
STIX
on alpha partner publish "$dir/apt.yaml" "$dir/other.yaml" "$dir/plain.json" >"$dir/out" || fail "publish: $(cat "$dir/out")"
wait_for 10 sh -c "[ \$(redis-cli -s $dir/bravo/redis.sock zcard 'picket:{x}:partner-alpha:last') = 3 ]" || fail "three objects should have come"
sleep 0.3
[ "$(cli bravo zcard 'picket:{x}:partner-alpha:last')" = 3 ] || fail "more came than may"
on bravo partner review alpha >"$dir/review"
[ "$(grep -c '^review ' "$dir/review")" = 3 ] || fail "review: $(cat "$dir/review")"

# 2. canaries: in nothing that bravo has or that was said to it
cli bravo --scan | while read -r key; do
	cli bravo dump "$key"
	echo "$key"
done >"$dir/bravo.bytes"
cat "$dir/bravo/gateway.log" >>"$dir/bravo.bytes"
grep -aq 'good.example' "$dir/bravo.bytes" || fail "the search would find nothing"
! grep -aq -e canary -e cafe "$dir/bravo.bytes" || fail "a canary got through: $(grep -ao -e '.\{20\}canary.\{20\}' "$dir/bravo.bytes")"

# 3. why, and the audit stream
on alpha partner why bravo indicator--01234567-0123-4123-8123-000000000001 --policies "$dir/alpha/partners" --org alpha >"$dir/out"
grep -q 'unmarked: ' "$dir/out" || fail "why: $(cat "$dir/out")"
on alpha partner audit | grep -q 'bravo link indicator--01234567-0123-4123-8123-000000000002 2026-11-20T00:00:00.000Z redacted' || fail "audit"
on alpha partner audit --verify >"$dir/out" || fail "$(cat "$dir/out")"
head=$(on alpha partner audit --head)

# 4. accept: one becomes active; revoke: it is for ever
on bravo partner accept alpha indicator--01234567-0123-4123-8123-000000000002 >"$dir/out" || fail "accept: $(cat "$dir/out")"
grep -q '^1 objects of alpha accepted' "$dir/out" || fail "accept: $(cat "$dir/out")"
on bravo partner review alpha | grep -q 000000000002 && fail "it still waits"
on alpha partner revoke indicator--01234567-0123-4123-8123-000000000002 >/dev/null
wait_for 10 sh -c "redis-cli -s $dir/bravo/redis.sock hvals 'picket:{x}:rows' | grep -q revoked.:true" || fail "the revocation did not come"

# reject: what waits is put away, and the figures say all this
id=$(on bravo partner review alpha | sed -n 's/^review .*\(indicator--[0-9a-f-]*\).*/\1/p' | head -n 1)
on bravo partner reject alpha "$id" --reason 'not ours' >"$dir/out" || fail "reject: $(cat "$dir/out")"
[ "$(on bravo partner review alpha | grep -c '^review ')" = 1 ] || fail "after reject: $(on bravo partner review alpha)"
for org in alpha bravo; do
	tests/system/promtext.py "unix:$dir/$org/metrics.sock" >"$dir/$org.figures" || fail "the figures of $org are not as the format says"
done
for figure in 'alpha link_up{partner=bravo} 1' 'alpha objects_given_total{outcome=acknowledged,partner=bravo} 4' \
	'alpha objects_denied_total{partner=bravo,reason=not-addressed} 4' 'alpha objects_denied_total{partner=bravo,reason=exercise} 1' \
	'bravo objects_taken_total{outcome=stored,partner=alpha} 4' 'bravo objects_taken_total{outcome=review,partner=alpha} 3' \
	'bravo partner_stopped{partner=alpha,what=in} 0' 'bravo redis_ready{} 1'; do
	grep -qxF "picket_gateway_${figure#* }" "$dir/${figure%% *}.figures" ||
		fail "no $figure: $(grep "^picket_gateway_$(echo "${figure#* }" | cut -d'{' -f1)" "$dir/${figure%% *}.figures")"
done
# a policy that is no policy changes nothing; one that is comes into force without a new start
sed -i.was 's/mode: review/mode: nonsense/' "$dir/bravo/partners/alpha.yaml"
kill -HUP "$(cat "$dir/bravo/gateway.pid")"
wait_for 10 grep -q 'the new configuration has errors: the old one stays' "$dir/bravo/gateway.log" || fail "a wrong policy is not refused"
mv "$dir/bravo/partners/alpha.yaml.was" "$dir/bravo/partners/alpha.yaml"
gateway_reload bravo || fail "a policy is not loaded again"
wait_for 10 sh -c "tests/system/promtext.py 'unix:$dir/bravo/metrics.sock' | grep -qxF 'picket_gateway_link_up{partner=alpha} 1'" || fail "no link after HUP"

# 5. pause: nothing comes; resume: it comes
on bravo partner pause alpha --in --reason test >/dev/null
sleep 1
sed 's/id: apt/id: more/; s/bad\.ex/more-bad.ex/; s/worse/more-worse/' "$dir/apt.yaml" >"$dir/more.yaml"
on alpha partner publish "$dir/more.yaml" >/dev/null
sleep 0.5
[ "$(cli bravo zcard 'picket:{x}:partner-alpha:last')" = 3 ] || fail "a paused partner is heard"
on bravo partner resume alpha >/dev/null
wait_for 10 sh -c "[ \$(redis-cli -s $dir/bravo/redis.sock zcard 'picket:{x}:partner-alpha:last') = 5 ]" || fail "it does not go on"

# 6. kill -9 on either side in the middle of a sync: nothing lost, nothing repeated
i=0
while [ $i -lt 4000 ]; do
	i=$((i + 1))
	echo "domain,h$i.many.example"
done >"$dir/many.csv"
{
	echo 'set: {id: many, version: 1, producer: alpha, tlp: green, releasable_to: [coalition], valid_until: 2030-03-01T00:00:00Z}'
	echo 'file: [{type: domain, path: many.txt}]'
} >"$dir/many.yaml"
cut -d, -f2 "$dir/many.csv" >"$dir/many.txt"
on alpha partner publish "$dir/many.yaml" >/dev/null &
for org in bravo alpha bravo alpha; do
	sleep 0.4
	gateway_stop "$org" KILL
	gateway_start "$org"
done
wait_for 60 sh -c "[ \$(redis-cli -s $dir/bravo/redis.sock zcard 'picket:{x}:partner-alpha:last') = 4005 ]" ||
	fail "after kill -9: $(cli bravo zcard 'picket:{x}:partner-alpha:last') objects of 4005"
[ "$(cli bravo hlen 'picket:{x}:rows')" = 4006 ] || fail "after kill -9: $(cli bravo hlen 'picket:{x}:rows') rows of 4006"
[ "$(cli bravo exists 'picket:{x}:conflicts')" = 0 ] || fail "after kill -9: conflicts"
on alpha partner audit --verify --expect "$head" >"$dir/out" || fail "$(cat "$dir/out")"

# 7. somebody changes, and somebody removes an entry of the audit stream
first=$(cli alpha xrange 'picket:{x}:audit' - + COUNT 1 | head -1)
cli alpha xdel 'picket:{x}:audit' "$first" >/dev/null
on alpha partner audit --verify >"$dir/out" && fail "a removed entry is not noticed"
grep -q 'were removed' "$dir/out" || fail "$(cat "$dir/out")"

# 8. a gateway of the first version, which says nothing of a window, gets all of it and no more than four frames at once
deploy/make-test-ca.sh "$dir/tls" charlie 90 partner gw-charlie
port=$(sed -n 's/.*127.0.0.1:\([0-9]*\).*/\1/p' "$dir/bravo/gateway.yaml")
partner_policy bravo charlie "" 'release: {tlp_max: green, groups: [bravo-own], profile: picket}'
{
	echo 'set: {id: own, version: 1, producer: bravo, tlp: green, releasable_to: [bravo-own], valid_until: 2030-03-01T00:00:00Z}'
	echo 'file: [{type: domain, path: many.txt}]'
} >"$dir/own.yaml"
on bravo partner publish "$dir/own.yaml" >/dev/null || fail "publish at bravo"
gateway_stop bravo
gateway_start bravo
wait_for 10 grep -q '2 partners; links may open' "$dir/bravo/gateway.log" || fail "bravo's gateway does not know charlie"
python3 tests/system/old_partner.py "$port" "$dir/tls/gw-charlie.crt" "$dir/tls/gw-charlie.key" "$dir/tls/partner-ca.crt" \
	gw-charlie 4000 >"$dir/out" 2>&1 || fail "an older gateway: $(cat "$dir/out")"

# 9. a stranger's certificate, and one without a policy
deploy/make-test-ca.sh "$dir/tls" mallory 90 partner gw-mallory
timeout 5 openssl s_client -connect "127.0.0.1:$port" -cert "$dir/tls/gw-mallory.crt" -key "$dir/tls/gw-mallory.key" \
	-CAfile "$dir/tls/partner-ca.crt" </dev/null >/dev/null 2>&1 || true
wait_for 5 grep -q 'no policy has link.identity picket://mallory/partner/gw-mallory' "$dir/bravo/gateway.log" || fail "a stranger was not refused"
echo "  ok    test_partners.sh"
