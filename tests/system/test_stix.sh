#!/bin/sh
# Every STIX object that we write keeps to the specification (stix_check.py).
set -u
# shellcheck source=tests/system/help.sh
. tests/system/help.sh
gives "the checker catches what is wrong" 0 python3 tests/system/stix_check.py --self-test
for f in deploy/demo/rules.yaml tests/golden/*/rules.yaml; do
	"$build/picket" rules export -q --to stix -o "$dir/x.json" "$f" 2>/dev/null
	[ -s "$dir/x.json" ] || continue
	python3 tests/system/stix_check.py "$dir/x.json" >"$dir/out" || {
		wrong "STIX of $f:"
		head -n 10 "$dir/out" >&2
	}
done
[ "$("$build/picket" rules export -q --to stix --at 2026-01-01T00:00:00Z deploy/demo/rules.yaml | sha256sum)" = \
	"$("$build/picket" rules export -q --to stix --at 2026-01-01T00:00:00Z deploy/demo/rules.yaml | sha256sum)" ] ||
	wrong "the same rules give other bytes"
finish
