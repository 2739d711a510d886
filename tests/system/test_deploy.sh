#!/bin/sh
# The helpers of deploy/: a request that a CA signs makes a certificate that the
# collector takes; the step before Redis' start cuts a torn transaction off.
set -u
# shellcheck source=tests/system/help.sh
. tests/system/help.sh

gives "a request" 0 deploy/make-csr.sh example collector col-9 "$dir/pki"
check "the key is its owner's alone" 600 "$(stat -c %a "$dir/pki/col-9.key")"
openssl req -in "$dir/pki/col-9.csr" -noout -text -verify >"$dir/text" 2>&1
contains "who it is for" "$dir/text" "URI:picket://example/collector/col-9"
key=$(cat "$dir/pki/col-9.key")
gives "a renewal" 0 deploy/make-csr.sh example collector col-9 "$dir/pki"
check "a renewal keeps the key" "$key" "$(cat "$dir/pki/col-9.key")"
gives "no such role" 2 deploy/make-csr.sh example king col-9 "$dir/pki"
gives "a name with a slash" 2 deploy/make-csr.sh example sensor a/b "$dir/pki"
deploy/make-test-ca.sh "$dir/ca" example 90 >/dev/null
openssl x509 -req -in "$dir/pki/col-9.csr" -CA "$dir/ca/collector-ca.crt" -CAkey "$dir/ca/collector-ca.key" -days 90 \
	-copy_extensions copyall -out "$dir/pki/col-9.crt" 2>/dev/null
start collector.log "$build/picket-collector" --set listen.address=127.0.0.1:$((20000 + $$ % 12000)) --set tls.cert="$dir/pki/col-9.crt" \
	--set tls.key="$dir/pki/col-9.key" --set tls.ca="$dir/ca/sensor-ca.crt" --set redis.address="unix:$dir/none.sock"
until_ok 5 grep -q 'listening on 127.0.0.1' "$dir/collector.log"
stop "$!"

# ---- the step before Redis starts ----
mkdir "$dir/appendonlydir"
aof=$dir/appendonlydir/appendonly.aof
printf 'file appendonly.aof.1.incr.aof seq 1 type i\n' >"$aof.manifest"
printf '*1\r\n$5\r\nMULTI\r\n*3\r\n$6\r\nINCRBY\r\n$1\r\nn\r\n$2\r\n1' >"$aof.1.incr.aof" # cut within
step=$(sed -n "s/^ExecStartPre=.bin.sh -c '\(.*\)'$/\1/p" deploy/systemd/redis-check-aof.conf | sed "s|[$][$]|$|g; s|/var/lib/redis|$dir|")
gives "the step" 0 sh -c "$step"
check "an open transaction is cut off" 0 "$(stat -c %s "$aof.1.incr.aof")"
gives "the step where there is no file" 0 sh -c "$(echo "$step" | sed "s|$dir|$dir/none|g")"
finish
