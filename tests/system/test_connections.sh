#!/bin/sh
# limits.connections: who comes when all places are taken is sent away, counted and
# told of; those inside are left alone, and a place that is free is given again.
set -u
# shellcheck source=tests/system/help.sh
. tests/system/help.sh
# shellcheck source=tests/system/redis.sh
. tests/system/redis.sh
case=tests/golden/pcapng-two-sections
start_redis "$dir" || exit 1
start collector.log "$build/picket-collector" --set listen.address="unix:$dir/c.sock" --set listen.plaintext=true \
	--set redis.address="unix:$dir/redis.sock" --set limits.connections=3 --set limits.hello=60s \
	--set metrics.listen="unix:$dir/m.sock"
until_ok 5 test -S "$dir/m.sock"

cat >"$dir/five.py" <<'PY'
import socket, sys, time

def opened():
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    return s

def ended(s, wait):
    s.settimeout(wait)
    try:
        return s.recv(1) == b""
    except (TimeoutError, socket.timeout):
        return False
    except ConnectionError:
        return True

held = [opened() for _ in range(3)]
time.sleep(0.3)
late = [opened(), opened()]
assert all(ended(s, 5) for s in late), "a connection beyond the limit was kept"
assert not any(ended(s, 0.2) for s in held), "one inside was sent away"
held.pop().close()
until = time.monotonic() + 5
while ended(again := opened(), 0.3):
    assert time.monotonic() < until, "a place that is free is not given again"
print("as it should be")
time.sleep(3)
PY
python3 "$dir/five.py" "$dir/c.sock" >"$dir/five.out" 2>&1 &
clients=$!
until_ok 15 grep -q . "$dir/five.out"
contains "connections" "$dir/five.out" "as it should be"
contains "the reason is told" "$dir/collector.log" "limits.connections is reached"
tests/system/promtext.py "unix:$dir/m.sock" >"$dir/figures"
contains "connections now" "$dir/figures" 'picket_collector_connections{} 3'
grep -q 'picket_collector_connections_refused_total{} 0' "$dir/figures" && wrong "nothing was counted as refused"
wait "$clients"
gives "a sensor, once there is room" 0 "$build/picket-sensor" --set sensor.id=late-1 --set spool.dir="$dir/spool" \
	--set collector.address="unix:$dir/c.sock" -R $case/rules.yaml -r $case/case.pcapng
finish
