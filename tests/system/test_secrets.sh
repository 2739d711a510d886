#!/bin/sh
# Keys and passwords that others may read or write are refused, by every program that
# reads one, with the command that puts it right; so are files that say whom to trust
# when others may write them. What our own scripts make passes.
set -u
# shellcheck source=tests/system/help.sh
. tests/system/help.sh
tls=$dir/tls
deploy/make-test-ca.sh "$tls" test 5 || wrong "make-test-ca.sh fails"
deploy/make-test-ca.sh "$tls" test 5 partner partner-1 || wrong "make-test-ca.sh fails"
deploy/make-csr.sh test sensor other "$tls" >/dev/null || wrong "make-csr.sh fails"
[ "$(stat -c %a "$tls/other.key")" = 600 ] || wrong "make-csr.sh makes a key of mode $(stat -c %a "$tls/other.key")"
cp -r deploy/collections deploy/partners "$dir"
mkdir "$dir/feeds"
umask 077
echo secret >"$dir/redis.password"
echo secret >"$dir/feed.password"
printf '%s:%s\n' a "$(openssl passwd -6 x)" >"$dir/passwords"
head -c 32 /dev/urandom >"$dir/cursor"
"$build/picket" rules keygen "$dir/sign.pem" >/dev/null
cp "$tls/partner-1.key" "$tls/feed.key" && cp "$tls/partner-1.crt" "$tls/feed.crt"
umask 022
cat >"$dir/sensor.yaml" <<-YAML
	sensor: {id: sensor-1}
	rules: {files: [deploy/demo/rules.yaml]}
	spool: {dir: $dir/spool}
	collector: {address: ["127.0.0.1:1"]}
	tls: {cert: $tls/sensor-1.crt, key: $tls/sensor-1.key, ca: $tls/collector-ca.crt}
YAML
cat >"$dir/collector.yaml" <<-YAML
	listen: {address: "127.0.0.1:1"}
	tls: {cert: $tls/collector-1.crt, key: $tls/collector-1.key, ca: $tls/sensor-ca.crt}
	redis: {address: "127.0.0.1:1", user: u, password_file: $dir/redis.password, tls: true,
	  tls_ca: $tls/collector-ca.crt, tls_cert: $tls/partner-1.crt, tls_key: $tls/partner-1.key}
YAML
cat >"$dir/gateway.yaml" <<-YAML
	gateway: {org: test}
	taxii: {address: "127.0.0.1:1", collections: $dir/collections, passwords: $dir/passwords, cursor_key: $dir/cursor, feeds: $dir/feeds}
	tls: {cert: $tls/collector-1.crt, key: $tls/collector-1.key}
	partners: {dir: $dir/partners}
	links: {cert: $tls/partner-1.crt, key: $tls/partner-1.key, ca: $tls/partner-ca.crt}
	redis: {address: "127.0.0.1:1", user: u, password_file: $dir/redis.password}
YAML
cat >"$dir/feeds/one.yaml" <<-YAML
	feed: {partner: p, url: "https://localhost:1/api/collections/91a7b528-80eb-42ed-a74d-c6fbd5a26116/", from: indicators, user: u,
	  password_file: $dir/feed.password, cert: $tls/feed.crt, key: $tls/feed.key, ca: $tls/collector-ca.crt}
YAML

# secret FILE COMMAND…: good as it is; refused when others may touch it, with 3 or 4.
secret() {
	file=$1 what="$(basename "$2") $3 with $(basename "$1")"
	shift
	chmod 0640 "$file"
	timeout 5 "$@" >"$dir/out" 2>"$dir/err" </dev/null
	grep -q 'is open to others' "$dir/err" && wrong "$what, mode 640: $(cat "$dir/err")"
	for mode in 644 660 604; do
		chmod 0$mode "$file"
		refused "$file is open to others (mode $mode): chmod 0640 $file" "$@"
	done
	if [ "$(id -u)" = 0 ]; then
		chmod 0600 "$file"
		chown 12345 "$file"
		refused "$file belongs to user 12345, who could replace it: chown root $file" "$@"
		chown 0 "$file"
	fi
	chmod 0600 "$file"
}
refused() { # refused WORDS COMMAND…
	words=$1 code=0
	shift
	timeout 5 "$@" >"$dir/out" 2>"$dir/err" </dev/null || code=$?
	[ "$code" = 3 ] || [ "$code" = 4 ] || wrong "$what: exit code $code"
	contains "$what" "$dir/err" "$words"
}
for p in sensor collector gateway; do
	gives "picket-$p -T" 0 "$build/picket-$p" -T -c "$dir/$p.yaml"
done
secret "$tls/sensor-1.key" "$build/picket-sensor" -T -c "$dir/sensor.yaml"
for f in tls/collector-1.key tls/partner-1.key redis.password; do
	for p in collector gateway; do
		secret "$dir/$f" "$build/picket-$p" -T -c "$dir/$p.yaml"
	done
