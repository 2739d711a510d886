#!/bin/sh
# Three organisations in a row, alpha - bravo - charlie: what alpha publishes reaches charlie,
# and what charlie says of it (seen, not seen, false positive) reaches alpha, each hop by its own gate,
# without charlie's name, and nothing goes round. A revocation takes the way of the indicator.
# TAXII is a way like the link: what is posted goes to the sensors, too.
set -eu
cd "$(dirname "$0")/../.."
build=${1:-build}
. tests/system/partners.sh
partners_test chain
charlie_stop() { ! [ -e "$dir/charlie/redis.pid" ] || { gateway_stop charlie; kill "$(cat "$dir/charlie/redis.pid")"; }; }
trap 'charlie_stop; partners_leave' EXIT
texts() { cli "$1" hvals 'picket:{x}:rows'; }
has() { texts "$1" | grep "$2" | grep -q "$3"; } # ORG TYPE TEXT
count() { texts "$1" | grep -c "\"type\":\"$2\"" || true; }
rules() { # ID TLP DOMAIN...
	echo "set: {id: $1, version: 1, producer: alpha, tlp: $2, releasable_to: [coalition], valid_until: 2099-01-01T00:00:00Z}"
	shift 2
	echo "domain:"
	for d in "$@"; do echo "  - $d"; done
}

release='release: {tlp_max: amber, groups: [coalition], profile: picket}
inbound: {mode: auto}'
"$build/picket" rules keygen "$dir/charlie.pem" --scope 'partner-*' >/dev/null
partners_start "$dir" "$build" "$release" "$release" || fail "start"
collection=91a7b528-80eb-42ed-a74d-c6fbd5a26116
web=$(deploy/free-port.sh)
mkdir -p "$dir/charlie/partners" "$dir/charlie/collections"
deploy/make-test-ca.sh "$dir/tls" charlie 90 partner gw-charlie
redis-server --port 0 --unixsocket "$dir/charlie/redis.sock" --save "" --dir "$dir/charlie" --logfile "$dir/charlie/redis.log" \
	--hash-max-listpack-value 1024 --pidfile "$dir/charlie/redis.pid" --daemonize yes >/dev/null
port=$(sed -n 's/.*127.0.0.1:\([0-9]*\).*/\1/p' "$dir/bravo/gateway.yaml")
echo "collection: {id: $collection, title: From bravo, write: true, store: partner-bravo}" >"$dir/charlie/collections/a.yaml"
echo "bravo:$(openssl passwd -6 x)" >"$dir/charlie/passwords"
chmod 600 "$dir/charlie/passwords"
cat >"$dir/charlie/gateway.yaml" <<CONF
gateway: {org: charlie}
partners: {dir: $dir/charlie/partners}
links: {cert: $dir/tls/gw-charlie.crt, key: $dir/tls/gw-charlie.key, ca: $dir/tls/partner-ca.crt}
redis: {address: "unix:$dir/charlie/redis.sock"}
taxii: {address: "127.0.0.1:$web", plaintext: true, passwords: $dir/charlie/passwords, collections: $dir/charlie/collections}
sets: {key: $dir/charlie.pem}
CONF
partner_policy charlie bravo ", address: \"127.0.0.1:$port\"" "taxii: {user: bravo, write: [$collection]}
release: {tlp_max: amber, groups: [coalition], profile: picket}
inbound: {mode: auto, negative: 2s}"
partner_policy bravo charlie "" "$release"
gateway_stop bravo
gateway_start bravo
wait_for 10 cli charlie ping
gateway_start charlie
wait_for 20 sh -c "grep -q 'link with bravo is up' '$dir/charlie/gateway.log'" || fail "charlie has no link"
wait_for 20 sh -c "[ \"\$(redis-cli -s $dir/alpha/redis.sock hget 'picket:{x}:partner:bravo' link)\" = up ]" || fail "alpha has no link"

# 1. from alpha to charlie; TLP:AMBER goes one organisation further and GREEN more
rules amber amber hit.bad.example quiet.bad.example >"$dir/amber.yaml"
rules strict amber+strict strict.bad.example >"$dir/strict.yaml"
sed -i 's/tlp_max: amber,/tlp_max: amber+strict,/' "$dir/alpha/partners/bravo.yaml" "$dir/bravo/partners/charlie.yaml"
gateway_stop alpha && gateway_start alpha
on alpha partner publish "$dir/amber.yaml" "$dir/strict.yaml" >/dev/null || fail "publish"
wait_for 20 has charlie indicator hit.bad.example || fail "it does not reach charlie"
has charlie indicator quiet.bad.example || fail "the second does not reach charlie"
wait_for 10 has bravo indicator strict.bad.example || fail "AMBER+STRICT does not reach bravo"
id=$(texts charlie | sed -n 's/.*"id":"\(indicator--[0-9a-f-]*\)".*hit\.bad\.example.*/\1/p')
quiet=$(texts charlie | sed -n 's/.*"id":"\(indicator--[0-9a-f-]*\)".*quiet\.bad\.example.*/\1/p')
[ -n "$id" ] && [ -n "$quiet" ] || fail "no ids"

