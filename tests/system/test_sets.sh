#!/bin/sh
# Compiled sets where things go wrong: no memory, no disk, a damaged file, a file that
# is swapped under a running sensor. A sentence each time, and the old set stays.
set -u
# shellcheck source=tests/system/help.sh
. tests/system/help.sh
# shellcheck source=tests/bench/wire.sh
. tests/bench/wire.sh
tools=$build/tests/bench
picket=$build/picket
"$tools/sets" -c 300000 >"$dir/many.csv"
"$tools/sets" 300000 "$dir/many.set" >/dev/null
printf 'type,value\ndomain,bad.example\n' >"$dir/few.csv"
"$picket" rules compile "$dir/few.csv" -o "$dir/few.set" >/dev/null || wrong "few.csv was not compiled"

# ---- a small machine ----
# shellcheck disable=SC2016 # the inner shell's
limited='ulimit -v "$1" && shift && exec "$@"'
case $build in
*-address* | *-thread*) ;; # they reserve terabytes
*)
	gives "compile without memory" 4 sh -c "$limited" sh 90000 "$picket" rules compile "$dir/many.csv" -o "$dir/new.set"
	contains "compile without memory" "$dir/err" "memory"
	[ ! -e "$dir/new.set" ] || wrong "compile without memory: a set was written"
	size=$(($(stat -c %s "$dir/many.set") / 1024))
	gives "a compiled set needs its own size" 0 sh -c "$limited" sh $((size + 700000)) "$picket" scan -q --dpi off \
		--rules "$dir/many.set" tests/golden/vlan-qinq/case.pcap*
	;;
esac

# ---- a full disk ----
cp "$dir/few.set" "$dir/kept.set"
# shellcheck disable=SC2016
full='trap "" XFSZ && ulimit -f 64 && exec "$@"'
gives "compile onto a full disk" 4 sh -c "$full" sh "$picket" rules compile "$dir/many.csv" -o "$dir/kept.set"
contains "compile onto a full disk" "$dir/err" "cannot write the compiled rule set"
cmp -s "$dir/few.set" "$dir/kept.set" || wrong "full disk: the old set is not what it was"
check "full disk: nothing is left behind" 0 "$(find "$dir" -name '*.tmp' | wc -l)"

# ---- under a running sensor ----
wire_up || {
	echo "  skip  $(basename "$0"): the running sensor needs root and network namespaces"
	finish
}
trap 'wire_down; leave' EXIT
hits=$("$tools/generate" dns 3000 "$dir/dns.pcap" 50)
cp "$dir/many.set" "$dir/live.set"
start sensor ip netns exec "$wire_far" "$build/picket-sensor" -i wire1 -R "$dir/live.set" -o "$dir/alerts" \
	--set sensor.id=s --set dpi.mode=off --set metrics.listen="unix:$dir/metrics.sock"
sensor=$!
figure() {
	python3 -c 'import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
print(s.makefile().read())' "$dir/metrics.sock" | grep -q "^$1\$"
}
said() { grep -qF -- "$1" "$dir/sensor"; }
found() { grep -c '"where":"dns.query"' "$dir/alerts"; }
times_said() { [ "$(grep -cF -- "$1" "$dir/sensor")" -ge "$2" ]; }
plays() { ip netns exec "$wire_near" "$tools/send" wire0 "$dir/dns.pcap" 10000 0 | sed -n 's/^sent=//p'; }
enough() { [ "$(found)" -ge "$1" ]; }
until_ok 10 said "worker 0 captures"
sent=$(plays)
until_ok 10 enough "$hits"

# A damaged file in its place: refused, the old set still matches.
head -c 1000000 "$dir/many.set" >"$dir/cut.set"
mv "$dir/cut.set" "$dir/live.set"
kill -HUP "$sensor"
until_ok 10 said "the set loaded before stays"
contains "damaged" "$dir/sensor" "is damaged"
until_ok 10 figure "picket_sensor_rules_refused_total 1"
# The flows are the same: their hits are repeats, unless the sensor sees new ports.
plays >/dev/null
kill -USR1 "$sensor"
repeats() { kill -USR1 "$sensor"; sleep 0.2; [ "$(awk '$1 == "alerts.repeats" { v = $2 } END { print v + 0 }' "$dir/sensor")" -ge "$1" ]; }
until_ok 10 repeats "$hits"

# Swapped by renaming, again and again, while packets flow: all of them are there, and
# the set that counts in the end is the last.
ip netns exec "$wire_near" "$tools/send" wire0 "$dir/dns.pcap" 3000 0 >"$dir/more" &
sender=$!
for i in 1 2 3 4; do
	cp "$dir/$([ $((i % 2)) = 0 ] && echo many || echo few).set" "$dir/next.set"
	mv "$dir/next.set" "$dir/live.set"
	kill -HUP "$sensor"
	until_ok 10 times_said "armed with" $((i + 1))
done
wait "$sender"
sent=$((sent * 2 + $(sed -n 's/^sent=//p' "$dir/more")))
all_here() { kill -USR1 "$sensor"; sleep 0.2; [ "$(awk '$1 == "packets.received" { v = $2 } END { print v + 0 }' "$dir/sensor")" -ge "$sent" ]; }
until_ok 10 all_here
check "swapped under traffic: packets" "$sent" "$(awk '$1 == "packets.received" { v = $2 } END { print v + 0 }' "$dir/sensor")"
said "out of balance" && wrong "the ledger does not balance"
check "the last set" "armed with 300000 indicators" "$(grep -o 'armed with [0-9]* indicators' "$dir/sensor" | tail -n 1)"
stop "$sensor"
check "exit code" 0 "$code"
finish
