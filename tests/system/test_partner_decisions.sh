#!/bin/sh
# What people and brakes decide about a partner's objects, end to end over a real link:
# accept under kill -9, a rate that is exceeded tenfold, withdraw and restore, prevalence,
# false-positive reports, and audit entries that somebody changed, put in or removed.
set -eu
cd "$(dirname "$0")/../.."
build=${1:-build}
. tests/system/partners.sh
partners_test decisions
held() { cli bravo zcard "picket:{x}:partner-alpha$1:last"; }
told() { cli bravo hget 'picket:{x}:partner:alpha' "$1"; }
holds() { [ "$(held "$1")" = "$2" ]; }
tells() { [ "$(told "$1")" = "$2" ]; }
state() { on bravo partner review alpha --json | grep -c "\"state\":\"$1\"" || true; }
is_in() { [ "$(state "$1")" = "$2" ]; }
policy() { # bravo's for alpha, from now on
	partner_policy bravo alpha "" "release: {tlp_max: amber, groups: [coalition], profile: picket}
inbound: {$1}"
	gateway_reload bravo || fail "the policy is not loaded again"
}
rules() { # ID N
	echo "set: {id: $1, version: 1, producer: alpha, tlp: amber, releasable_to: [coalition], valid_until: 2099-01-01T00:00:00Z}"
	echo "domain:"
	i=0
	while [ $i -lt "$2" ]; do
		echo "  - h$i.$1.bad.example"
		i=$((i + 1))
	done
}

"$build/picket" rules keygen "$dir/bravo.pem" --scope 'partner-*' >/dev/null
partners_start "$dir" "$build" \
	'release: {tlp_max: amber, groups: [coalition], profile: picket}
inbound: {mode: auto}' \
	'release: {tlp_max: amber, groups: [coalition], profile: picket}
inbound: {mode: review}' || fail "start"

# 1. accept all of 3,000, the gateway killed again and again: each is accepted once, none is lost or doubled
rules many 3000 >"$dir/many.yaml"
on alpha partner publish "$dir/many.yaml" >/dev/null || fail "publish"
wait_for 60 holds "" 3000 || fail "$(held "") of 3000 came"
on bravo partner accept alpha all >"$dir/accept" 2>&1 &
accept=$!
killed=0
for pause in 0.15 0.3 0.2 0.4 0.25; do
	sleep $pause
	left=$(state review)
	[ "$left" -gt 0 ] && [ "$left" -lt 3000 ] && killed=$((killed + 1))
	gateway_stop bravo KILL
	gateway_start bravo
done
wait_for 60 is_in review 0 || fail "$(state review) still wait"
wait $accept || true
[ "$killed" -gt 0 ] || echo "  note  test_partner_decisions.sh: the gateway was never killed in the middle"
holds "" 3000 || fail "after kill -9 in accept: $(held "") objects of 3000"
[ "$(cli bravo hlen 'picket:{x}:rows')" = 3000 ] || fail "after kill -9 in accept: $(cli bravo hlen 'picket:{x}:rows') rows of 3000"
[ "$(cli bravo hlen 'picket:{x}:partner-alpha:ids')" = 3000 ] || fail "after kill -9 in accept: ids"
wait_for 60 tells set_indicators 3000 || fail "the set holds $(told set_indicators) of 3000"

# 2. withdraw and restore
on bravo partner withdraw alpha --reason test >/dev/null
wait_for 30 tells set_indicators 0 || fail "withdraw: $(told set_indicators) are in the set"
on bravo partner restore alpha --reason test >/dev/null
wait_for 60 tells set_indicators 3000 || fail "restore: $(told set_indicators) are in the set"

# a connection to Redis that breaks while nothing is to be done holds no set up
rules spare 1 >"$dir/spare.yaml"
cli bravo client kill type normal >/dev/null
wait_for 20 sh -c "[ \"\$(redis-cli -s $dir/alpha/redis.sock hget 'picket:{x}:partner:bravo' link)\" = up ]" || fail "no link"
on alpha partner publish "$dir/spare.yaml" --priority flash --to bravo >/dev/null || fail "publish"
wait_for 20 holds .flash 1 || fail "it does not come"
on bravo partner accept alpha all >/dev/null || fail "accept"
wait_for 20 tells flash_indicators 1 || fail "it is not made into a set: $(told flash_indicators)"

# 3. ten times its rate: it is counted and waits, flash goes on, in the end all is there
policy 'mode: auto, rate: 500, burst: 500'
wait_for 20 sh -c "[ \"\$(redis-cli -s $dir/alpha/redis.sock hget 'picket:{x}:partner:bravo' link)\" = up ]" || fail "no link"
rules fast 5000 >"$dir/fast.yaml"
on alpha partner publish "$dir/fast.yaml" >/dev/null || fail "publish"
sleep 1
rules alarm 1 >"$dir/alarm.yaml"
on alpha partner publish "$dir/alarm.yaml" --priority flash >/dev/null || fail "publish"
wait_for 4 holds .flash 2 || fail "flash waits for the rate of bulk"
n=$(held "")
[ "$n" -lt 8000 ] || fail "5000 objects at once although the rate is 500 a second"
wait_for 5 sh -c "[ \"\$(redis-cli -s $dir/bravo/redis.sock hget 'picket:{x}:partner:alpha' limited)\" -gt 0 ]" || fail "it is not counted"
wait_for 40 holds "" 8000 || fail "the rest does not come: $(held "")"

