#!/bin/sh
# picket rules: what each subcommand prints and the code it leaves with.
set -u
picket=$(realpath "$1")/picket
root=$(realpath "$(dirname "$0")/../..")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
failed=0

# expect LABEL CODE TEXT COMMAND...: the code, and TEXT in what it prints ("" = anything)
expect() {
	label=$1 code=$2 text=$3
	shift 3
	"$@" >out 2>&1
	got=$?
	if [ "$got" != "$code" ] || ! grep -qF -- "$text" out; then
		failed=1
		echo "rules: $label: exit code $got, expected $code with \"$text\":"
		head -n 10 out
	fi
}

cat >old.yaml <<'Y'
set: {id: s, version: 1, producer: p, tlp: green, valid_until: 2100-01-01}
domain: [gone.test, same.test, type.test]
ip: [93.184.216.34]
Y
cat >new.yaml <<'Y'
set: {id: s, version: 2, producer: p, tlp: green, valid_until: 2100-01-01}
domain: [same.test, new.test]
hostname: [type.test]
indicators:
  - {ip: 93.184.216.34, severity: high}
allow:
  - {domain: new.test, reason: vendor}
Y
printf 'set: {id: s}\ndomain: [good.test, "bad[.]test"]\n' >partial.yaml
printf 'set: {id: s}\ndomain: ["bad..test"]\n' >bad.yaml

expect "no command" 2 "usage:" "$picket" rules
expect "unknown command" 2 "no command" "$picket" rules frobnicate
for c in compile lint diff changelog fmt report import export keygen sign verify test why; do
	expect "$c --help" 0 "usage: picket rules $c" "$picket" rules "$c" --help
	expect "$c without arguments" 2 "see picket rules $c --help" "$picket" rules "$c"
done

expect compile 0 "digest" "$picket" rules compile new.yaml -o new.set
expect verify 0 "indicators  4" "$picket" rules compile --verify new.set
expect "compile some" 5 'did you mean "bad.test"' "$picket" rules compile partial.yaml -o partial.set
expect "compile nothing" 3 "no indicator is left" "$picket" rules compile bad.yaml -o bad.set
expect "compile missing" 4 "No such file" "$picket" rules compile missing.yaml -o bad.set
expect "compile nowhere" 4 "cannot write" "$picket" rules compile new.yaml -o nowhere/x.set
[ ! -e bad.set ] || { failed=1 && echo "rules: a set was written that must not be"; }
printf 'x' | dd of=new.set bs=1 seek=600 conv=notrunc 2>/dev/null
expect "verify a damaged set" 3 "damaged" "$picket" rules compile --verify new.set

expect "lint finds" 1 'new.yaml:2:21: warning: domain "new.test" never alerts' "$picket" rules lint new.yaml
expect "lint: only errors" 0 "0 errors, 1 warnings" "$picket" rules lint --fail-on error new.yaml
expect "lint --json" 1 '"code":"allowed","file":"new.yaml","line":2,"column":21' "$picket" rules lint --json new.yaml
expect "lint a bad entry" 1 'bad.yaml:2:10: error' "$picket" rules lint bad.yaml
printf '# a feed\nset: {id: u}\ndomain: [a.test, google.com]\nallow: [{ip: 8.8.4.4}]\n' >unwise.yaml
expect "lint: of the whole set" 1 'unwise.yaml:2:1: warning: set "u" names no producer' "$picket" rules lint unwise.yaml
expect "lint: shared infrastructure" 1 'unwise.yaml:3:18: warning: domain "google.com" would hit' "$picket" rules lint unwise.yaml
expect "lint: a decision without a reason" 1 'unwise.yaml:4:9: warning: allow ip "8.8.4.4" gives no reason' "$picket" rules lint unwise.yaml
expect "compile says nothing of it" 0 "indicators  2" "$picket" rules compile unwise.yaml -o unwise.set
expect "lint clean" 0 "4 indicators: 0 errors, 0 warnings, 0 notes" "$picket" rules lint old.yaml
expect "lint missing" 4 "" "$picket" rules lint missing.yaml

