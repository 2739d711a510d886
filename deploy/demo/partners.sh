#!/bin/sh
# Two organisations that exchange indicators and sightings both ways: for each a
# private Redis, a collector, a gateway and two sensors on the loopback interface, in one
# temporary folder. Prints what takes how long. Exits 1 when something of it does
# not come true, 77 when this machine does not let it capture.
#
#   deploy/demo/partners.sh [BUILD]
set -eu
cd "$(dirname "$0")/../.."
build=${1:-build}
# shellcheck source=tests/system/partners.sh
. tests/system/partners.sh
dir=$(mktemp -d /tmp/picket-demo-partners.XXXXXX)
pids=
trap partners_leave EXIT
trap 'exit 1' INT TERM
ms() { echo $(($(date +%s%N) / 1000000)); }
fail() {
	echo "NOT so: $*" >&2
	tail -n 15 "$dir"/*/*.log >&2
	exit 1
}

echo "1. Two organisations, alpha and bravo: each a Redis, a collector, a gateway, two sensors"
"$build/picket" rules keygen "$dir/alpha.pem" --scope 'partner-*' >"$dir/alpha.entry"
"$build/picket" rules keygen "$dir/bravo.pem" --scope 'partner-*' >"$dir/bravo.entry"
policy='release: {tlp_max: amber, groups: [coalition], profile: picket}
inbound: {mode: auto, rate: 1000000, burst: 1000000}'
partners_start "$dir" "$build" "$policy" "$policy"
n=0
base=$((20000 + $$ % 20000)) # ports that only the sensors' filters name
for org in alpha bravo; do
	"$build/picket-collector" --set collector.name="$org-c" --set listen.address="unix:$dir/$org/c.sock" --set listen.plaintext=true \
		--set redis.address="unix:$dir/$org/redis.sock" >"$dir/$org/collector.log" 2>&1 &
	pids="$pids $!"
	{ echo keys: && cat "$dir/$org.entry"; } >"$dir/$org/keys.yaml"
	for i in 1 2; do
		n=$((n + 1))
		udp=$((base + n))
		"$build/picket-sensor" -i lo --set sensor.id="$org-$i" --set spool.dir="$dir/$org/spool$i" --set dpi.mode=off \
			--set collector.address="unix:$dir/$org/c.sock" --set rules.keys="$dir/$org/keys.yaml" \
			--set rules.dir="$dir/$org/sets$i" "udp port $udp" >"$dir/$org/sensor$i.log" 2>&1 &
		pids="$pids $!"
	done
done
if ! wait_for 20 grep -q 'captures on lo' "$dir/alpha/sensor1.log"; then
	echo "   no right to capture on lo here (root, or CAP_NET_RAW): stopped"
	exit 77
fi
for org in alpha bravo; do
	for i in 1 2; do wait_for 20 grep -q 'connected to the collector' "$dir/$org/sensor$i.log" || fail "$org-$i does not connect"; done
done
wait_for 20 grep -q 'link with bravo is up' "$dir/alpha/gateway.log" || fail "no link"
echo "   the link is up: TLS 1.3, both sides show a certificate of the role partner"

rules() { # ID TLP TO DOMAIN...
	echo "set: {id: $1, version: 1, producer: $4, tlp: $2, releasable_to: [$3], valid_until: 2099-01-01T00:00:00Z}"
	shift 4
	echo "domain:"
	for d in "$@"; do echo "  - $d"; done
}
armed() { # ORG SENSOR SET COUNT
	[ "$(cli "$1" hvals "picket:{x}:set:$3:receipts:$(cli "$1" hget 'picket:{x}:sets' "$3")" | grep -c '^armed ')" -ge "$4" ]
}

echo "2. alpha publishes an indicator (flash, TLP:AMBER, to the group that bravo is in), and two that bravo may not have"
rules c2 amber coalition alpha c2.malware.example >"$dir/c2.yaml"
rules secret red coalition alpha canary-red.example >"$dir/red.yaml"
rules others amber somebody-else alpha canary-other.example >"$dir/others.yaml"
t=$(ms)
on alpha partner publish "$dir/c2.yaml" "$dir/red.yaml" "$dir/others.yaml" --priority flash >/dev/null || fail "publish"
wait_for 20 armed bravo 1 partner-alpha.flash 2 || fail "bravo's sensors do not have it"
echo "   published at alpha -> matching on both sensors of bravo: $(($(ms) - t)) ms"

echo "3. Somebody at bravo looks the name up; bravo's sensor sees it"
t=$(ms)
lookup www.c2.malware.example $((base + 3))
wait_for 20 sh -c "[ -n \"\$(redis-cli -s '$dir/bravo/redis.sock' zrange 'picket:{p0}:open' 0 -1)\" ]" || fail "no alert at bravo"
echo "   the alert is in bravo's Redis after $(($(ms) - t)) ms:"
on bravo alerts list | sed 's/^/   /'

echo "4. alpha learns that it was seen, not where"
wait_for 20 sh -c "PICKET_REDIS=unix:$dir/alpha/redis.sock '$build/picket' sighting list 2>/dev/null | grep -q '^in '" || fail "no sighting at alpha"
echo "   the sighting is at alpha $(($(ms) - t)) ms after the look-up:"
on alpha sighting list | sed 's/^/   /'
cli alpha hvals 'picket:{x}:rows' | grep -q '127.0.0.1' && fail "victim detail at alpha"

echo "5. The other way round: bravo publishes, alpha's sensor sees it"
rules back green coalition bravo back.malware.example >"$dir/back.yaml"
t=$(ms)
on bravo partner publish "$dir/back.yaml" >/dev/null || fail "publish at bravo"
wait_for 20 armed alpha 1 partner-bravo 2 || fail "alpha's sensors do not have it"
echo "   published at bravo (routine) -> matching on both sensors of alpha: $(($(ms) - t)) ms"
lookup back.malware.example $((base + 1))
wait_for 20 sh -c "PICKET_REDIS=unix:$dir/bravo/redis.sock '$build/picket' sighting list 2>/dev/null | grep -q '^in '" || fail "no sighting at bravo"

echo "6. What bravo may not have: in no byte of bravo's Redis, logs, sets"
for key in $(cli bravo --scan); do
	cli bravo dump "$key"
	echo "$key"
done >"$dir/bytes"
cat "$dir"/bravo/*.log "$dir"/bravo/sets*/* >>"$dir/bytes"
grep -aq c2.malware.example "$dir/bytes" || fail "the search would find nothing"
grep -aq -e canary -e somebody-else "$dir/bytes" && fail "a restricted object got through"
id=$(cli alpha hkeys 'picket:{x}:own.flash:ids' | while read -r id; do on alpha partner why bravo "$id" --org alpha --policies "$dir/alpha/partners" | grep -q 'not addressed to bravo' && echo "$id" && break; done)
on alpha partner why bravo "$id" --org alpha --policies "$dir/alpha/partners" | sed 's/^/   /'

echo "7. A person at bravo says that it is a false positive; alpha is told"
alert=$(cli bravo zrange 'picket:{p0}:open' 0 0)
t=$(ms)
on bravo alerts fp "$alert" --note "sinkhole" >/dev/null
wait_for 20 sh -c "PICKET_REDIS=unix:$dir/alpha/redis.sock '$build/picket' sighting list | grep -q strongly-disagree" || fail "no report at alpha"
echo "   the report is at alpha after $(($(ms) - t)) ms"

echo "8. alpha revokes; bravo's sensors drop it"
id=$(on alpha sighting list | sed -n 's/.*strongly-disagree  //p' | head -1)
t=$(ms)
on alpha partner revoke "$id" >/dev/null || fail "revoke"
wait_for 20 sh -c "redis-cli -s '$dir/bravo/redis.sock' hget 'picket:{x}:set:partner-alpha.flash' \"\$(redis-cli -s '$dir/bravo/redis.sock' hget 'picket:{x}:sets' partner-alpha.flash):manifest\" | grep -q 'withdrawn\":true'" || fail "the set still holds it"
wait_for 20 armed bravo 1 partner-alpha.flash 2 || fail "bravo's sensors did not take it off"
echo "   revoked at alpha -> off both sensors of bravo: $(($(ms) - t)) ms"

echo "9. The kill switch: alpha withdraws all of bravo's indicators"
t=$(ms)
on alpha partner withdraw bravo --reason "their key was stolen" >/dev/null
wait_for 60 sh -c "redis-cli -s '$dir/alpha/redis.sock' hget 'picket:{x}:set:partner-bravo' \"\$(redis-cli -s '$dir/alpha/redis.sock' hget 'picket:{x}:sets' partner-bravo):manifest\" | grep -q 'withdrawn\":true'" || fail "not withdrawn"
wait_for 20 armed alpha 1 partner-bravo 2 || fail "alpha's sensors did not take it off"
echo "   withdrawn -> off both sensors of alpha: $(($(ms) - t)) ms"

echo "10. Who was given what: when, to whom, which way, which version of which object, whole or redacted (a part was left out:"
echo "    here the reference to alpha's own identity object, which is not marked), and the SHA-256 of the bytes that went"
on alpha partner audit | sed 's/^/   /'
on alpha partner audit --verify | sed 's/^/   /'