done
for f in passwords cursor feed.password tls/feed.key; do
	secret "$dir/$f" "$build/picket-gateway" -T -c "$dir/gateway.yaml"
done

# Not only when asked to check.
chmod 0644 "$tls/collector-1.key" "$tls/sensor-1.key" "$dir/passwords"
what=start
refused "$tls/sensor-1.key is open to others" "$build/picket-sensor" -c "$dir/sensor.yaml" -r tests/golden/dns-tcp/case.pcap
refused "$tls/collector-1.key is open to others" "$build/picket-collector" -c "$dir/collector.yaml"
refused "$dir/passwords is open to others" "$build/picket-gateway" -c "$dir/gateway.yaml"
chmod 0600 "$dir/passwords"
refused "$tls/collector-1.key is open to others" "$build/picket-gateway" -c "$dir/gateway.yaml"
chmod 0600 "$tls/collector-1.key"

# ---- whom to trust: readable for all, written by the owner only ----
anchor() { # FILE WHAT COMMAND…
	file=$1 name=$2 what="$(basename "$3") with $(basename "$1")"
	shift 2
	for mode in 644 444 640; do
		chmod 0$mode "$file"
		timeout 5 "$@" >"$dir/out" 2>"$dir/err" </dev/null
		grep -q 'may be written by others' "$dir/err" && wrong "$what, mode $mode: $(cat "$dir/err")"
	done
	for mode in 664 646; do
		chmod 0$mode "$file"
		refused "$name $file may be written by others (mode $mode): chmod go-w $file" "$@"
	done
	chmod 0644 "$file"
	folder=$(dirname "$file")
	was=$(stat -c %a "$folder")
	chmod 0777 "$folder"
	refused ": its folder $folder may be written by others (mode 777): chmod go-w $folder" "$@"
	chmod "0$was" "$folder"
	if [ "$(id -u)" = 0 ]; then
		chown 12345 "$file"
		refused "$name $file belongs to user 12345, who could replace it: chown root $file" "$@"
		chown 0 "$file"
	fi
}
{ echo keys: && "$build/picket" rules keygen --show "$dir/sign.pem"; } >"$tls/keys.yaml"
"$build/picket" rules sign deploy/demo/rules.yaml --key "$dir/sign.pem" -o "$dir/demo.pset" -q || wrong "cannot sign"
chmod 0600 "$tls/sensor-1.key"
anchor "$tls/collector-ca.crt" "the CA" "$build/picket-sensor" -T -c "$dir/sensor.yaml"
anchor "$tls/sensor-ca.crt" "the CA" "$build/picket-collector" -T -c "$dir/collector.yaml"
anchor "$tls/collector-ca.crt" "the CA" "$build/picket-collector" -T -c "$dir/collector.yaml"
anchor "$tls/partner-ca.crt" "the CA" "$build/picket-gateway" -T -c "$dir/gateway.yaml"
anchor "$tls/collector-ca.crt" "the CA" "$build/picket-gateway" -T -c "$dir/gateway.yaml" # of the feed
anchor "$tls/collector-ca.crt" "the CA" "$build/picket" status --config "$dir/collector.yaml"
anchor "$tls/sensor-ca.crl" "the revocation list" "$build/picket-collector" -T -c "$dir/collector.yaml" --set tls.crl="$tls/sensor-ca.crl"
anchor "$tls/keys.yaml" "the list of trusted keys" "$build/picket-sensor" -T -c "$dir/sensor.yaml" \
	--set rules.keys="$tls/keys.yaml" --set rules.dir="$dir/sets"
anchor "$tls/keys.yaml" "the list of trusted keys" "$build/picket" rules verify --keys "$tls/keys.yaml" "$dir/demo.pset"
gives "verify" 0 "$build/picket" rules verify --keys "$tls/keys.yaml" "$dir/demo.pset"
for p in sensor collector gateway partners/jp-cert-x feeds/one; do
	daemon=picket-${p%%/*} what="configuration $p"
	[ -x "$build/$daemon" ] || daemon=picket-gateway
	conf=${daemon#picket-}
	chmod 0664 "$dir/$p.yaml"
	gives "$what, mode 664" 0 "$build/$daemon" -T -c "$dir/$conf.yaml"
	chmod 0666 "$dir/$p.yaml"
	refused "the configuration $dir/$p.yaml may be written by others (mode 666): chmod o-w $dir/$p.yaml" "$build/$daemon" -T -c "$dir/$conf.yaml"
	chmod 0644 "$dir/$p.yaml"
done

# ---- commands ----
secret "$dir/redis.password" "$build/picket" alerts list --config "$dir/collector.yaml"
secret "$tls/partner-1.key" "$build/picket" status --config "$dir/collector.yaml"
secret "$dir/sign.pem" "$build/picket" rules sign deploy/demo/rules.yaml --key "$dir/sign.pem" -o "$dir/demo.pset"
secret "$dir/sign.pem" "$build/picket" rules keygen --show "$dir/sign.pem"
finish
