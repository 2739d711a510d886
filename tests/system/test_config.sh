#!/bin/sh
# Configuration: the examples load, what is dumped loads again, the environment
# overrides, mistakes are all told.
set -u
# shellcheck source=tests/system/help.sh
. tests/system/help.sh
deploy/make-test-ca.sh "$dir/tls" test 5 || wrong "make-test-ca.sh fails"
deploy/make-test-ca.sh "$dir/tls" test 5 collector gateway-1 || wrong "make-test-ca.sh fails"
deploy/make-test-ca.sh "$dir/tls" test 5 partner partner-1 || wrong "make-test-ca.sh fails"
mkdir "$dir/rules" && cp deploy/demo/rules.yaml "$dir/rules" && cp -r deploy/collections deploy/partners "$dir"

for p in sensor collector gateway; do
	sed "s|/etc/picket|$dir|; s|/var/lib|$dir|; s|/run/picket|$dir|" deploy/$p.yaml >"$dir/$p.yaml"
	gives "$p -T on the example" 0 "$build/picket-$p" -T -c "$dir/$p.yaml"
	gives "$p --dump-config" 0 "$build/picket-$p" --dump-config -c "$dir/$p.yaml"
	cp "$dir/out" "$dir/$p.dump"
	gives "$p -T on the dump" 0 "$build/picket-$p" -T -c "$dir/$p.dump"
	gives "$p --dump-config of the dump" 0 "$build/picket-$p" --dump-config -c "$dir/$p.dump"
	cmp -s "$dir/out" "$dir/$p.dump" || wrong "$p: the dump of the dump differs"
	cat >"$dir/bad.yaml" <<-YAML
		sensro: {id: x}
		listen: 7
		spool: [1]
		redis: {db: -1}
		limits: {flows: 1, connections: 0}
	YAML
	gives "$p -T on mistakes" 3 "$build/picket-$p" -T -c "$dir/bad.yaml"
	[ "$(grep -c 'bad.yaml:[0-9]*:[0-9]*: error' "$dir/err")" -ge 4 ] || {
		wrong "$p does not tell all mistakes:"
		cat "$dir/err" >&2
	}
	gives "$p, no such file" 3 "$build/picket-$p" -T -c "$dir/none.yaml"
	contains "$p, no such file" "$dir/err" none.yaml
	gives "$p, wrong --set" 3 "$build/picket-$p" -T --set nonsense -c "$dir/$p.yaml"
done

# What -T refuses also ends a start with that code (the units do not try again then), and
# before anything is opened.
refused_alike() { # LABEL PROGRAM OPTION…
	label=$1 program=$2
	shift 2
	gives "$label, -T" 3 "$build/picket-$program" -T "$@"
	gives "$label, start" 3 "$build/picket-$program" "$@"
}
touch "$dir/empty.pem"
for p in sensor collector gateway; do
	refused_alike "$p, mistakes" $p -c "$dir/bad.yaml"
	refused_alike "$p, no file" $p -c "$dir/none.yaml"
	refused_alike "$p, no key" $p -c "$dir/$p.yaml" --set tls.key="$dir/none.key"
	refused_alike "$p, empty certificate" $p -c "$dir/$p.yaml" --set tls.cert="$dir/empty.pem"
	chmod 0666 "$dir/tls/sensor-ca.crt" "$dir/tls/collector-ca.crt" "$dir/tls/partner-ca.crt"
	refused_alike "$p, a CA that others may write" $p -c "$dir/$p.yaml"
	chmod 0644 "$dir/tls/sensor-ca.crt" "$dir/tls/collector-ca.crt" "$dir/tls/partner-ca.crt"
done
refused_alike "sensor, no rules" sensor -c "$dir/sensor.yaml" --set rules.files="$dir/none"
refused_alike "sensor, no keys" sensor -c "$dir/sensor.yaml" --set rules.keys="$dir/none" --set rules.dir="$dir/sets"
refused_alike "collector, no password" collector -c "$dir/collector.yaml" --set redis.password_file="$dir/none"
refused_alike "gateway, no policies" gateway -c "$dir/gateway.yaml" --set partners.dir="$dir/none"
refused_alike "gateway, no collections" gateway -c "$dir/gateway.yaml" --set taxii.collections="$dir/none"

