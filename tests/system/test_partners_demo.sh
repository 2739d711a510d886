#!/bin/sh
# The demo with two organisations and four sensors comes true to the end.
set -u
cd "$(dirname "$0")/../.." || exit 1
command -v redis-server >/dev/null || {
	echo "SKIP: no redis-server (apt install redis-server)"
	exit 0
}
out=$(deploy/demo/partners.sh "${1:-build}" 2>&1)
code=$?
if [ "$code" -eq 77 ]; then
	echo "test_partners_demo.sh: no right to capture here: skipped"
elif [ "$code" -ne 0 ]; then
	echo "$out" >&2
	exit 1
else
	echo "  ok    test_partners_demo.sh"
fi