# 2. seen at charlie: alpha learns it, and not from whom
seen() { # SET ID N
	cli charlie xadd 'picket:{p0}:alerts' '*' kind new set "$1" indicator "$2" id group-1 n "$3" tlp amber \
		first_seen 2026-11-20T00:00:00Z last_seen 2026-11-20T00:00:01Z >/dev/null
}
wait_for 10 cli charlie hexists 'picket:{x}:sightings' last
sleep 0.5
seen partner-bravo "$id" 1
wait_for 20 has bravo '"type":"sighting"' "\"count\":1,\"sighting_of_ref\":\"$id\"" || fail "no sighting at bravo"
wait_for 20 has alpha '"type":"sighting"' "\"count\":1,\"sighting_of_ref\":\"$id\"" || fail "no sighting at alpha"

# 3. a false-positive report takes the same way
cli charlie xadd 'picket:{x}:partner:commands' '*' op fp partner partner-bravo id "$id" by test reason test >/dev/null
wait_for 20 has alpha '"type":"opinion"' "strongly-disagree" || fail "no report at alpha"
[ "$(cli alpha smembers "picket:{x}:fp:$id" | grep -c '^~')" = 1 ] || fail "who says it: $(cli alpha smembers "picket:{x}:fp:$id")"

# 4. looked for and not seen: only of what was not hit, and by those whose sensors looked
version=$(cli charlie hget 'picket:{x}:sets' partner-bravo)
sleep 3
[ "$(count charlie sighting)" = 1 ] || fail "not seen, although no sensor looked"
cli charlie hset "picket:{x}:set:partner-bravo:receipts:$version" s-1 "armed 2026-11-20T00:00:00Z x " >/dev/null
wait_for 40 has alpha '"type":"sighting"' "\"count\":0,\"sighting_of_ref\":\"$quiet\"" || fail "no word of what was not seen"
has alpha '"type":"sighting"' "\"count\":0,\"sighting_of_ref\":\"$id\"" && fail "not seen, although it was seen"
# a partner who would read it as a hit does not get it (release.profile)
sed -i 's/profile: picket/profile: misp/' "$dir/bravo/partners/alpha.yaml"
cli alpha --scan --pattern '*' >/dev/null
gateway_stop bravo && gateway_start bravo
one=$(texts bravo | sed -n 's/.*"id":"\(sighting--[0-9a-f-]*\)".*"count":0.*/\1/p' | head -1)
on bravo partner why alpha "$one" --org bravo --policies "$dir/bravo/partners" | grep -q 'reads a sighting of count 0 as a hit' || fail "why: $(on bravo partner why alpha "$one" --org bravo --policies "$dir/bravo/partners")"
sed -i 's/profile: misp/profile: picket/' "$dir/bravo/partners/alpha.yaml"
gateway_stop bravo && gateway_start bravo
wait_for 20 sh -c "[ \"\$(redis-cli -s $dir/charlie/redis.sock hget 'picket:{x}:partner:bravo' link)\" = up ]" || fail "charlie's link"

# 5. nothing goes round, and nobody learns the name of one he is no partner of
[ "$(cli charlie hget 'picket:{x}:partner:bravo' refused:loop)" = "" ] || fail "a loop was tried"
texts charlie | grep -q '"type":"sighting".*"releasable_to":\["charlie"' && fail "charlie's own word came back"
for key in $(cli alpha --scan); do
	cli alpha dump "$key"
	echo "$key"
done >"$dir/alpha.bytes"
cat "$dir/alpha/gateway.log" >>"$dir/alpha.bytes"
grep -aq hit.bad.example "$dir/alpha.bytes" || fail "the search would find nothing"
grep -aq charlie "$dir/alpha.bytes" && fail "alpha learns of charlie"
grep -aq strict.bad.example "$dir"/charlie/gateway.log && fail "AMBER+STRICT in a log"
has charlie indicator strict.bad.example && fail "AMBER+STRICT went a hop too far"

# 6. without inbound.relay it ends at bravo
sed -i 's/mode: auto/mode: auto, relay: false/' "$dir/bravo/partners/charlie.yaml"
gateway_stop bravo && gateway_start bravo
wait_for 20 sh -c "[ \"\$(redis-cli -s $dir/charlie/redis.sock hget 'picket:{x}:partner:bravo' link)\" = up ]" || fail "charlie's link"
seen partner-bravo "$quiet" 7
wait_for 20 has bravo '"type":"sighting"' "\"count\":7,\"sighting_of_ref\":\"$quiet\"" || fail "no sighting at bravo"
sleep 1
has alpha '"type":"sighting"' '"count":7' && fail "relay: false, and it went on"