cat >diff.expected <<'E2'
- domain gone.test [s]
> domain type.test [s] -> hostname
+ domain new.test [s]
~ ip 93.184.216.34 [s] severity "medium" -> "high"
s: added 1 removed 1 changed 1 retyped 1 expired 0
E2
"$picket" rules diff old.yaml new.yaml >diff.out
cmp -s diff.expected diff.out || { failed=1 && echo "rules: diff:" && diff diff.expected diff.out; }
expect "diff --exit-code" 1 "added 1" "$picket" rules diff --summary --exit-code old.yaml new.yaml
expect "diff of the same" 0 "added 0 removed 0 changed 0 retyped 0 expired 0" "$picket" rules diff --exit-code old.yaml old.yaml
expect "diff expired" 0 "expired 4" "$picket" rules diff --at 2101-01-01 old.yaml old.yaml

expect why 0 "written in  new.yaml:2" "$picket" why a.new.test --rules new.yaml
expect "why: the allow list" 0 'allow list  domain new.test, "vendor", no end: silenced' "$picket" why new.test --rules new.yaml
expect "why: nothing" 1 "hits nothing" "$picket" why other.test --rules new.yaml

printf 'hxxp://a[.]test/x\n93.184.216.34\nwhat is this\n' >list.txt
expect "import some" 5 "2 indicators written, 1 cannot be matched" "$picket" rules import --from plain list.txt -o list.yaml
expect "what was left stays" 0 "# unknown-kind: what" cat list.yaml
expect "import is loaded" 0 "indicators  2" "$picket" rules compile list.yaml -o list.set
expect "export" 0 "url,http://a.test/x" "$picket" rules export --to csv list.yaml
expect "export what cannot be said" 5 "1: allow entries" "$picket" rules export --to stix new.yaml -o new.json
expect "and back" 0 "4 indicators written" "$picket" rules import --from stix new.json -o back.yaml

expect "export to MISP" 5 "limited to a place" sh -c "sed '/- {ip/a\\  - {domain: w.test, where: tls}' new.yaml >where.yaml; '$picket' rules export --to misp where.yaml -o misp.json"
echo '{"0a": {"Orgc": {"name": "x"}, "info": "a feed has this beside its events"}}' >manifest.json
expect "and back, as a feed" 0 "4 indicators written" "$picket" rules import --from misp manifest.json misp.json -o misp.yaml
expect "export to Maltrail" 5 "same.test" "$picket" rules export --to maltrail new.yaml
expect "export a list" 5 "new.test" "$picket" rules export --to plain --type domain new.yaml

# STIX patterns joined by AND: whole on the way in, matched, signed, and the same on the way out.
cat >and.json <<'J'
[{"type":"indicator","id":"indicator--11111111-1111-4111-8111-111111111111","pattern_type":"stix","valid_from":"2026-01-01T00:00:00Z",
  "pattern":"[domain-name:value = 'C2.malware.example' AND network-traffic:dst_port NOT IN (1, 2)]"},
 {"type":"indicator","id":"indicator--11111111-1111-4111-8111-111111111112","pattern_type":"stix","valid_from":"2026-01-01T00:00:00Z",
  "pattern":"[domain-name:value = 'C2.malware.example' AND network-traffic:dst_port = 1]"},
 {"type":"indicator","id":"indicator--11111111-1111-4111-8111-111111111113","pattern_type":"stix","valid_from":"2026-01-01T00:00:00Z",
  "pattern":"[file:name = 'a\\'b' OR (file:name = 'b' AND file:size = 3)]"}]
