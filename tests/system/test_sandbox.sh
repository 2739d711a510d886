#!/bin/sh
# What the running daemons have given up, and that they still do all their work:
# rules and output anew, an interface that goes and comes back. Needs root and
# network namespaces for the live part.
set -u
# shellcheck source=tests/system/help.sh
. tests/system/help.sh
# shellcheck source=tests/system/redis.sh
. tests/system/redis.sh

# status PID: its capability sets, seccomp, no_new_privs in one line
status() {
	sed -n 's/^\(CapInh\|CapPrm\|CapEff\|CapAmb\|NoNewPrivs\|Seccomp\):[[:space:]]*/\1=/p' "/proc/$1/status" | tr '\n' ' '
}
clean='CapInh=0000000000000000 CapPrm=0000000000000000 CapEff=0000000000000000 CapAmb=0000000000000000 NoNewPrivs=1 Seccomp=2 '
children() { cat "/proc/$1/task/"*/children 2>/dev/null; }
named() { # named PID NAME: the process of that name at or below PID
	for p in $1 $(children "$1"); do
		[ "$(cat "/proc/$p/comm" 2>/dev/null)" = "$2" ] && echo "$p" && return
		for q in $(children "$p"); do [ "$(cat "/proc/$q/comm" 2>/dev/null)" = "$2" ] && echo "$q" && return; done
	done
}

# ---- what is written down is what is built ----
"$build/picket" sandbox >"$dir/calls"
sed -n '/<!-- picket sandbox -->/,/<!-- end -->/p' deploy/THREATS.md | sed '1d;$d' >"$dir/written"
diff -u "$dir/written" "$dir/calls" >&2 || wrong "deploy/THREATS.md does not list what the sandbox allows: put the output of picket sandbox there"

# ---- the collector ----
start_redis "$dir" || exit 1
start collector.log "$build/picket-collector" --set listen.address="unix:$dir/c.sock" --set listen.plaintext=true \
	--set redis.address="unix:$dir/redis.sock"
collector=$!
until_ok 5 grep -q 'sandbox of the collector' "$dir/collector.log"
check "the collector has given up" "$clean" "$(status "$collector")"
kill -HUP "$collector"
sleep 0.3
stop "$collector"
check "the collector leaves well" 0 "$code"
[ ! -e "$dir/c.sock" ] || wrong "the collector left its socket behind"

# ---- off is off ----
start open.log "$build/picket-collector" --set listen.address="unix:$dir/c.sock" --set listen.plaintext=true \
	--set redis.address="unix:$dir/redis.sock" --set sandbox.on=false
open=$!
until_ok 5 grep -q 'keeps its rights' "$dir/open.log"
case "$(status $open)" in *Seccomp=0*) ;; *) wrong "sandbox.on: false does not leave system calls alone" ;; esac
stop "$open"

# ---- the live sensor and its helpers, while its interface goes and comes ----
link() { ip -n "$ns" link add tap0 type veth peer name wire0 && ip -n "$ns" addr add 192.0.2.1/24 dev wire0 &&
	ip -n "$ns" link set wire0 up && ip -n "$ns" link set tap0 up; }
ns=picket-sandbox-$$
if [ "$(id -u)" -eq 0 ] && ip netns add "$ns" 2>/dev/null && link 2>/dev/null; then
	knock() { ip netns exec "$ns" bash -c 'echo x >/dev/udp/192.0.2.66/9' 2>/dev/null; }
	hits() { grep -c '"event_type":"alert"' "$dir/live.jsonl" 2>/dev/null || true; }
	knocked() { knock; sleep 0.1; [ "$(hits)" -gt "$1" ]; }
	arp() { ip -n "$ns" neigh replace 192.0.2.66 lladdr 02:00:00:00:00:66 dev wire0; }
	arp
	mkdir "$dir/rules" "$dir/killers"
	echo 'ip,192.0.2.66' >"$dir/rules/a.csv"
	start live.log ip netns exec "$ns" "$build/picket-sensor" -i tap0 -R "$dir/rules" -o "$dir/live.jsonl" --set dpi.killers="$dir/killers" \
		--set capture.workers=2
	live=$!
	until_ok 5 grep -q 'sandbox of the opener' "$dir/live.log"
	check "the sensor has given up" "$clean" "$(status "$live")"
	for name in picket-dpi picket-ndpi; do
		pid=$(named "$live" $name)
		check "$name has given up" "$clean" "$(status "${pid:-self}")"
	done
	for t in /proc/"$live"/task/*; do
		grep -q 'Seccomp:.*2' "$t/status" && grep -q 'CapPrm:.*0000000000000000' "$t/status" ||
			wrong "thread $(cat "$t/comm") is not confined"
	done
	check "the opener holds CAP_NET_RAW alone" "CapPrm=0000000000002000" \
		"$(status "$(named "$live" picket-opener)" | tr ' ' '\n' | grep CapPrm)"
	until_ok 5 knocked 0
	# rules replaced by renaming, one more file, reload
	echo 'ip,192.0.2.66' >"$dir/rules/a.new" && mv "$dir/rules/a.new" "$dir/rules/a.csv"
	echo 'ip,192.0.2.67' >"$dir/rules/b.csv"
	kill -HUP "$live"
	until_ok 5 grep -q 'armed with 2 ' "$dir/live.log"
	# the output rotated
	mv "$dir/live.jsonl" "$dir/live.jsonl.1"
	until_ok 10 knocked 0
	# the interface removed and made again
	ip -n "$ns" link del tap0
	until_ok 5 grep -q 'trying again every second' "$dir/live.log"
	link
	arp
	until_ok 10 grep -q 'capturing on tap0 again' "$dir/live.log"
	seen=$(hits)
	until_ok 10 knocked "$seen"
	# nDPI killed: another one
	pid=$(named "$live" picket-ndpi)
	kill -9 "$pid"
	another() { p=$(named "$live" picket-ndpi) && [ -n "$p" ] && [ "$p" != "$pid" ]; }
	until_ok 5 another
	check "the next nDPI process has given up, too" "$clean" "$(status "$(named "$live" picket-ndpi)")"
	check "the sensor lives" picket-sensor "$(cat "/proc/$live/comm")"
	opener=$(named "$live" picket-opener)
	stop "$live"
	check "the sensor leaves well" 0 "$code"
	until_ok 3 [ ! -d "/proc/$opener" ]
	ip netns del "$ns"
else
	ip netns del "$ns" 2>/dev/null
	echo "  test_sandbox.sh: no root or no network namespaces: the live part is skipped"
fi
finish
