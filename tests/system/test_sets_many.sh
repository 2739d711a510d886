#!/bin/sh
# From picket rules push to a match on ten sensors over mutual TLS, also while a
# larger set is on its way; tests/bench/bench_sets.sh judges, and is the long form.
set -eu
tests/bench/bench_sets.sh "${1:?usage: test_sets_many.sh BUILD}" 10 4 20000 >"${TMPDIR:-/tmp}/test_sets_many.$$" 2>&1 || {
	cat "${TMPDIR:-/tmp}/test_sets_many.$$" >&2
	rm -f "${TMPDIR:-/tmp}/test_sets_many.$$"
	exit 1
}
sed 's/^/test_sets_many: /' "${TMPDIR:-/tmp}/test_sets_many.$$"
rm -f "${TMPDIR:-/tmp}/test_sets_many.$$"