J
cp "$root/deploy/demo/recorded.pcap" and.pcap
expect "import AND" 5 "3 indicators written, 1 cannot" "$picket" rules import --from stix and.json -o and.yaml
expect "lint AND" 1 "matches in part: of one of its alternatives, an object path" "$picket" rules lint and.yaml
expect "scan AND" 0 '"id":"indicator--11111111-1111-4111-8111-111111111111"' "$picket" scan -q --rules and.yaml and.pcap
expect "scan AND: the port is another" 0 "none" sh -c "'$picket' scan -q --rules and.yaml and.pcap | grep 111111111112 || echo none"
expect "compile AND" 0 "stix           3" "$picket" rules compile and.yaml -o and.set
expect "scan AND, compiled" 0 '"where":"stix"' "$picket" scan -q --rules and.set and.pcap
expect "export AND" 0 "done" sh -c "'$picket' rules export --to stix and.set -o again.json && echo done"
for n in 1 2 3; do grep -o '"pattern":"[^}]*]"' and.json | sed -n ${n}p; done | sort >and.was
grep -o '"pattern":"[^}]*]",' again.json | sed 's/,$//' | sort | cmp -s - and.was || { failed=1 && echo "rules: a STIX pattern came out changed"; }
sed -i 's/id: "and", /id: "and", producer: p, /' and.yaml
expect "test AND" 0 "ok 1" sh -c "sed 's/NOT IN (1, 2)\\]\",/&  test: {hit: and.pcap},/' and.yaml >and-test.yaml; '$picket' rules test and-test.yaml"

printf 'set: {id: s}\ndomain: [a.test]\n' >noversion.yaml
expect keygen 0 "{id: k1, public: " "$picket" rules keygen k1.pem --scope 's*'
{ echo keys: && "$picket" rules keygen --show k1.pem --scope 's*'; } >keys.yaml
{ echo keys: && "$picket" rules keygen --show k1.pem --scope 'other-*'; } >other.yaml
expect "keygen over a key" 4 "File exists" "$picket" rules keygen k1.pem
expect sign 0 "version      1" "$picket" rules sign old.yaml --key k1.pem -o old.pset
expect "sign the next" 0 "priority     flash" "$picket" rules sign new.yaml -k k1.pem -o new.pset --previous old.pset --priority flash
expect "sign with an error in it" 3 "whole or not at all" "$picket" rules sign partial.yaml -k k1.pem -o no.pset
expect "sign several" 3 "one set is signed at a time" "$picket" rules sign new.yaml list.yaml -k k1.pem -o no.pset
expect "sign without a version" 3 "has no version" "$picket" rules sign noversion.yaml -k k1.pem -o no.pset
expect "verify" 0 "signature    good, trusted" "$picket" rules verify --keys keys.yaml old.pset new.pset
expect "verify: scope" 3 "outside its scope" "$picket" rules verify --keys other.yaml old.pset
expect "a signed set loads" 0 "indicators  4" "$picket" rules compile new.pset -o signed.set
"$picket" rules diff old.pset new.pset >diff.out
cmp -s diff.expected diff.out || { failed=1 && echo "rules: diff of signed sets:" && diff diff.expected diff.out; }
sed 's/same.test/sane.test/' new.pset >forged.pset
expect "a changed set" 3 "another digest" "$picket" rules verify forged.pset
expect "a changed set does not load" 3 "another digest" "$picket" rules compile forged.pset -o no.set
head -c 900 new.pset >cut.pset
expect "a cut set" 3 "its manifest says" "$picket" rules verify cut.pset
chmod 0644 k1.pem
expect "a key that all can read" 4 "open to others" "$picket" rules sign old.yaml -k k1.pem -o no.pset
for f in no.pset no.set; do
	[ ! -e $f ] || { failed=1 && echo "rules: $f was written"; }
done

# Indicators against captures.
mkdir caps && cp "$root/deploy/demo/recorded.pcap" caps/demo.pcap
cat >tested.yaml <<'Y'
set: {id: t, version: 1}
indicators:
  - {domain: C2.malware.example, test: {hit: caps/demo.pcap}}
  - {domain: other.example, test: {miss: [caps/demo.pcap]}}
