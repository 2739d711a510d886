#!/bin/sh
# A key and a certificate request for one machine, for a CA that is kept elsewhere: the
# key is made here and stays here.
#
#   deploy/make-csr.sh ORG ROLE NAME [DIR]      role: sensor, collector, partner, operator
#
# DIR (default .) gets NAME.key (mode 600) and NAME.csr. The CA must issue what is asked
# for: the URI picket://ORG/ROLE/NAME as the only picket:// name, clientAuth and
# serverAuth, not a CA. A key that is there already is used again: a renewal.
set -eu
die() {
	echo "make-csr: $*" >&2
	exit 2
}
[ $# -ge 3 ] && [ $# -le 4 ] || {
	sed -n '2,10p' "$0" | sed 's/^# \{0,1\}//' >&2
	exit 2
}
org=$1 role=$2 name=$3 dir=${4:-.}
for word in "$org" "$name"; do
	case $word in '' | *[!A-Za-z0-9._-]*) die "\"$word\": letters, digits, . _ - only" ;; esac
	[ ${#word} -le 64 ] || die "\"$word\" is longer than 64 characters"
done
case $role in sensor | collector | partner | operator) ;; *) die "role \"$role\": sensor, collector, partner or operator" ;; esac
command -v openssl >/dev/null 2>&1 || die "no openssl"
umask 077
mkdir -p "$dir"
[ -e "$dir/$name.key" ] || openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$dir/$name.key" 2>/dev/null
openssl req -new -key "$dir/$name.key" -sha256 -subj "/O=$org/CN=$name" -out "$dir/$name.csr" \
	-addext "subjectAltName=URI:picket://$org/$role/$name" -addext "extendedKeyUsage=clientAuth,serverAuth" \
	-addext "keyUsage=critical,digitalSignature" -addext "basicConstraints=critical,CA:FALSE"
echo "$dir/$name.csr: picket://$org/$role/$name; have it signed, put the certificate beside $dir/$name.key"
