#!/bin/sh
# Makes a throw-away CA for sensors and one for collectors, certificates under
# them, and empty revocation lists: for tests, demos and a first look. A real
# deployment keeps its CA keys off these machines.
#
#   deploy/make-test-ca.sh DIR [ORG [DAYS]]              the CAs, a collector "collector-1", a sensor "sensor-1"
#   deploy/make-test-ca.sh DIR ORG DAYS ROLE NAME...     further certificates (sensor, collector, partner, operator)
#   deploy/make-test-ca.sh --revoke DIR ROLE NAME        revokes one and writes DIR/ROLE-ca.crl anew
#
# DIR gets ROLE-ca.crt ROLE-ca.key ROLE-ca.crl, and NAME.crt NAME.key for each name.
# Who somebody is stands in the URI picket://ORG/ROLE/NAME among the certificate's names.
set -eu

die() {
	echo "make-test-ca: $*" >&2
	exit 2
}

quiet() {
	log=$("$@" 2>&1) || die "$1 failed: $log"
}

# One CA per role, P-256, with the small database that revocation needs.
make_ca() {
	role=$1
	[ -e "$dir/$role-ca.crt" ] && return
	quiet openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -sha256 -days "$days" \
		-keyout "$dir/$role-ca.key" -out "$dir/$role-ca.crt" -subj "/O=$org/CN=$org $role CA" \
		-addext basicConstraints=critical,CA:TRUE,pathlen:0 -addext keyUsage=critical,keyCertSign,cRLSign
	: >"$dir/$role-ca.index"
	echo 01 >"$dir/$role-ca.number"
	cat >"$dir/$role-ca.conf" <<-CONF
		[ca]
		default_ca = this
		[this]
		database = $dir/$role-ca.index
		crlnumber = $dir/$role-ca.number
		default_md = sha256
		default_crl_days = 30
	CONF
	write_crl "$role"
}

write_crl() {
	quiet openssl ca -batch -config "$dir/$1-ca.conf" -gencrl -keyfile "$dir/$1-ca.key" -cert "$dir/$1-ca.crt" \
		-out "$dir/$1-ca.crl"
}

make_cert() {
	role=$1 name=$2
	case $name in '' | *[!A-Za-z0-9._-]*) die "\"$name\" is not a name: letters, digits, . _ - only" ;; esac
	make_ca "$role"
	quiet openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -sha256 -subj "/O=$org/CN=$name" \
		-keyout "$dir/$name.key" -out "$dir/$name.csr"
	cat >"$dir/$name.ext" <<-EXT
		basicConstraints = critical,CA:FALSE
		keyUsage = critical,digitalSignature
		extendedKeyUsage = clientAuth,serverAuth
		subjectAltName = URI:picket://$org/$role/$name
	EXT
	quiet openssl x509 -req -in "$dir/$name.csr" -CA "$dir/$role-ca.crt" -CAkey "$dir/$role-ca.key" \
		-set_serial "0x$(openssl rand -hex 8)" -sha256 -days "$days" -extfile "$dir/$name.ext" -out "$dir/$name.crt"
	rm -f "$dir/$name.csr" "$dir/$name.ext"
}

umask 077
if [ "${1:-}" = --revoke ]; then
	[ $# -eq 4 ] || die "usage: make-test-ca.sh --revoke DIR ROLE NAME"
	dir=$2
	quiet openssl ca -batch -config "$dir/$3-ca.conf" -keyfile "$dir/$3-ca.key" -cert "$dir/$3-ca.crt" \
		-revoke "$dir/$4.crt"
	write_crl "$3"
	exit
fi
[ $# -ge 1 ] || die "usage: make-test-ca.sh DIR [ORG [DAYS [ROLE NAME...]]]"
dir=$1 org=${2:-example} days=${3:-30}
case $org in '' | *[!A-Za-z0-9._-]*) die "\"$org\" is not an organisation: letters, digits, . _ - only" ;; esac
mkdir -p "$dir"
if [ $# -le 3 ]; then
	make_cert collector collector-1
	make_cert sensor sensor-1
	exit
fi
wanted=$4
case $wanted in sensor | collector | partner | operator) ;; *) die "role \"$wanted\": sensor, collector, partner or operator" ;; esac
shift 4
for each in "$@"; do
	make_cert "$wanted" "$each"
done
