#!/bin/sh
# Scores picket scan against real captures with hits that independent tools agree
# on, when they are there: recall and precision per type. Each is read twice: the alerts must be the
# same, byte for byte.
#
#   cases.sh BUILD [FOLDER]
set -eu
build=$1
top=${2:-../shared}
[ -d "$top/cases" ] || { echo "cases: $top/cases is not here: skipped"; exit 0; }
command -v python3 >/dev/null || { echo "cases: no python3: skipped"; exit 0; }
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

scan_one() {
	code=0
	"$1/picket" scan --quiet --json --rules "$3/indicators.csv" "$3"/case.pcap* >"$2/${3##*/}.jsonl" \
		2>"$2/${3##*/}.err" || code=$?
	"$1/picket" scan --quiet --json --rules "$3/indicators.csv" "$3"/case.pcap* 2>/dev/null |
		cmp -s - "$2/${3##*/}.jsonl" || echo "cases: ${3##*/}: not the same alerts a second time"
	case $code in 0 | 5) ;; *) echo "cases: ${3##*/}: exit code $code: $(tail -n 1 "$2/${3##*/}.err")" ;; esac
}
if [ "${PICKET_CASES_ONE:-}" ]; then
	scan_one "$build" "$PICKET_CASES_OUT" "$PICKET_CASES_ONE"
	exit 0
fi
for c in "$top"/cases/*/; do printf '%s\n' "${c%/}"; done |
	xargs -P "$(nproc)" -I{} env PICKET_CASES_ONE={} PICKET_CASES_OUT="$out" sh "$0" "$build" "$top" >"$out/wrong"
[ -s "$out/wrong" ] && cat "$out/wrong"
# below TIER RECALL PRECISION: says so and fails when the totals of score.txt are under these.
below() {
	awk -v tier="$1" -v recall="$2" -v precision="$3" '
		$1 == "TOTAL" && ($4 < recall || $6 < precision) { bad = 1
			printf "cases: tier %s: recall %s, precision %s; at least %s and %s are expected\n", tier, $4, $6, recall, precision }
		END { exit bad }' "$out/score.txt"
}

failed=0
for tier in 1 2; do
	echo "cases: tier $tier"
	python3 "$top/tools/score.py" --root "$top/cases" --alerts "$out" --tier "$tier" --list "${PICKET_CASES_LIST:-0}" |
		tee "$out/score.txt"
	if [ "$tier" = 1 ]; then below 1 0.99 0.998 || failed=1; else below 2 0.98 0.998 || failed=1; fi
done
[ ! -s "$out/wrong" ] && [ "$failed" -eq 0 ]
