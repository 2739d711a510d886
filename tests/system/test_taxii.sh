#!/bin/sh
# TAXII 2.1 from outside: the requirements one by one (taxii.py), over TLS, with
# certificates and passwords, through the release gate; kill -9 of the gateway and
# of Redis in the middle of a sync.
set -u
# shellcheck source=tests/system/help.sh
. tests/system/help.sh
command -v redis-server >/dev/null || {
	echo "SKIP: no redis-server" >&2
	exit 0
}
port=$(deploy/free-port.sh 2)
tls=$dir/tls
deploy/make-test-ca.sh "$tls" us 5 collector collector-1 || wrong "make-test-ca.sh fails"
for p in reader writer stranger; do deploy/make-test-ca.sh "$tls" $p 5 partner $p-1 || wrong "make-test-ca.sh fails"; done
deploy/make-test-ca.sh "$tls" reader 5 partner revoked-1
deploy/make-test-ca.sh --revoke "$tls" partner revoked-1

# A server's certificate that other clients accept: it names the address.
cat >"$dir/server.ext" <<-EXT
	basicConstraints = critical,CA:FALSE
	extendedKeyUsage = serverAuth
	subjectAltName = IP:127.0.0.1
EXT
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=gateway" -keyout "$tls/server.key" -out "$tls/server.csr" 2>/dev/null
openssl x509 -req -in "$tls/server.csr" -CA "$tls/collector-ca.crt" -CAkey "$tls/collector-ca.key" -set_serial 77 -days 5 \
	-extfile "$dir/server.ext" -out "$tls/server.crt" 2>/dev/null

collection=91a7b528-80eb-42ed-a74d-c6fbd5a26116
hidden=52892447-4d7e-4f70-b94d-d7f22742ff63
mkdir "$dir/collections" "$dir/partners"
echo "collection: {id: $collection, title: Indicators, alias: indicators, read: true, write: true}" >"$dir/collections/a.yaml"
echo "collection: {id: $hidden, title: Hidden, read: true, write: true}" >"$dir/collections/b.yaml"
cat >"$dir/partners/reader.yaml" <<-YAML
	partner: {id: reader}
	taxii: {user: reader, identity: "picket://reader/partner/reader-1", read: [$collection]}
	release: {tlp_max: amber, unaddressed: amber, types: [indicator, identity, relationship, malware]}
YAML
cat >"$dir/partners/writer.yaml" <<-YAML
	partner: {id: writer}
	taxii: {user: writer, identity: "picket://writer/partner/writer-1", read: [$collection], write: [$collection]}
	release: {tlp_max: amber, unaddressed: amber}
	inbound: {mode: auto, rate: 1000000, burst: 1000000, types: [indicator, identity, relationship, malware, ipv4-addr]}
YAML
for u in reader writer; do
	printf '%s:%s\n' $u "$(openssl passwd -6 "secret of $u")"
done >"$dir/passwords"
chmod 0600 "$dir/passwords"

redis() {
	redis-server --port 0 --unixsocket "$dir/redis.sock" --save "" --appendonly yes --appendfsync always --dir "$dir" \
		--logfile "$dir/redis.log" &
	REDIS_PID=$!
	echo "$REDIS_PID" >"$dir/redis.pid"
	until_ok 10 redis-cli -s "$dir/redis.sock" ping
}
gateway() { # LOG PORT
	: >"$dir/$1" # what one before it said there must not be taken for its own
	"$build/picket-gateway" --set gateway.org=us --set redis.address="unix:$dir/redis.sock" --set taxii.address="127.0.0.1:$2" \
		--set tls.cert="$tls/server.crt" --set tls.key="$tls/server.key" --set tls.ca="$tls/partner-ca.crt" \
		--set tls.crl="$tls/partner-ca.crl" --set taxii.passwords="$dir/passwords" --set taxii.collections="$dir/collections" \
		--set partners.dir="$dir/partners" --set limits.logins=6 --set limits.page=500 --set limits.body=4MB \
		--set metrics.listen="unix:$dir/$1.metrics" --set limits.object=64kB --set limits.request=3s --set redis.timeout=2s >"$dir/$1.out" 2>"$dir/$1" </dev/null &
	echo $! >"$dir/$1.pid"
	started="$started $!"
}
redis
gateway gw1 "$port"
gateway gw2 "$((port + 1))"
until_ok 10 grep -q 'Redis is ready' "$dir/gw1"
until_ok 10 grep -q 'Redis is ready' "$dir/gw2"

run() { # PART: taxii.py's part
	timeout 120 python3 tests/system/taxii.py "$port" "$tls" "$collection" "$hidden" "$1" >"$dir/out" 2>&1 || {
		wrong "taxii.py $1:"
		tail -n 30 "$dir/out" >&2
	}
	grep '^taxii:' "$dir/out"
}
run requirements
run gate
python3 tests/system/stix_check.py "$tls/given.json" >"$dir/out" || {
	wrong "what is given is not all STIX:"
	head -n 10 "$dir/out" >&2
}
run escaped
run hostile

