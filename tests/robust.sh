#!/bin/sh
# Malformed and odd captures, when they are there: no crash, no sanitizer report,
# none over five seconds; what cannot be read ends with exit code 4 and one line.
#
#   robust.sh BUILD [FOLDER]
set -u
build=$1
top=${2:-../shared}
[ -d "$top/robust" ] || { echo "robust: $top/robust is not here: skipped"; exit 0; }
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
printf 'type,value\ndomain,example.com\nip,192.0.2.1\ncidr,10.0.0.0/8\npayload_hex,00000000\nfile_sha256,%064d\nprotocol,tls\n' 0 \
	>"$out/rules.csv"
failed=0 read_all=0 unreadable=0 cut=0
for f in "$top"/robust/* "$top"/killers/*.pcap; do
	[ -d "$f" ] && f=$(find "$f" -type f -name '*pcap*' | head -n 1)
	[ -f "$f" ] || continue
	case $f in *.md) continue ;; esac
	timeout 20 "$build/picket" scan --json --rules "$out/rules.csv" "$f" >"$out/alerts" 2>"$out/err"
	code=$?
	case $code in
	0) read_all=$((read_all + 1)) ;;
	5) cut=$((cut + 1)) ;;
	4) unreadable=$((unreadable + 1)) ;;
	*)
		failed=$((failed + 1))
		echo "robust: $f: exit code $code"
		tail -n 5 "$out/err"
		;;
	esac
	[ "${VERBOSE:-}" ] && echo "robust: $code ${f##*/}: $(grep '^picket scan:' "$out/err" | head -n 1)"
	if [ "$code" = 4 ] && [ "$(grep -c '^picket scan:' "$out/err")" != 1 ]; then
		failed=$((failed + 1))
		echo "robust: $f: expected one line, got:"
		cat "$out/err"
	fi
	if grep -q 'does not balance' "$out/err"; then
		failed=$((failed + 1))
		echo "robust: $f: the ledger does not balance"
	fi
done
echo "robust: $read_all read, $cut cut short, $unreadable unreadable, $failed failed"
[ "$failed" -eq 0 ]
