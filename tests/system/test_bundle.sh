#!/bin/sh
# Bundles between two sites without a network: through gate and intake, the same bytes
# for the same objects, and no cut, changed, forged, repeated or missing one passes.
set -eu
cd "$(dirname "$0")/../.."
build=${1:-build}
. tests/system/partners.sh
partners_test bundle
partners_dir=$dir
partners_build=$build
fail() {
	echo "FAIL: $*" >&2
	cat "$dir/out" >&2
	exit 1
}
for org in alpha bravo; do
	mkdir -p "$dir/$org/partners"
	redis-server --port 0 --unixsocket "$dir/$org/redis.sock" --save "" --dir "$dir/$org" --logfile "$dir/$org/redis.log" \
		--pidfile "$dir/$org/redis.pid" --daemonize yes >/dev/null
	"$build/picket" rules keygen "$dir/$org.pem" >"$dir/$org.entry"
	wait_for 10 cli "$org" ping
done
public=$(sed -n 's/.*public: *\([0-9a-f]\{64\}\).*/\1/p' "$dir/alpha.entry")
cat >"$dir/alpha/partners/bravo.yaml" <<-POLICY
	partner: {id: bravo}
	release: {tlp_max: amber, groups: [coalition], profile: picket}
POLICY
cat >"$dir/bravo/partners/alpha.yaml" <<-POLICY
	partner: {id: alpha}
	bundle: {public: $public}
	inbound: {mode: auto}
POLICY
give() {
	file=$1
	shift
	on alpha bundle export bravo --org alpha --policies "$dir/alpha/partners" --key "$dir/alpha.pem" -o "$file" "$@" >"$dir/out" 2>&1
}
take() { on bravo bundle import alpha --org bravo --policies "$dir/bravo/partners" --own 100.64.0.0/10 "$@" >"$dir/out" 2>&1; }
refused() { # LABEL WORDS FILE
	code=0
	take "$3" || code=$?
	[ "$code" = 1 ] || fail "$1: exit code $code"
	grep -q "$2" "$dir/out" || fail "$1"
}
rules() { # N
	echo "set: {id: s$1, version: 1, producer: alpha, tlp: amber, releasable_to: [coalition], valid_until: 2099-01-01T00:00:00Z}"
	echo "domain: [d$1.example, e$1.example]"
	echo "indicators:"
	echo "  - {id: R-$1, hostname: canary$1.example, tlp: red}"
	echo "  - {id: O-$1, ip: 100.64.0.$1}"
}
for n in 1 2 3; do
	rules $n >"$dir/r.yaml"
	on alpha partner publish "$dir/r.yaml" >/dev/null
	cp "$dir/alpha/redis.log" "$dir/out"
	if [ $n = 1 ]; then # the same state gives the same bytes
		give "$dir/1a.bundle" || fail "export"
		cli alpha del 'picket:{x}:bundle:bravo' >/dev/null
	fi
	give "$dir/$n.bundle" || fail "export $n"
	grep -q "bundle $n for bravo: 3 objects" "$dir/out" || fail "export $n"
done
cmp -s "$dir/1.bundle" "$dir/1a.bundle" || fail "the same objects give other bytes"
give "$dir/4.bundle" || fail "export without news"
[ ! -e "$dir/4.bundle" ] || fail "a bundle of nothing"
grep -aq canary "$dir"/*.bundle && fail "a restricted object is in a bundle"
grep -aq d1.example "$dir/1.bundle" || fail "the search would find nothing"

refused "a missing one" "number 1 is missing" "$dir/2.bundle"
size=$(wc -c <"$dir/1.bundle")
for cut in 0 10 100 $((size / 2)) $((size - 1)); do
	head -c "$cut" "$dir/1.bundle" >"$dir/cut"
	refused "cut at $cut" "bundle" "$dir/cut"
done
sed 's/d1\.example/dx.example/' "$dir/1.bundle" >"$dir/changed"
refused "changed" "was changed" "$dir/changed"
sed '2s/"number":1/"number":9/' "$dir/1.bundle" >"$dir/changed"
refused "renumbered" "does not hold" "$dir/changed"
on alpha bundle export bravo --org alpha --policies "$dir/alpha/partners" --key "$dir/bravo.pem" --all -o "$dir/forged" >/dev/null
refused "forged" "another key" "$dir/forged"
[ "$(cli bravo exists 'picket:{x}:rows')" = 0 ] || fail "something of a refused bundle was stored"
take "$dir/1.bundle" || fail "import 1"
grep -q '3 stored, .* 1 quarantined' "$dir/out" || fail "import 1: one hits our own network"
on bravo partner review alpha >"$dir/out"
grep -q "^quarantine .*'100.64.0.1'.* \[reserved]$" "$dir/out" || fail "why it is in quarantine"
refused "again" "was imported already" "$dir/1.bundle"
take "$dir/2.bundle" "$dir/3.bundle" || fail "import 2 and 3"
[ "$(cli bravo zcard 'picket:{x}:partner-alpha:last')" = 9 ] || fail "nine objects should be there"
on alpha partner audit --verify >"$dir/out" || fail "audit"
on alpha partner audit | grep -q ' bravo bundle indicator--' || fail "bundles are not in the audit stream"
echo "  ok    test_bundle.sh"
