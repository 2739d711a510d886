#!/bin/sh
# free-port.sh [N]: the first of N (1) TCP ports in a row that nothing on this machine
# uses. They lie outside the range from which the kernel gives ports to outgoing
# connections (net.ipv4.ip_local_port_range): one of those could be taken between this
# answer and the start of the server, or while the server is started again.
set -eu
cat /proc/sys/net/ipv4/ip_local_port_range /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk -v n="${1:-1}" -v seed="$(($(date +%s%N) / 1000 * 31 + $$))" '
	function hex(text, i, value) {
		for (i = 1; i <= length(text); i++) value = value * 16 + index("0123456789ABCDEF", substr(text, i, 1)) - 1
		return value
	}
	function free(first, i) {
		for (i = first; i < first + n; i++) if (i in used || (i >= low && i <= high)) return 0
		return 1
	}
	NR == 1 { low = $1; high = $2; next }
	$2 ~ /:/ { sub(/.*:/, "", $2); used[hex($2)] = 1 }
	END {
		srand(seed % 2147483647)
		for (tries = 0; tries < 100000; tries++) {
			port = 10000 + int(rand() * (65535 - 10000 - n))
			if (free(port)) {
				print port
				exit
			}
		}
		print "free-port.sh: no " n " free TCP ports in a row outside " low " to " high ", which the kernel gives away" >"/dev/stderr"
		exit 1
	}'
