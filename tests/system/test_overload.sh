#!/bin/sh
# Under overload, bulk goes first: whatever the step, every DNS lookup and every
# address is matched, what is set aside is counted, and the ledger balances.
set -u
# shellcheck source=tests/system/help.sh
. tests/system/help.sh
tools=$build/tests/bench
"$tools/sets" 20000 "$dir/set" >/dev/null

# hits NAME WHERE STEP: reads the capture with this step held.
hits() {
	"$build/picket-sensor" -r "$dir/$1.pcap" -R "$dir/set" -o "$dir/alerts" --set overload.shed="$3" \
		--set dpi.mode=unrecognised --set sensor.id=s 2>"$dir/log" || wrong "$1, $3: exit code $?"
	grep -q 'out of balance' "$dir/log" && wrong "$1, $3: the ledger does not balance"
	grep -c "\"where\":\"$2\"" "$dir/alerts"
	rm -f "$dir/alerts"
}
counter() { awk -v n="$1" '$1 == n { v = $2 } END { print v + 0 }' "$dir/log"; }

dns=$("$tools/generate" dns 20000 "$dir/dns.pcap" 50)
syn=$("$tools/generate" syn 20000 "$dir/syn.pcap" 50)
web=$("$tools/generate" web 20000 "$dir/web.pcap" 20)
for step in auto off extras bulk streams; do
	check "DNS hits, $step" "$dns" "$(hits dns dns.query $step)"
	check "DNS, $step: nothing set aside" 0 "$(counter end.shed)"
	check "address hits, $step" "$syn" "$(hits syn ip.dest $step)"
done
for step in auto off; do
	check "hosts, $step" "$web" "$(hits web http.host $step)"
	check "web, $step: files" 0 "$(counter shed.files)"
	check "web, $step: nothing set aside" 0 "$(counter end.shed)"
done
check "hosts, extras" "$web" "$(hits web http.host extras)"
[ "$(counter shed.files)" -gt 0 ] || wrong "extras: no file was left unhashed"
check "hosts, streams" 0 "$(hits web http.host streams)"
[ "$(counter end.shed)" -gt 0 ] || wrong "streams: nothing was set aside"

# The bounds of the keys.
gives "low above high" 3 "$build/picket-sensor" -T -R "$dir/set" --set overload.high=20 --set overload.low=30
contains "low above high" "$dir/err" "overload.low"
gives "no such step" 3 "$build/picket-sensor" -T -R "$dir/set" --set overload.shed=most
finish
