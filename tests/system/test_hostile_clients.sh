#!/bin/sh
# Strangers at the collector's port while sensors are connected that say nothing: see
# tests/torture/hostile.py for the cases. IDLE=10000 for the long form.
#
#   test_hostile_clients.sh BUILD
set -eu
build=${1:?usage: test_hostile_clients.sh BUILD}
for tool in redis-server openssl python3; do
	command -v $tool >/dev/null 2>&1 || {
		echo "SKIP test_hostile_clients: no $tool" >&2
		exit 0
	}
done
log=$(mktemp)
trap 'rm -f "$log"' EXIT
tests/torture/hostile.py --build "$build" --idle "${IDLE:-300}" >"$log" 2>&1 || {
	cat "$log"
	echo "test_hostile_clients: failed" >&2
	exit 1
}
echo "test_hostile_clients:$(grep 'idle sensors' "$log");$(grep 'memory at most' "$log")"
