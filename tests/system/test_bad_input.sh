#!/bin/sh
# What goes wrong is said in one sentence each, with the right exit code.
set -u
# shellcheck source=tests/system/help.sh
. tests/system/help.sh
case=tests/golden/pcapng-two-sections/case.pcapng
echo 'domain,bad.example' >"$dir/good.csv"
sensor="$build/picket-sensor" scan="$build/picket scan"
# What a sanitizer says of its own (it may not read /proc in the sandbox) is not counted.
one_line() { check "$1: lines" 1 "$(grep -vc "^==[0-9]*==" "$dir/err")"; }

# ---- usage ----
gives "no command" 2 "$build/picket"
gives "unknown command" 2 "$build/picket" scna
gives "scan without rules" 2 $scan $case
gives "scan without capture" 2 $scan --rules "$dir/good.csv"
gives "unknown option" 2 $sensor --nonsense
gives "collector, a word too many" 2 "$build/picket-collector" nonsense
for p in picket picket-sensor picket-collector; do
	gives "$p --help" 0 "$build/$p" --help
	[ -s "$dir/out" ] || wrong "$p --help says nothing on standard output"
	gives "$p --version" 0 "$build/$p" --version
	contains "$p --version" "$dir/out" "$p"
done

# ---- captures ----
gives "no such capture" 4 $scan -q --rules "$dir/good.csv" "$dir/none.pcap"
contains "no such capture" "$dir/err" "none.pcap"
one_line "no such capture"
: >"$dir/empty.pcap"
gives "empty capture" 4 $scan -q --rules "$dir/good.csv" "$dir/empty.pcap"
one_line "empty capture"
head -c 5000 /dev/urandom >"$dir/garbage.pcap"
gives "garbage" 4 $scan -q --rules "$dir/good.csv" "$dir/garbage.pcap"
one_line "garbage"
gives "a folder" 4 $scan -q --rules "$dir/good.csv" "$dir"
one_line "a folder"
head -c 500 tests/golden/tls12-certificate/case.pcap >"$dir/cut.pcap"
gives "truncated" 5 $scan -q --rules "$dir/good.csv" "$dir/cut.pcap"
one_line "truncated"
gives "truncated, read by the sensor" 5 $sensor -q -R "$dir/good.csv" -r "$dir/cut.pcap" -o "$dir/o.jsonl"
gives "one of two" 5 $scan -q --rules "$dir/good.csv" $case "$dir/none.pcap"
check "one of two: alerts" 3 "$(wc -l <"$dir/out")"
gives "standard input" 0 sh -c "$scan -q --json --rules '$dir/good.csv' - <$case"
check "standard input: alerts" 3 "$(wc -l <"$dir/out")"
gives "bad filter" 4 $scan -q --rules "$dir/good.csv" --filter 'prot foo' $case
gives "--fail-on" 1 $scan -q --rules "$dir/good.csv" --fail-on medium $case
gives "--fail-on, above" 0 $scan -q --rules "$dir/good.csv" --fail-on high $case

# ---- interfaces ----
gives "no such interface" 4 $sensor -q -R "$dir/good.csv" -i nope0 -o -
contains "no such interface" "$dir/err" '"nope0"'
gives "nothing to capture from" 2 $sensor -q -R "$dir/good.csv" -o -
gives "nowhere to send" 4 $sensor -q -R "$dir/good.csv" -r $case
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
	mkdir "$dir/open" && cp "$build/picket-sensor" "$dir/good.csv" "$dir/open" && chmod -R a+rX "$dir"
	gives "no permission" 4 setpriv --reuid 65534 --regid 65534 --clear-groups "$dir/open/picket-sensor" -q -R "$dir/open/good.csv" -i lo -o -
	contains "no permission" "$dir/err" "lo"
elif [ "$(id -u)" -ne 0 ]; then
	gives "no permission" 4 $sensor -q -R "$dir/good.csv" -i lo -o -
fi

# ---- rules: every mistake in one run, the rest loads ----
cat >"$dir/wrong.yaml" <<'YAML'
set: {id: wrong, version: 1}
domain: [bad.example, "bad..example"]
ipp: [192.0.2.1]
ip: [300.1.2.3, 192.0.2.1]
cidr: [192.0.2.1/24]
ip_port: ["192.0.2.1:70000"]
url: ["http://"]
ja3: [abc]
cert_sha256: [abcdef]
indicators:
  - {domain: x.example, severity: hihg}
  - {domain: y.example, confidence: 120}
  - {domain: z.example, valid_until: tomorrow}
  - {severity: high}
YAML
gives "twelve mistakes" 5 $scan --json --rules "$dir/wrong.yaml" $case
check "twelve mistakes: lines" 12 "$(grep -cE '^[^ ]+wrong.yaml:[0-9]+:[0-9]+: error: ' "$dir/err")"
for line in 2 3 4 5 6 7 8 9 11 12 13 14; do contains "mistake" "$dir/err" "wrong.yaml:$line:"; done
contains "mistake" "$dir/err" 'did you mean "ip"?'
contains "twelve mistakes" "$dir/err" "part of the rules did not load"
check "twelve mistakes: the rest matches" 3 "$(wc -l <"$dir/out")"
gives "twelve mistakes, -T" 3 $sensor -T -R "$dir/wrong.yaml" -o -
check "twelve mistakes, -T: lines" 12 "$(grep -c 'error: ' "$dir/err")"
gives "part of a set, read by the sensor" 5 $sensor -R "$dir/wrong.yaml" -r $case -o "$dir/o.jsonl"
contains "part of a set: said first" "$dir/err" "did NOT load"
sed '1,12d' "$dir/err" | head -n 3 | grep -q 'did NOT load' || wrong "a partial set is not said in the first lines"
gives "no rule file there" 3 $scan --rules "$dir/none.yaml" $case
contains "no rule file there" "$dir/err" none.yaml
echo '# nothing' >"$dir/empty.yaml"
gives "an empty set" 3 $scan --rules "$dir/empty.yaml" $case
gives "an empty set, sensor" 3 $sensor -R "$dir/empty.yaml" -r $case -o -
gives "no rules at all" 3 $sensor -r $case -o -
gives "an empty set, wanted" 0 $sensor -R "$dir/empty.yaml" --set rules.allow_empty=true -r $case -o "$dir/o.jsonl"
contains "an empty set, wanted" "$dir/err" EMPTY
printf 'set: {id: [\n' >"$dir/broken.yaml"
gives "not YAML" 3 $scan --rules "$dir/broken.yaml" $case
contains "not YAML" "$dir/err" "broken.yaml:"

# ---- Redis ----
gives "alerts without Redis" 4 "$build/picket" alerts list --redis "unix:$dir/none.sock"
one_line "alerts without Redis"
finish