# 7. alpha revokes: charlie's sensors drop it
held=$(cli charlie hget 'picket:{x}:partner:bravo' set_indicators)
on alpha partner revoke "$id" >/dev/null || fail "revoke"
wait_for 20 sh -c "[ \"\$(redis-cli -s $dir/charlie/redis.sock hget 'picket:{x}:partner:bravo' set_indicators)\" = $((held - 1)) ]" || fail "the revocation does not reach charlie's sensors"

# 8. what is posted over TAXII goes to the sensors; and what it revokes is off them for ever
post() { # FILE
	curl -sS --max-time 20 -u bravo:x -H 'Accept: application/taxii+json;version=2.1' -H 'Content-Type: application/taxii+json;version=2.1' \
		--data-binary "@$1" "http://127.0.0.1:$web/shared/collections/$collection/objects/"
}
indicator() { # REVOKED MODIFIED
	echo "{\"objects\":[{\"type\":\"indicator\",\"spec_version\":\"2.1\",\"id\":\"indicator--01234567-0123-4123-8123-000000000009\",\"created\":\"2026-11-20T00:00:00.000Z\",\"modified\":\"$2\",\"revoked\":$1,\"pattern\":\"[domain-name:value = 'posted.bad.example']\",\"pattern_type\":\"stix\",\"valid_from\":\"2026-11-20T00:00:00Z\",\"object_marking_refs\":[\"marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb\"]}]}"
}
indicators() { cli charlie hget 'picket:{x}:partner:bravo' set_indicators; }
is() { [ "$(indicators)" = "$1" ]; }
indicator false 2026-11-20T00:00:00.000Z >"$dir/post.json"
post "$dir/post.json" | grep -q '"success_count":1' || fail "post: $(post "$dir/post.json")"
wait_for 20 is "$held" || fail "what was posted is not on the sensors: $(indicators), not $held"
indicator true 2026-11-21T00:00:00.000Z >"$dir/post.json"
post "$dir/post.json" | grep -q '"success_count":1' || fail "revocation: $(post "$dir/post.json")"
wait_for 20 is $((held - 1)) || fail "what was revoked is on the sensors"
indicator false 2026-11-22T00:00:00.000Z >"$dir/post.json"
post "$dir/post.json" | grep -q 'revoked: it was revoked' || fail "it comes back: $(post "$dir/post.json")"
# 9. charlie's word carried in a bundle goes the same way back: to bravo by hand, to alpha over the link
gateway_stop charlie
"$build/picket" rules keygen "$dir/carried.pem" >"$dir/entry"
sed -i 's/, relay: false//' "$dir/bravo/partners/charlie.yaml"
echo "bundle: {public: $(sed -n 's/.*public: *\([0-9a-f]\{64\}\).*/\1/p' "$dir/entry")}" >>"$dir/bravo/partners/charlie.yaml"
gateway_stop bravo && gateway_start bravo
wait_for 20 sh -c "[ \"\$(redis-cli -s $dir/alpha/redis.sock hget 'picket:{x}:partner:bravo' link)\" = up ]" || fail "alpha's link"
cat >"$dir/said.json" <<STIX
{"type":"bundle","id":"bundle--01234567-0123-4123-8123-0123456789ab","objects":[
{"type":"sighting","spec_version":"2.1","id":"sighting--01234567-0123-4123-8123-000000000021","created":"2026-11-20T00:00:00.000Z","modified":"2026-11-20T00:00:00.000Z",
"count":21,"sighting_of_ref":"$quiet","object_marking_refs":["marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"]}]}
STIX
on charlie partner publish --to bravo "$dir/said.json" >/dev/null || fail "publish at charlie"
on charlie bundle export bravo --org charlie --policies "$dir/charlie/partners" --key "$dir/carried.pem" -o "$dir/carried" >"$dir/out" ||
	fail "bundle export: $(cat "$dir/out")"
grep -q sighting--01234567-0123-4123-8123-000000000021 "$dir/carried" || fail "it is not in the bundle"
on bravo bundle import charlie --org bravo --policies "$dir/bravo/partners" "$dir/carried" >"$dir/out" || fail "bundle import: $(cat "$dir/out")"
wait_for 20 has alpha '"type":"sighting"' '"count":21' || fail "what was said in a bundle does not go on"
[ "$(texts alpha | grep -c '"count":21')" = 1 ] || fail "it went on twice"
echo "  ok    test_partner_chain.sh"
