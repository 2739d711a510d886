#!/bin/sh
# Two redis-servers, three sentinels, one collector, all ours, on loopback: the
# master is killed while alerts flow, twice; every alert counts exactly once. The
# first of the sentinels that are configured names a replica, and is not believed.
#
#   test_sentinel.sh BUILD
set -eu
build=${1:?usage: test_sentinel.sh BUILD}
for tool in redis-server redis-cli python3; do
	command -v $tool >/dev/null 2>&1 || {
		echo "SKIP test_sentinel: no $tool" >&2
		exit 0
	}
done
dir=$(mktemp -d)
pids=
cleanup() {
	for p in $pids; do kill -9 "$p" 2>/dev/null || true; done
	rm -rf "$dir"
}
trap cleanup EXIT
fail() {
	echo "test_sentinel: $*" >&2
	tail -n 20 "$dir"/*.log >&2
	exit 1
}
base=$(deploy/free-port.sh 10)

start_one() { # start_one N REPLICAOF...
	i=$1
	shift
	mkdir -p "$dir/r$i"
	redis-server --port $((base + i)) --bind 127.0.0.1 --dir "$dir/r$i" --save "" --appendonly no \
		--logfile "$dir/r$i.log" --hash-max-listpack-value 1024 --repl-diskless-sync-delay 0 "$@" &
	pids="$pids $!"
	started=$!
}
start_one 1
pid1=$started
start_one 2 --replicaof 127.0.0.1 $((base + 1))
pid2=$started
for i in 3 4 5; do
	printf 'port %d\nbind 127.0.0.1\ndir %s\nlogfile %s\nsentinel monitor picket 127.0.0.1 %d 2\nsentinel down-after-milliseconds picket 2000\nsentinel failover-timeout picket 6000\n' \
		$((base + i)) "$dir" "$dir/s$i.log" $((base + 1)) >"$dir/s$i.conf"
	redis-server "$dir/s$i.conf" --sentinel &
	pids="$pids $!"
done
ask() { # ask N COMMAND…
	i=$1
	shift
	redis-cli -p $((base + i)) "$@" 2>/dev/null | tr -d '\r'
}
wait_until() { # wait_until SECONDS COMMAND…
	left=$(($1 * 10))
	shift
	until "$@"; do
		left=$((left - 1))
		[ "$left" -gt 0 ] || fail "waited in vain for: $*"
		sleep 0.1
	done
}
linked() { ask "$1" info replication | grep -q 'master_link_status:up'; }
known() { ask 3 sentinel master picket | tr '\n' ' ' | grep -q 'num-slaves 1 .*num-other-sentinels 2 '; }
is_master() { ask "$1" role | head -n 1 | grep -qx master; }
wait_until 10 linked 2
wait_until 10 known

# As one that an election has left behind: it answers, and is wrong.
python3 - $((base + 6)) $((base + 2)) >"$dir/liar.log" 2>&1 <<'PY' &
import socketserver, sys

class Liar(socketserver.StreamRequestHandler):
    def handle(self):
        while line := self.rfile.readline():
            words = [self.rfile.readline() and self.rfile.readline().strip() for _ in range(int(line[1:]))]
            if words[0] == b"SUBSCRIBE":
                for i, channel in enumerate(words[1:], 1):
                    self.wfile.write(b"*3\r\n$9\r\nsubscribe\r\n$%d\r\n%s\r\n:%d\r\n" % (len(channel), channel, i))
            else:
                port = sys.argv[2].encode()
                self.wfile.write(b"*2\r\n$9\r\n127.0.0.1\r\n$%d\r\n%s\r\n" % (len(port), port))

socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer.daemon_threads = True
socketserver.ThreadingTCPServer(("127.0.0.1", int(sys.argv[1])), Liar).serve_forever()
PY
pids="$pids $!"
nodes="127.0.0.1:$((base + 6)),127.0.0.1:$((base + 3)),127.0.0.1:$((base + 4)),127.0.0.1:$((base + 5))"
lies() { redis-cli -p $((base + 6)) sentinel get-master-addr-by-name picket >/dev/null 2>&1; }
wait_until 10 lies
"$build/picket" status --redis-set mode=sentinel --redis-set nodes="$nodes" >"$dir/status.log" 2>&1 ||
	[ $? -eq 1 ] || fail "commands believe a sentinel that names a replica"

"$build/picket-collector" --set listen.address="unix:$dir/c.sock" --set listen.plaintext=true \
	--set redis.mode=sentinel --set redis.nodes="$nodes" \
	--set limits.records_per_second=40000 --set redis.timeout=1s >"$dir/collector.log" 2>&1 &
collector=$!
pids="$pids $collector"
wait_until 10 grep -q ready "$dir/collector.log"

alerts=400000 groups=500
"$build/tests/bench/bench_collector" storm "$dir/c.sock" $alerts $groups 0 >"$dir/storm.log" 2>&1 &
storm=$!
sleep 1.5
kill -9 "$pid1"
wait_until 15 is_master 2
start_one 1
sleep 0.5
kill -0 $storm 2>/dev/null || fail "the storm ended before the failover was over"
wait_until 20 linked 1
kill -9 "$pid2"
wait_until 15 is_master 1
wait $storm || fail "the alerts did not all get acknowledged"

total=0 wrong=0
for id in $(ask 1 zrange 'picket:{p0}:open' 0 -1); do
	n=$(ask 1 hget "picket:{p0}:alert:$id" n)
	total=$((total + n))
	[ "$n" -eq $((alerts / groups)) ] || wrong=$((wrong + 1))
done
[ "$total" -eq $alerts ] && [ "$wrong" -eq 0 ] || fail "$total alerts counted of $alerts, $wrong groups wrong"
echo "test_sentinel: two failovers, $(tail -n 1 "$dir/storm.log"), $total of $alerts alerts in $groups groups: exact"