figures() { tests/system/promtext.py "unix:$dir/$1.metrics" >"$dir/figures" || wrong "the figures of $1 are not as the format says"; }
counts() { # FIGURE AT-LEAST
	found=$(awk -v name="picket_gateway_$1" '$1 == name { print $2 }' "$dir/figures")
	[ "${found:-0}" -ge "$2" ] || wrong "$1: expected $2 or more, found \"$found\""
}
figures gw1
counts 'taxii_requests_total{}' 100
counts 'taxii_unauthorized_total{}' 5
counts 'taxii_refused_total{}' 20
counts 'taxii_objects_given_total{}' 20
counts 'taxii_objects_taken_total{}' 20
counts 'taxii_objects_failed_total{}' 1
counts 'http_objects_total{outcome=denied,way=taxii}' 1
# One that starts anew has forgotten the wrong passwords of the parts before.
kill "$(cat "$dir/gw1.pid")" && wait "$(cat "$dir/gw1.pid")"
check "a gateway leaves on TERM" 0 $?
gateway gw1 "$port"
until_ok 10 grep -q 'Redis is ready' "$dir/gw1"

# A password that is changed: the old one is refused from HUP on, although it was remembered; so is a collection that is gone.
as() { curl -s -m 10 -o /dev/null -w '%{http_code}' --cacert "$tls/collector-ca.crt" -u "reader:$1" -H 'Accept: application/taxii+json;version=2.1' "https://127.0.0.1:$port/shared/collections/$collection/"; }
check "a password" 200 "$(as 'secret of reader')"
cp "$dir/passwords" "$dir/passwords.was" && mkdir "$dir/aside"
sed "s|^reader:.*|reader:$(openssl passwd -6 'another secret of reader')|" "$dir/passwords.was" >"$dir/passwords"
loaded() { [ "$(grep -c 'configuration loaded again' "$dir/gw1")" = "$1" ]; }
kill -HUP "$(cat "$dir/gw1.pid")"
until_ok 10 loaded 1
check "the password before" 401 "$(as 'secret of reader')"
check "the password now" 200 "$(as 'another secret of reader')"
mv "$dir"/collections/* "$dir/aside"
kill -HUP "$(cat "$dir/gw1.pid")"
until_ok 10 loaded 2
check "a collection that is gone" 404 "$(as 'another secret of reader')"
mv "$dir"/aside/* "$dir/collections" && mv "$dir/passwords.was" "$dir/passwords"
kill -HUP "$(cat "$dir/gw1.pid")"
until_ok 10 loaded 3

# A reader goes on from its cursor after both gateways and Redis were killed.
run fill
run first_half
kill -9 "$(cat "$dir/gw1.pid")" "$(cat "$dir/gw2.pid")"
kill -9 "$REDIS_PID"
wait "$REDIS_PID" 2>/dev/null
redis
gateway gw3 "$port"
until_ok 10 grep -q 'Redis is ready' "$dir/gw3"
run second_half
# A writer whose gateway dies in the middle posts all of it again.
(sleep 0.3 && kill -9 "$(cat "$dir/gw3.pid")") &
run torn_post
gateway gw4 "$port"
until_ok 10 grep -q 'Redis is ready' "$dir/gw4"
run posted_again

# Another organisation's gateway: fetches with a certificate, posts with a password.
b=$dir/b
mkdir "$b" "$b/feeds" "$b/partners" "$b/collections"
redis-server --port 0 --unixsocket "$b/redis.sock" --save "" --dir "$b" --logfile "$b/redis.log" &
started="$started $!"
cat >"$b/partners/us.yaml" <<-YAML
	partner: {id: us}
	release: {tlp_max: amber, unaddressed: amber}
	inbound: {mode: auto, rate: 1000000, burst: 1000000}
YAML
cat >"$b/partners/pub.yaml" <<-YAML
	partner: {id: pub}
	taxii: {user: writer, write: [$hidden]}
	inbound: {mode: auto}
YAML
echo "collection: {id: $hidden, title: Own, write: true, store: own}" >"$b/collections/own.yaml"
(umask 077 && echo "secret of writer" >"$b/password")
cat >"$b/feeds/in.yaml" <<-YAML
	feed: {partner: us, url: "https://127.0.0.1:$port/shared/collections/$collection/", every: 1s, limit: 300,
	  cert: $tls/reader-1.crt, key: $tls/reader-1.key, ca: $tls/collector-ca.crt}
YAML
cat >"$b/feeds/out.yaml" <<-YAML
	feed: {partner: us, url: "https://127.0.0.1:$port/shared/collections/$collection/", every: 1s, pull: false, push: true,
	  user: writer, password_file: $b/password, ca: $tls/collector-ca.crt}
YAML
feeds() { # LOG
	"$build/picket-gateway" --set gateway.org=reader --set redis.address="unix:$b/redis.sock" --set partners.dir="$b/partners" \
		--set taxii.feeds="$b/feeds" --set taxii.collections="$b/collections" --set taxii.passwords="$dir/passwords" \
		--set metrics.listen="unix:$dir/$1.metrics" --set taxii.address="127.0.0.1:$((port + 1))" \
		--set taxii.plaintext=true >"$dir/$1.out" 2>"$dir/$1" </dev/null &
	feeds=$!
	started="$started $feeds"
}
held() { redis-cli -s "$b/redis.sock" zcard 'picket:{x}:partner-us:last'; }
all_held() { [ "$(held)" -ge "$1" ]; }
there=$(redis-cli -s "$dir/redis.sock" zcard "picket:{x}:$collection:last")
feeds b1
until_ok 20 all_held 500
kill -9 "$feeds" # in the middle: goes on from where it was
feeds b2
until_ok 60 all_held $((there - 30)) || cat "$dir/b2" >&2
sleep 2
mine=$(held)
[ "$mine" -le "$there" ] && [ "$mine" -ge $((there - 30)) ] || wrong "fetched $mine of $there objects"
check "no version twice" 0 "$(redis-cli -s "$b/redis.sock" zcard 'picket:{x}:partner-us:old')"
curl -s -m 10 -u "writer:secret of writer" -H 'Accept: application/taxii+json;version=2.1' \
	-H 'Content-Type: application/taxii+json;version=2.1' --data-binary '{"objects":[{"type":"indicator","spec_version":"2.1",
	"id":"indicator--ffffffff-0000-4000-8000-00000000beef","created":"2026-01-01T00:00:00.000Z","modified":"2026-01-01T00:00:00.000Z",
	"pattern":"[domain-name:value = '"'pushed.badnames.com'"']","pattern_type":"stix","valid_from":"2026-01-01T00:00:00Z",
	"object_marking_refs":["marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"]}]}' \
	"http://127.0.0.1:$((port + 1))/shared/collections/$hidden/objects/" >"$dir/posted"
contains "posted to the other house" "$dir/posted" '"success_count":1'
arrived() { redis-cli -s "$dir/redis.sock" hexists "picket:{x}:$collection:ids" indicator--ffffffff-0000-4000-8000-00000000beef | grep -qx 1; }
until_ok 20 arrived || cat "$dir/b2" "$dir/posted" >&2
# A server that goes away is come back to.
kill -9 "$(cat "$dir/gw4.pid")"
sleep 1.5
gateway gw5 "$port"
until_ok 10 grep -q 'Redis is ready' "$dir/gw5"
run more_posts
until_ok 30 all_held $((mine + 50)) || cat "$dir/b2" >&2

figures b2
counts 'feed_pages_total{feed=in,partner=us}' 1
counts 'feed_objects_taken_total{feed=in,partner=us}' 50
counts 'feed_objects_pushed_total{feed=out,partner=us}' 1
counts 'feed_failures_total{feed=in,partner=us}' 1 # while the server was away
[ "$(redis-cli -s "$dir/redis.sock" xlen 'picket:{x}:audit')" -gt 0 ] || wrong "nothing stands in the audit"
# What is told of and not given stands there, too: as many lines as the manifest and the versions have entries.
audited() { PICKET_REDIS="unix:$dir/redis.sock" "$build/picket" partner audit | grep -c " reader $1 "; }
ask() { curl -sg -m 20 --cacert "$tls/collector-ca.crt" -u "reader:secret of reader" -H 'Accept: application/taxii+json;version=2.1' "https://127.0.0.1:$port/shared/collections/$collection/$1"; }
m=$(audited taxii-manifest) v=$(audited taxii-versions)
ask 'manifest/?limit=7' >"$dir/manifest"
ids=$(grep -o '"id":' "$dir/manifest" | wc -l)
one=$(sed 's/.*"id":"\(indicator--[^"]*\)".*/\1/' "$dir/manifest")
ask "objects/$one/versions/" >"$dir/versions"
versions=$(grep -o '20[0-9-]*T' "$dir/versions" | wc -l)
[ "$ids" -gt 0 ] && [ "$versions" -gt 0 ] || wrong "no manifest or no versions: $(head -c 300 "$dir/manifest" "$dir/versions")"
check "what a manifest tells of is audited" $((m + ids)) "$(audited taxii-manifest)"
check "what versions tell of is audited" $((v + versions)) "$(audited taxii-versions)"
PICKET_REDIS="unix:$dir/redis.sock" "$build/picket" partner audit --verify | grep -q 'told of: the chain holds' || wrong "the audit does not hold"
grep -hE 'runtime error|AddressSanitizer|secret of' "$dir"/gw[1-5] "$dir"/b[12] && wrong "the gateways' logs say what they must not"
finish
