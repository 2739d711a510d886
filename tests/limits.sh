#!/bin/sh
# Every limit of the sensor stands in deploy/limits.md: a constant with MAX in its name in
# sensor/ must have a row there with the value that the code has; the counters of the
# row must be the ledger's, and the tests must exist.
#
#   | file | `NAME` | value | of what | beyond it | counter | test |
set -eu
cd "$(dirname "$0")/.."
page=deploy/limits.md
# FILE NAME VALUE of every constant, as the preprocessor or an enum has it.
constants() {
	awk '
		{ line = $0; sub(/[ \t]*\/\*.*/, "", line); sub(/[ \t]*\\$/, "", line) }
		match(line, /^#define[ \t]+[A-Z][A-Z0-9_]*[ \t]+[^ \t]/) {
			split(line, w, /[ \t]+/); name = w[2]
			sub(/^#define[ \t]+[A-Z0-9_]*[ \t]+/, "", line); say(name, line); next
		}
		match(line, /^\t[A-Z][A-Z0-9_]* = /) || match(line, /^enum \{ [A-Z]/) {
			sub(/^enum \{/, "", line); sub(/\};.*/, "", line)
			n = split(line, e, /,/)
			for (i = 1; i <= n; i++)
				if (split(e[i], w, /=/) == 2) { gsub(/[ \t]/, "", w[1]); say(w[1], w[2]) }
		}
		function say(name, value) {
			gsub(/^[ \t]+|[ \t]+$/, "", value)
			if (value ~ /^\(.*\)$/) value = substr(value, 2, length(value) - 2)
			f = FILENAME; sub(/^sensor\//, "", f)
			print f "\t" name "\t" value
		}' sensor/*.c sensor/*.h
}
tests=$(mktemp)
trap 'rm -f "$tests"' EXIT
found=$(constants | awk -F '\t' -v tests="$tests" '
	FILENAME == "-" { value[$1, $2] = $3; next }
	FILENAME ~ /ledger\.h$/ { if (match($0, /"[a-z_]+\.[a-z_]+"/)) counter[substr($0, RSTART + 1, RLENGTH - 2)] = 1; next }
	!/^\| [a-z_0-9]+\.[ch] \|/ { next }
	{
		n = split($0, c, / *\| */)
		file = c[2]; name = c[3]; gsub(/`/, "", name)
		if (!((file, name) in value)) { print "no such constant: " file " " name; next }
		if (value[file, name] != c[4]) print file " " name " is " value[file, name] ", the page says " c[4]
		told[file, name] = 1
		if (n < 9) next # a bound that takes nothing away
		gsub(/`/, "", c[7])
		if (c[7] == "" || c[8] == "") print file " " name ": no counter, or no test"
		m = split(c[7], k, /, /)
		for (i = 1; i <= m; i++)
			if (k[i] ~ /\./ && !(k[i] in counter)) print file " " name ": no such counter: " k[i]
		m = split(c[8], k, /, /)
		for (i = 1; i <= m; i++) print k[i] >tests
	}
	END {
		for (at in value) {
			split(at, w, SUBSEP)
			if (w[2] ~ /MAX/ && !(at in told)) print w[1] " " w[2] " (" value[at] ") is not there"
		}
	}' - sensor/ledger.h "$page"
	sort -u "$tests" | while IFS=: read -r file function; do
		grep -q "^static void $function(" "tests/unit/$file" || echo "no such test: $file:$function"
	done)
[ -z "$found" ] && exit 0
printf '%s\n' "$found" | sort
exit 1
