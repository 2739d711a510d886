#!/bin/sh
# Live capture over a veth pair between two network namespaces: what was sent is what
# was received and dropped, no packet twice, the same alerts with 1, 2 and 4 workers,
# and under overload DNS before bulk. Needs root and network namespaces; without, it
# says so.
set -u
# shellcheck source=tests/system/help.sh
. tests/system/help.sh
# shellcheck source=tests/bench/wire.sh
. tests/bench/wire.sh
tools=$build/tests/bench
wire_up || {
	echo "  skip  $(basename "$0"): needs root and network namespaces"
	exit 0
}
trap 'wire_down; leave' EXIT
rules=$dir/set
"$tools/sets" 70000 "$rules" >/dev/null

# sensor OPTIONS…: live on the wire; waits until every worker captures.
sensor() {
	workers=$1
	shift
	rm -f "$dir/alerts"
	start sensor ip netns exec "$wire_far" "$build/picket-sensor" -i wire1 -R "$rules" -o "$dir/alerts" \
		--set sensor.id=s --set capture.workers="$workers" --set dpi.mode=off "$@"
	sensor=$!
	until_ok 10 contains_quietly "$dir/sensor" "worker $((workers - 1)) captures"
}
contains_quietly() { grep -qF -- "$2" "$1"; }
sends() { ip netns exec "$wire_near" "$tools/send" wire0 "$@" | sed -n 's/^sent=//p'; }
# The newest ledger that SIGUSR1 has printed.
counter() { awk -v n="$1" '$1 == n { v = $2 } $1 == "packets.received" && n != $1 { v = 0 } END { print v + 0 }' "$dir/sensor"; }
accounted() { echo $(($(counter packets.received) + $(counter drops.kernel) + $(counter drops.interface))); }
all_here() {
	kill -USR1 "$sensor"
	sleep 0.2
	[ "$(accounted)" -ge "$1" ]
}
ends() {
	until_ok 15 all_here "$2"
	check "$1: sent = received + dropped" "$2" "$(accounted)"
	contains_quietly "$dir/sensor" "out of balance" && wrong "$1: the ledger does not balance"
	stop "$sensor"
	check "$1: exit code" 0 "$code"
}
# What must not differ: all but times, numbers of flows, and ids.
plain() { sed 's/"timestamp":"[^"]*",//; s/"alert_id":"[^"]*",//; s/"flow_id":[0-9]*,//' "$1" | sort; }

# ---- the same alerts, however many workers ----
dns=$("$tools/generate" dns 8000 "$dir/dns.pcap" 50)
"$tools/generate" web 8000 "$dir/web.pcap" 20 >/dev/null
for w in 1 2 4; do
	sensor "$w"
	sent=$(sends "$dir/dns.pcap" 20000 0)
	sent=$((sent + $(sends "$dir/web.pcap" 20000 0)))
	ends "$w workers" "$sent"
	check "$w workers: drops" 0 "$(counter drops.kernel)"
	plain "$dir/alerts" >"$dir/plain$w"
	check "$w workers: DNS hits" "$dns" "$(grep -c '"where":"dns.query"' "$dir/plain$w")"
	cmp -s "$dir/plain1" "$dir/plain$w" || wrong "$w workers: not the alerts of one"
done

# ---- a transfer that another worker saw announced ----
tests/system/ftp_sessions.py 60 "$dir/ftp.pcap"
rules=$dir/file.csv
echo 'file_md5,900150983cd24fb0d6963f7d28e17f72' >"$rules"
for w in 1 4; do
	sensor "$w"
	ends "FTP, $w workers" "$(sends "$dir/ftp.pcap" 5000 0)"
	check "FTP, $w workers: files" 60 "$(grep -c '"where":"file.md5"' "$dir/alerts")"
done
rules=$dir/set

# ---- no packet twice: workers that join while packets flow ----
# Every packet is the SYN of a flow of its own to an address that is listed.
"$tools/generate" syn 20000 "$dir/syn.pcap" 1 >/dev/null
ip netns exec "$wire_near" "$tools/send" wire0 "$dir/syn.pcap" 10000 0 >/dev/null &
sender=$!
sensor 4
wait "$sender"
sleep 1.5
kill -USR1 "$sensor"
sleep 0.2
stop "$sensor"
seen=$(sed 's/.*"src_ip":"\([^"]*\)","src_port":\([0-9]*\).*/\1 \2/' "$dir/alerts" | sort -u | wc -l)
[ "$seen" -gt 1000 ] || wrong "joining workers saw only $seen packets"
check "every packet once" "$seen" "$(counter packets.received)"

# ---- overload: DNS before bulk ----
# The sensor is held up again and again while its ring, which is large enough, fills.
sensor 1 --set overload.high=1 --set overload.low=0 --set capture.ring=128MB
sends "$dir/dns.pcap" 5000 0 >"$dir/sent.dns" &
one=$!
sends "$dir/web.pcap" 5000 0 >"$dir/sent.web" &
two=$!
for _ in 1 2 3 4 5; do
	kill -STOP "$sensor"
	sleep 0.25
	kill -CONT "$sensor"
	sleep 0.1
done
wait "$one" "$two"
ends overload $(($(cat "$dir/sent.dns") + $(cat "$dir/sent.web")))
check "overload: drops" 0 "$(counter drops.kernel)"
check "overload: DNS hits" "$dns" "$(grep -c '"where":"dns.query"' "$dir/alerts")"
[ "$(counter overload.steps)" -gt 0 ] || wrong "overload: not noticed"
[ "$(counter end.shed)" -gt 0 ] || wrong "overload: nothing was set aside"
contains overload "$dir/sensor" "cannot follow"
finish