Y
expect test 0 "ok 2 - domain other.example misses caps/demo.pcap" "$picket" rules test tested.yaml
expect "a test fails" 1 "not ok 1 - nothing of the set hits" sh -c "sed '1a test: {miss: [caps/demo.pcap]}' tested.yaml >no.yaml; '$picket' rules test --junit no.xml no.yaml"
expect "junit" 0 'failures="1"' cat no.xml
expect "a capture is not there" 1 "could not be scanned" sh -c "sed 's/demo/none/' tested.yaml >no.yaml; '$picket' rules test no.yaml"
expect "a wrong test" 3 'did you mean "miss"' sh -c "sed 's/miss/mis/' tested.yaml >no.yaml; '$picket' rules test no.yaml"

printf 'set: {id: s, version: 1, producer: p}   \r\n#first\n\n\n\ndomain:\n  - a.test\t\n  - b.test  # why\nip: [1.2.3.4]' >untidy.yaml
printf 'set: {id: s, version: 1, producer: p}\n# first\n\nip: [1.2.3.4]\n\ndomain:\n  - a.test\n  - b.test  # why\n' >tidy.yaml
expect "fmt --check" 1 "untidy.yaml" "$picket" rules fmt --check untidy.yaml
expect fmt 0 "done" sh -c "'$picket' rules fmt untidy.yaml && echo done"
cmp -s untidy.yaml tidy.yaml || { failed=1 && echo "rules: fmt:" && diff tidy.yaml untidy.yaml; }
expect "fmt again changes nothing" 0 "done" sh -c "'$picket' rules fmt --check untidy.yaml && echo done"
# One order: sections, items within their groups, values in brackets; comments stay where they belong.
cat >untidy.yaml <<'Y'
# a feed

disable: [{domain: x.test, reason: r}]
# who made it
set: {id: s, version: 1}
indicators:
  - {id: Z, domain: z.test}
  - id: A
    domain: aa.test
    # of May
    note: "x: [y"
  # later ones
  - {id: T, domain: t.test}
  - {id: C, domain: c.test}
ip: [93.184.216.34, "1.2.3.4", 2001:db8::7] # ours
url: ["http://b.test/x,y", 'http://a.test/#z']
hostname:
  - >-
    z.test
  - y.test
domain:
- n.test
- m.test

- b.test
- a.test
Y
cat >tidy.yaml <<'Y'
# a feed

# who made it
set: {id: s, version: 1}

ip: ["1.2.3.4", 2001:db8::7, 93.184.216.34] # ours

domain:
- m.test
- n.test

- a.test
- b.test

hostname:
  - >-
    z.test
  - y.test

url: ['http://a.test/#z', "http://b.test/x,y"]
indicators:
  - id: A
    domain: aa.test
    # of May
    note: "x: [y"
  - {id: Z, domain: z.test}
  # later ones
  - {id: C, domain: c.test}
  - {id: T, domain: t.test}

