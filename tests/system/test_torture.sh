#!/bin/sh
# A short campaign of faults on one Redis, with Sentinel and on a Cluster, and the
# two spoilt scripts that the campaign must notice: without compare-and-set alerts
# count twice, with the mark written before all is read they are lost. make torture
# is the long one.
#
#   test_torture.sh BUILD      SEED=n repeats one
set -eu
build=${1:?usage: test_torture.sh BUILD}
for tool in redis-server openssl python3; do
	command -v $tool >/dev/null 2>&1 || {
		echo "SKIP test_torture: no $tool" >&2
		exit 0
	}
done
torture=tests/torture/torture.py
log=$(mktemp)
trap 'rm -f "$log"' EXIT

"$torture" --build "$build" --faults 65 --minutes 2 --rest 0.15 ${SEED:+--seed "$SEED"} >"$log" 2>&1 || {
	cat "$log"
	echo "test_torture: counts are not exact" >&2
	exit 1
}
sed -n 's/^torture: seed/test_torture: seed/p; s/^  \([0-9]* alerts in\)/test_torture:   \1/p' "$log" | tail -n 6

must_fail() { # CONTROL KINDS
	rc=0
	"$torture" --build "$build" --faults 6 --rest 0.1 --only "$2" --control "$1" >"$log" 2>&1 || rc=$?
	if [ "$rc" -ne 1 ] || ! grep -q 'promised' "$log"; then
		cat "$log"
		echo "test_torture: the script spoilt by $1 was not noticed (exit $rc)" >&2
		exit 1
	fi
	echo "test_torture: control $1:$(sed -n 's/.*result://p' "$log")"
}
must_fail cas zombie
must_fail writes-first wrong_type
