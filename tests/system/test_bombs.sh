#!/bin/sh
# Files that are small to write and dear to read: see bombs.py. V=1 tells of each.
set -u
# shellcheck source=tests/system/help.sh
. tests/system/help.sh
command -v python3 >/dev/null || { echo "SKIP test_bombs: no python3" >&2; exit 0; }
tests/system/bombs.py "$build" "$dir" || bad=1
finish