disable: [{domain: x.test, reason: r}]
Y
expect "fmt: order" 0 "done" sh -c "'$picket' rules fmt untidy.yaml && echo done"
cmp -s untidy.yaml tidy.yaml || { failed=1 && echo "rules: fmt: order:" && diff tidy.yaml untidy.yaml; }
expect "fmt: order again changes nothing" 0 "done" sh -c "'$picket' rules fmt --check untidy.yaml && echo done"
printf '# list\nvalue,type,note\nb.test,domain\na.test,domain,"of\n May"\n# two\nz.test,domain\ny.test,domain\n' >rows.csv
printf '# list\nvalue,type,note\na.test,domain,"of\n May"\nb.test,domain\n# two\ny.test,domain\nz.test,domain\n' >rows.expected
expect "fmt: CSV" 0 "done" sh -c "'$picket' rules fmt rows.csv && echo done"
cmp -s rows.csv rows.expected || { failed=1 && echo "rules: fmt: CSV:" && diff rows.expected rows.csv; }
expect "fmt: twice, otherwise" 3 "is an entry in it twice" sh -c "printf 'indicators:\n  - {domain: b.test, id: B}\n  - {domain: b.test, id: A}\n' >twice.yaml; '$picket' rules fmt twice.yaml"
printf 'set: {id: s} \ndomain: ["bad..test"]\n' >untidy.yaml
expect "fmt of a file with errors" 3 "bad-domain" "$picket" rules fmt untidy.yaml
grep -q '} $' untidy.yaml || { failed=1 && echo "rules: fmt changed a file with errors"; }
expect "report expiry" 0 "2100-01-01T00:00:00.000000Z  domain gone.test [s]" "$picket" rules report expiry old.yaml
sed 's/id: s/id: t/' old.yaml >twin.yaml
expect "report overlap" 0 "domain gone.test [s] is also in t" "$picket" rules report overlap old.yaml twin.yaml
expect "report cost" 0 "a look-up per flow" "$picket" rules report cost old.yaml
printf 'set: {id: s, version: 1}\ndomain: [C2.malware.example, never.example]\nallow: [{domain: malware.example, reason: ours}]\n' >hits.yaml
sed 's/^allow.*//' hits.yaml >hits-all.yaml
"$picket" scan -q --rules hits-all.yaml and.pcap >hits.jsonl
echo 'no json' >>hits.jsonl
expect "report hits" 0 "  domain C2.malware.example [s]" "$picket" rules report hits --alerts hits.jsonl hits.yaml
{ head -c 3000000 /dev/zero | tr '\0' x && echo && cat hits.jsonl; } >long.jsonl
expect "report hits: a line without end" 0 "0 of indicators that are not here, 2 lines" "$picket" rules report hits --alerts long.jsonl hits.yaml
expect "report hits: by set" 0 "s                                 2          1          1" "$picket" rules report hits --alerts hits.jsonl hits.yaml
expect "report hits: what was no alert" 0 "0 of indicators that are not here, 1 lines" "$picket" rules report hits --alerts hits.jsonl hits.yaml
cat >groups.jsonl <<'EOG'
{"id":"1","set":"s","type":"domain","value":"C2.malware.example","n":41,"state":"new"}
{"id":"2","set":"s","type":"domain","value":"C2.malware.example","n":1,"state":"closed"}
{"id":"3","set":"gone","type":"domain","value":"other.example","n":7}
EOG
expect "report hits: of groups" 0 "        42  domain C2.malware.example [s]" "$picket" rules report hits --alerts groups.jsonl hits.yaml
expect "report hits: of groups elsewhere" 0 "49 alerts read, 7 of indicators that are not here" "$picket" rules report hits --alerts groups.jsonl hits.yaml
cat >decided.yaml <<'Y'
set: {id: s, version: 1, producer: p, tlp: amber, releasable_to: [friends]}
domain: [C2.malware.example]
suppress: [{domain: c2.malware.example, source: 10.1.0.0/16, reason: ours}, {id: NONE, reason: gone}]
disable: [{domain: C2.MALWARE.example, reason: over, expires: 2020-01-01}]
Y
cat >sides.jsonl <<'J'
{"event_type":"alert","src_ip":"10.1.2.3","dest_ip":"192.0.2.1","indicator":{"type":"domain","value":"C2.malware.example","set":"s"},"observable":{"value":"c2.malware.example"}}
{"event_type":"alert","src_ip":"192.0.2.1","dest_ip":"10.1.2.3","indicator":{"type":"domain","value":"C2.malware.example","set":"s"},"observable":{"value":"c2.malware.example"}}
{"event_type":"alert","src_ip":"10.2.2.3","dest_ip":"192.0.2.1","indicator":{"type":"domain","value":"C2.malware.example","set":"s"},"observable":{"value":"c2.malware.example"}}
{"id":"1","set":"s","type":"domain","value":"C2.malware.example","n":5,"src":"10.1.9.9","dest":"192.0.2.1"}
{"id":"2","set":"s","type":"domain","value":"C2.malware.example","n":9,"src":"","dest":""}
J
expect "report hits: suppress" 0 '         7  would be hidden by suppress domain c2.malware.example from 10.1.0.0/16, "ours"' "$picket" rules report hits --alerts sides.jsonl decided.yaml
expect "report hits: an id that is not here" 0 '         0  would be hidden by suppress id NONE, "gone"' "$picket" rules report hits --alerts sides.jsonl decided.yaml
expect "report hits: disable is over" 0 '         0  would be hidden by disable domain C2.MALWARE.example, "over"' "$picket" rules report hits --alerts sides.jsonl decided.yaml
expect "why: suppress" 0 'suppress    from 10.1.0.0/16, "ours", no end: its hits are counted, not told' "$picket" why www.c2.malware.example --rules decided.yaml
expect "why: disable is over" 0 'disable     "over", until 2020-01-01T00:00:00.000000Z: over, it alerts' "$picket" why www.c2.malware.example --rules decided.yaml
mkdir pol
echo 'partner: {id: near}' >pol/near.yaml && echo 'release: {tlp_max: amber, groups: [friends]}' >>pol/near.yaml
sed 's/near/far/; s/amber/green/' pol/near.yaml >pol/far.yaml
expect "why: what a partner would see" 0 'partner     near: redacted, without created_by_ref' "$picket" why www.c2.malware.example --rules decided.yaml --policies pol
expect "why: what another would not" 0 'partner     far: denied, tlp: ' "$picket" why www.c2.malware.example --rules decided.yaml --policies pol
echo 'x: y' >>pol/far.yaml
expect "why: a policy with a mistake" 3 'unknown key "x"' "$picket" why www.c2.malware.example --rules decided.yaml --policies pol
expect "report hits: no file" 4 "cannot read none.jsonl" "$picket" rules report hits --alerts none.jsonl hits.yaml
expect "report hits: without alerts" 2 "expected --alerts" "$picket" rules report hits hits.yaml
expect "report of nothing" 2 "no report" "$picket" rules report x old.yaml
expect changelog 0 "## s, p, version 1 to 2" "$picket" rules changelog old.yaml new.yaml
expect "changelog: each change" 0 '* changed ip `93.184.216.34`: severity "medium" -\> "high"' "$picket" rules changelog old.yaml new.yaml
# What options say is done, and what is no value is told.
chmod 600 k1.pem
expect "sign: another version" 0 "version      7" "$picket" rules sign old.yaml --key k1.pem -o seven.pset --set-version 7
expect "sign: no version" 2 "--set-version" "$picket" rules sign old.yaml --key k1.pem -o seven.pset --set-version seven
echo tlp.example >tlp.txt
expect "import: a marking" 0 "1 indicators written" "$picket" rules import --from plain --tlp amber+strict tlp.txt -o tlp.yaml
expect "import: the marking is there" 0 "tlp: amber+strict" cat tlp.yaml
expect "import: no marking" 2 'there is no TLP "blue"' "$picket" rules import --from plain --tlp blue tlp.txt -o tlp.yaml
expect "lint: few are printed" 1 "4 findings are not shown" "$picket" rules lint --limit 1 old.yaml new.yaml
expect "lint: no limit" 2 "--limit" "$picket" rules lint --limit none old.yaml
expect "report: few lines" 0 "and 3 more" "$picket" rules report expiry --limit 1 old.yaml
expect "report: no limit" 2 "--limit" "$picket" rules report expiry --limit -1 decided.yaml
awk 'BEGIN { for (i = 0; i < 400000; i++) print "name-" i ".of-a-long-list.example" }' >long.txt
expect "import: more than is held" 0 "400000 indicators written" "$picket" rules import --from plain long.txt -o long.yaml
expect "import: all of it is there" 0 "indicators  400000" "$picket" rules compile long.yaml -o long.prs
[ "$failed" -eq 0 ] && echo "rules: ok"
exit "$failed"
