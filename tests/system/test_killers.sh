#!/bin/sh
# Packets that kill nDPI, once per 1,000 packets of a flood, live over a wire: what
# is planted between them alerts, the capturing process stays, nDPI is never away
# for more than a second, also when its supervisor is killed meanwhile. PACKETS=1000000 for the long form; the real killers are
# taken from ../shared/killers when they are there, two of their kind are made.
set -u
# shellcheck source=tests/system/help.sh
. tests/system/help.sh
packets=${PACKETS:-50000} rate=${RATE:-20000}
set -- ../shared/killers/*.pcap
[ -e "$1" ] || set --
command -v python3 >/dev/null || { echo "SKIP test_killers: no python3" >&2; exit 0; }
tests/system/killers.py make "$dir/flood.pcap" "$dir/rules.csv" "$packets" "$@" >"$dir/planted" || exit 1
planted() { tr ' ' '\n' <"$dir/planted" | sed -n "s/^$1=//p"; }
figure() { tr ' ' '\n' <"$dir/judged" | sed -n "s/^$1=//p"; }
judged() { # judged LABEL: every indicator of the flood has alerted, as often as it is in it
	tests/system/killers.py judge "$dir/$1.jsonl" >"$dir/judged"
	check "$1: addresses" "$(planted address)" "$(figure 198.51.100.7)"
	check "$1: names" "$(planted name)" "$(figure bad.example)"
	grep '^ip,' "$dir/rules.csv" | cut -d, -f2 | while read -r ip; do
		[ "$ip" = 198.51.100.7 ] || [ "$(figure "$ip")" = "$(planted "$ip")" ] || echo "$ip ($(figure "$ip") of $(planted "$ip"))"
	done >"$dir/silent"
	[ ! -s "$dir/silent" ] || wrong "$1: alerts on killers' addresses are missing: $(tr '\n' ' ' <"$dir/silent")"
}

# ---- from a file: every verdict is awaited ----
gives "scan of the flood" 0 "$build/picket" scan -q --rules "$dir/rules.csv" "$dir/flood.pcap"
cp "$dir/out" "$dir/scan.jsonl"
judged scan
check "scan: verdicts of nDPI" "$(planted ndpi)" "$(figure BitTorrent)"

# ---- live ----
ns=picket-killers-$$
if [ "$(id -u)" -eq 0 ] && ip netns add "$ns" 2>/dev/null && ip -n "$ns" link add tap0 mtu 65535 type veth peer name wire0 mtu 65535 2>/dev/null; then
	ip netns exec "$ns" sysctl -qw net.ipv6.conf.all.disable_ipv6=1 2>/dev/null
	ip -n "$ns" link set wire0 up
	ip -n "$ns" link set tap0 up
	mkdir "$dir/killers"
	start live.log ip netns exec "$ns" "$build/picket-sensor" -i tap0 -R "$dir/rules.csv" -o "$dir/live.jsonl" \
		--set dpi.killers="$dir/killers" --set capture.ring=128MB
	live=$!
	until_ok 10 grep -q 'sandbox of the opener' "$dir/live.log"
	# Twice meanwhile the supervisor of nDPI, which a sensor in its sandbox could not start again.
	supervisor() { # the parent of the process that runs nDPI
		for p in $(ip netns pids "$ns"); do
			[ "$(cat "/proc/$p/comm" 2>/dev/null)" = picket-ndpi ] && sed -n 's/^PPid:[[:space:]]*//p' "/proc/$p/status"
		done
	}
	(
		for turn in 1 2; do
			sleep "$(awk -v s=$((packets / rate)) 'BEGIN { print s / 3 }')"
			kill -9 "$(supervisor)" && echo "$turn" >>"$dir/shot"
		done
	) &
	shooter=$!
	ip netns exec "$ns" tests/system/killers.py send "$dir/flood.pcap" wire0 "$rate" >"$dir/sent"
	wait "$shooter"
	until_ok 10 grep -q bad.example "$dir/live.jsonl"
	sleep 1
	check "live: the capturing process is the same" picket-sensor "$(cat "/proc/$live/comm" 2>/dev/null)"
	kill -USR1 "$live"
	sleep 0.5
	stop "$live"
	check "live: it leaves well" 0 "$code"
	check "live: supervisors killed" 2 "$(grep -c . "$dir/shot")"
	check "live: standbys that went on" 2 "$(grep -c 'its standby goes on' "$dir/live.log")"
	dropped=$(sed -n 's/^drop\.[a-z]* *\([0-9]*\).*/\1/p' "$dir/live.log" | sort -n | tail -n 1)
	if [ "${dropped:-0}" -eq 0 ]; then
		judged live
	else
		echo "  test_killers.sh: the machine lost $dropped packets before the sensor: live counts are not judged"
		tests/system/killers.py judge "$dir/live.jsonl" >"$dir/judged"
	fi
	awk -v gap="$(figure gap)" 'BEGIN { exit !(gap <= 1.0) }' || wrong "live: $(figure gap) s without a verdict of nDPI"
	echo "test_killers: $packets packets, $(cat "$dir/sent"); nDPI away for $(figure gap) s at most, $(figure BitTorrent) of $(planted ndpi) verdicts"
	ip netns del "$ns"
else
	ip netns del "$ns" 2>/dev/null
	echo "  test_killers.sh: no root or no network namespaces: the live part is skipped"
fi
finish