# More than is looked at is told, with the name of the first that is not.
mkdir "$dir/feeds" "$dir/many"
i=0
while [ $i -lt 258 ]; do
	i=$((i + 1))
	echo 'feed: {partner: p, url: "https://localhost:1/api/collections/91a7b528-80eb-42ed-a74d-c6fbd5a26116/", from: indicators}' \
		>"$dir/feeds/$(printf 'f%03d' $i).yaml"
done
gives "too many feeds" 3 "$build/picket-gateway" -T -c "$dir/gateway.yaml" --set taxii.feeds="$dir/feeds"
contains "too many feeds" "$dir/err" "258 feeds, at most 256 are read: f257.yaml and those after it are not"
rm "$dir/feeds/f257.yaml" "$dir/feeds/f258.yaml"
gives "256 feeds" 0 "$build/picket-gateway" -T -c "$dir/gateway.yaml" --set taxii.feeds="$dir/feeds"
addresses=$(seq -s , -f '127.0.0.1:%g' 20001 20017)
gives "too many addresses for links" 3 "$build/picket-gateway" -T -c "$dir/gateway.yaml" --set links.address="[$addresses]"
contains "too many addresses for links" "$dir/err" "links.address: 17 addresses, at most 16 are listened on"
echo 'domain: [x.example]' >"$dir/rule"
python3 -c 'import os, sys
for i in range(100001, 110002): os.link(sys.argv[1] + "/rule", "%s/many/%d.yaml" % (sys.argv[1], i))' "$dir"
gives "too many rule files" 5 "$build/picket" rules compile -q "$dir/many" -o "$dir/many.rules"
contains "too many rule files" "$dir/err" "at most 10000 files of a folder are read: 110001.yaml and those after it are not"
gives "too many addressees" 2 "$build/picket" partner publish "$dir/rule" --to "$(seq -s , -f 'org-%g' 65)" --redis unix:/none
contains "too many addressees" "$dir/err" "addressed to more than 64 names"
gives "too long a list of addressees" 2 "$build/picket" partner publish "$dir/rule" --to "$(printf 'organisation-%0100d,' 1 2 3 4 5 6 7 8 9)end" --redis unix:/none
contains "too long a list of addressees" "$dir/err" "or 1023 bytes of them"

gives "environment" 0 env PICKET_CAPTURE__INTERFACE=eth7,eth8 PICKET_SPOOL__MAX=64MB "$build/picket-sensor" --dump-config -c "$dir/sensor.yaml"
contains "environment" "$dir/out" 'interface: [eth7, eth8]'
contains "environment" "$dir/out" 'max: 64MB'
gives "--set beats the environment" 0 env PICKET_SPOOL__MAX=64MB "$build/picket-sensor" --dump-config --set spool.max=32MB
contains "--set beats the environment" "$dir/out" 'max: 32MB'
gives "environment, wrong" 3 env PICKET_SPOOL__MAX=lots "$build/picket-sensor" -T -R "$dir/rules"
contains "environment, wrong" "$dir/err" PICKET_SPOOL__MAX

gives "the keys of a policy" 0 "$build/picket" partner keys
for key in tlp_max unaddressed mode rate; do contains "the keys of a policy" "$dir/out" "  $key:"; done

# The pages on configuration say what the programs' tables say.
for p in picket-sensor picket-collector picket-gateway; do
	"$build/$p" --dump-config 2>/dev/null | deploy/man/conf-man.sh $p | cmp -s - deploy/man/$p.yaml.5 ||
		wrong "deploy/man/$p.yaml.5 is not current: make man"
done
if command -v mandoc >/dev/null; then
	for m in deploy/man/*.[158]; do
		mandoc -T lint -W warning "$m" >"$dir/lint" || wrong "mandoc: $(cat "$dir/lint")"
	done
fi
finish
