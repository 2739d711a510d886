#!/bin/sh
# A cluster of three masters and one collector, all ours, on loopback: the
# partitions' slots move from node to node while alerts flow; every alert counts
# exactly once.
#
#   test_cluster.sh BUILD [MOVES]
set -eu
build=${1:?usage: test_cluster.sh BUILD [MOVES]}
moves=${2:-12}
for tool in redis-server redis-cli; do
	command -v $tool >/dev/null 2>&1 || {
		echo "SKIP test_cluster: no $tool" >&2
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
	echo "test_cluster: $*" >&2
	tail -n 20 "$dir"/*.log >&2
	exit 1
}
base=$(deploy/free-port.sh 10)
for i in 1 2 3; do
	mkdir "$dir/r$i"
	redis-server --port $((base + i)) --bind 127.0.0.1 --dir "$dir/r$i" --save "" --appendonly no --cluster-enabled yes \
		--cluster-port $((base + i + 5)) --cluster-node-timeout 2000 --logfile "$dir/r$i.log" \
		--hash-max-listpack-value 1024 &
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
up() { ask "$1" ping | grep -q PONG; }
formed() { for i in 1 2 3; do ask $i cluster info | grep -q 'cluster_state:ok' || return 1; done; }
for i in 1 2 3; do wait_until 5 up $i; done
redis-cli --cluster create 127.0.0.1:$((base + 1)) 127.0.0.1:$((base + 2)) 127.0.0.1:$((base + 3)) --cluster-yes \
	>"$dir/create.log" 2>&1 || fail "the cluster does not form"
wait_until 10 formed

"$build/picket-collector" --set listen.address="unix:$dir/c.sock" --set listen.plaintext=true --set redis.mode=cluster \
	--set redis.nodes="127.0.0.1:$((base + 2))" --set limits.records_per_second=40000 >"$dir/collector.log" 2>&1 &
collector=$!
pids="$pids $collector"
wait_until 10 test -S "$dir/c.sock"

alerts=400000 groups=800
"$build/tests/bench/bench_collector" storm "$dir/c.sock" $alerts $groups 0 >"$dir/storm.log" 2>&1 &
storm=$!
sleep 1

node_id() { ask "$1" cluster myid; }
owner_of() { # owner_of SLOT: 1, 2 or 3
	for i in 1 2 3; do
		ask $i cluster nodes | grep myself | awk -v s="$1" '{ for (f = 9; f <= NF; f++) { split($f, r, "-"); if ($f !~ /^\[/ && s >= r[1] && s <= (r[2] == "" ? r[1] : r[2])) exit 0 } exit 1 }' &&
			echo $i && return 0
	done
	return 1
}
done_moves=0
while [ $done_moves -lt "$moves" ] && kill -0 $storm 2>/dev/null; do
	part=$((done_moves % 16))
	slot=$(ask 1 cluster keyslot "{p$part}")
	from=$(owner_of "$slot")
	to=$((from % 3 + 1))
	ask $to cluster setslot "$slot" importing "$(node_id "$from")" >/dev/null
	ask "$from" cluster setslot "$slot" migrating "$(node_id $to)" >/dev/null
	while keys=$(ask "$from" cluster getkeysinslot "$slot" 20) && [ -n "$keys" ]; do
		# shellcheck disable=SC2086
		ask "$from" migrate 127.0.0.1 $((base + to)) "" 0 5000 replace keys $keys >/dev/null
	done
	id=$(node_id $to)
	for i in $to "$from" 1 2 3; do ask "$i" cluster setslot "$slot" node "$id" >/dev/null; done
	done_moves=$((done_moves + 1))
done
[ $done_moves -gt 2 ] || fail "the storm was over before the slots had moved"
wait $storm || fail "the alerts did not all get acknowledged"

total=0 wrong=0 seen=0
for i in 1 2 3; do
	for p in $(seq 0 15); do
		for id in $(ask $i zrange "picket:{p$p}:open" 0 -1 | grep -E '^[0-9a-f]{32}$'); do
			n=$(ask $i hget "picket:{p$p}:alert:$id" n)
			total=$((total + n)) seen=$((seen + 1))
			[ "$n" -eq $((alerts / groups)) ] || wrong=$((wrong + 1))
		done
	done
done
[ "$total" -eq $alerts ] && [ "$wrong" -eq 0 ] && [ $seen -eq $groups ] ||
	fail "$total alerts counted of $alerts, $seen groups of $groups, $wrong wrong"
kill $collector
wait $collector || fail "the collector did not leave in order"
redirected=$(sed -n 's/.* \([0-9]*\) redirected.*/\1/p' "$dir/collector.log" | tail -n 1)
[ "${redirected:-0}" -gt 0 ] || fail "no call was ever redirected: nothing was tested"
echo "test_cluster: $done_moves slots moved, $redirected calls redirected, $(head -n 1 "$dir/storm.log") alerts/s, $total of $alerts alerts in $groups groups: exact"
