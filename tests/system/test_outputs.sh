#!/bin/sh
# Hostile text out of packets, files and Redis through every command: outputs.py.
set -u
# shellcheck source=tests/system/help.sh
. tests/system/help.sh
# shellcheck source=tests/system/redis.sh
. tests/system/redis.sh
start_redis "$dir" || exit 0
tests/system/outputs.py "$build" "$dir" "$REDIS_SOCKET" >"$dir/said" || wrong "$(cat "$dir/said")"
finish