# 4. prevalence: an indicator that would hit half the network goes to quarantine and off the sensors
policy 'mode: auto, prevalence_max: 3, fp_threshold: 1'
wait_for 60 tells set_indicators 8000 || fail "the set: $(told set_indicators)"
id=$(cli bravo hkeys 'picket:{x}:partner-alpha:ids' | head -1)
seen() { # GROUP N
	cli bravo xadd 'picket:{p0}:alerts' '*' kind new set partner-alpha indicator "$id" id "$1" n "$2" tlp amber \
		first_seen 2026-11-20T00:00:00Z last_seen 2026-11-20T00:00:01Z >/dev/null
}
for g in a b c; do seen $g 1; done
sleep 1
is_in quarantine 0 || fail "three assets are allowed"
seen d 1
wait_for 10 is_in quarantine 1 || fail "prevalence: no quarantine"
on bravo partner review alpha | grep "^quarantine" | grep "$id" | grep -q ' \[prevalence]$' || fail "prevalence: another one, or no reason"
wait_for 30 tells set_indicators 7999 || fail "prevalence: it stays on the sensors"
grep -q "$id of alpha goes to quarantine: it hit 4 assets here; inbound.prevalence_max is 3" "$dir/bravo/gateway.log" || fail "no word"
on bravo partner accept alpha "$id" >/dev/null || fail "accept"
wait_for 30 tells set_indicators 8000 || fail "a person's yes does not bring it back"

# 5. enough organisations say that one is wrong
wrong=$(cli bravo hkeys 'picket:{x}:partner-alpha:ids' | sed -n 2p)
cat >"$dir/fp.json" <<STIX
{"type":"bundle","id":"bundle--01234567-0123-4123-8123-0123456789ab","objects":[
{"type":"opinion","spec_version":"2.1","id":"opinion--01234567-0123-4123-8123-000000000001","created":"2026-11-20T00:00:00.000Z","modified":"2026-11-20T00:00:00.000Z",
"opinion":"strongly-disagree","object_refs":["$wrong"],"labels":["false-positive"],"object_marking_refs":["marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"]}]}
STIX
on alpha partner publish --to bravo "$dir/fp.json" >/dev/null || fail "publish of an opinion"
wait_for 10 is_in quarantine 1 || fail "false positive: no quarantine"
on bravo partner review alpha --json | grep '"state":"quarantine","reason":"false-positives"' | grep -q "$wrong" || fail "false positive: another one, or no reason"
wait_for 30 tells set_indicators 7999 || fail "false positive: it stays on the sensors"

# 6. the audit stream: a changed entry, one put in, one removed in the middle
on alpha partner audit --verify >"$dir/out" || fail "$(cat "$dir/out")"
tamper() { # HOW
	python3 - "$dir/alpha/redis.sock" "$1" <<-'PY'
		import subprocess, sys, json
		def cli(*a, data=None):
		    return subprocess.run(["redis-cli", "-s", sys.argv[1], "-3", "--json", *a], capture_output=True, text=True, check=True).stdout
		key = "picket:{x}:audit"
		entries = json.loads(cli("xrange", key, "-", "+"))
		kept = json.dumps(entries)
		middle = len(entries) // 2
		if sys.argv[2] == "change":
		    f = entries[middle][1]; i = f.index("items") + 1; f[i] = f[i][:-2] + ("0" if f[i][-2] != "0" else "1") + "\n"
		elif sys.argv[2] == "insert":
		    entries.insert(middle, [None, list(entries[middle][1])])
		elif sys.argv[2] == "insert-last":
		    entries.append([None, list(entries[-1][1])])
		elif sys.argv[2] == "remove":
		    del entries[middle]
		elif sys.argv[2] == "swap":
		    entries[middle][1], entries[middle + 1][1] = entries[middle + 1][1], entries[middle][1]
		elif sys.argv[2] == "partner":
		    f = entries[middle][1]; f[f.index("partner") + 1] = "charlie"
		cli("del", key)
		for n, e in enumerate(entries):
		    subprocess.run(["redis-cli", "-s", sys.argv[1], "xadd", key, f"{n + 1}-0", *e[1]], check=True, capture_output=True)
		open(sys.argv[1] + ".kept", "w").write(kept)
	PY
}
restore() {
	python3 - "$dir/alpha/redis.sock" <<-'PY'
		import json, subprocess, sys
		subprocess.run(["redis-cli", "-s", sys.argv[1], "del", "picket:{x}:audit"], check=True, capture_output=True)
		for n, e in enumerate(json.load(open(sys.argv[1] + ".kept"))):
		    subprocess.run(["redis-cli", "-s", sys.argv[1], "xadd", "picket:{x}:audit", f"{n + 1}-0", *e[1]], check=True, capture_output=True)
	PY
}
gateway_stop alpha
on alpha partner audit --verify >/dev/null || fail "the chain before it is touched"
for how in change insert insert-last remove swap partner; do
	tamper $how
	on alpha partner audit --verify >"$dir/out" && fail "the audit stream: $how is not noticed"
	grep -q BROKEN "$dir/out" || fail "$how: $(cat "$dir/out")"
	restore
	on alpha partner audit --verify >"$dir/out" || fail "not as it was: $(cat "$dir/out")"
done
gateway_start alpha
echo "  ok    test_partner_decisions.sh"
