#!/bin/sh
# Real captures with the indicators of all of them and DECOYS made-up ones of every
# type must give the same alerts as without the decoys, when the captures are there.
#
#   decoys.sh BUILD [FOLDER [DECOYS [EVERY]]]      of the cases every EVERYth
set -eu
build=$1
top=${2:-../shared}
decoys=${3:-50000}
every=${4:-12}
[ -d "$top/cases" ] || { echo "decoys: $top/cases is not here: skipped"; exit 0; }
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

ls -d "$top"/cases/*/ | awk -v every="$every" 'NR % every == 0' >"$out/cases"
{ echo type,value; xargs -I{} tail -q -n +2 {}indicators.csv <"$out/cases" | sort -u; } >"$out/rules.csv"

# What is made up looks like the real thing and occurs nowhere: names below
# .invalid, addresses of 240/4, digests of counted numbers. Patterns are few: an
# automaton of fifty thousand is another test's matter.
awk -v n="$decoys" 'BEGIN {
	srand(7)
	print "type,value"
	split("md5 sha1 sha256", files); split("32 40 64", sizes)
	for (i = 0; i < n; i++) {
		host = sprintf("d%x-%d.%s.invalid", rand() * 16777216, i, i % 3 ? "com" : "org")
		k = i % 20
		if (k < 6) print "domain," host
		else if (k < 8) print "hostname,www." host
		else if (k < 11) printf "ip,%d.%d.%d.%d\n", 240 + i % 15, rand() * 256, i / 256 % 256, i % 256
		else if (k < 12) printf "cidr,24%d.%d.%d.0/24\n", i % 6, rand() * 256, i / 60 % 256
		else if (k < 14) print "url,http://" host "/x/" i
		else if (k < 15) print "user_agent,Decoy/" i
		else if (k < 18) printf "file_%s,%0*x\n", files[k - 14], sizes[k - 14], i + 4096
		else if (k < 19) print (i % 40 < 20 ? "filename,decoy-" : "username,decoy-") i
		else if (i % 2000 < 20) printf "payload_hex,%08x%08xdecade\n", rand() * 4294967295, i
		else print "email,d" i "@" host
	}
}' >"$out/decoys.csv"

alerts() { # rule files…
	files=$(sed 's/$/case.pcap*/' "$out/cases")
	rules=
	for r; do rules="$rules --rules $r"; done
	# shellcheck disable=SC2086 # words and patterns are meant
	"$build/picket" scan --quiet --json --dpi off $rules $files 2>"$out/err" || [ $? -eq 5 ] || { cat "$out/err"; exit 1; }
}
alerts "$out/rules.csv" | sort >"$out/without"
alerts "$out/rules.csv" "$out/decoys.csv" | sort >"$out/with"
n=$(wc -l <"$out/without")
if ! cmp -s "$out/without" "$out/with"; then
	echo "decoys: other alerts with decoys than without:"
	diff "$out/without" "$out/with" | cut -c 1-300 | head -n 10
	exit 1
fi
[ "$n" -gt 0 ] || { echo "decoys: no alerts at all"; exit 1; }
echo "decoys: $n alerts of $(wc -l <"$out/cases") captures, the same with $(($(wc -l <"$out/decoys.csv") - 1)) decoys"
