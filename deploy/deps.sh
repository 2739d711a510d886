#!/bin/sh
# Brings in the Debian packages that a target needs: deps.sh build|test|demo.
# Silent when nothing is missing. As root, or with sudo that asks nothing, it
# installs them; otherwise it prints the one command to run and exits 4.
# Services that packages bring (redis-server) are not started: each test and the
# demo start their own, private one.
set -eu

build='gcc make pkg-config libc6-dev libpcap-dev libndpi-dev libhyperscan-dev libhiredis-dev libyaml-dev libssl-dev
 libjansson-dev libyajl-dev zlib1g-dev libbrotli-dev libzstd-dev libidn2-dev libpsl-dev libxxhash-dev libisal-dev
 libnghttp2-dev libcap-ng-dev libseccomp-dev libsystemd-dev libevent-dev libcurl4-openssl-dev'
test='libcmocka-dev redis-server redis-tools openssl curl python3-minimal libpython3-stdlib iproute2'
demo='redis-server redis-tools openssl dnsmasq-base busybox bind9-dnsutils curl iproute2'

case "${1:-build}" in
build) want=$build ;;
test) want="$build $test" ;;
demo) want="$build $demo" ;;
*)
	echo "usage: deps.sh build|test|demo" >&2
	exit 2
	;;
esac

missing=
for p in $want; do
	state=$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null || true)
	[ "$state" = installed ] || missing="$missing $p"
done
[ -z "$missing" ] && exit 0

echo "picket: these Debian packages are missing:$missing" >&2
if [ "$(id -u)" -eq 0 ]; then
	as=
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
	as='sudo -n'
else
	echo "picket: they cannot be installed without root; run this, then again what you ran:" >&2
	echo "  sudo apt-get install --no-install-recommends$missing" >&2
	exit 4
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo "picket: installing them (a minute or two) ..." >&2
# RUNLEVEL=1 keeps invoke-rc.d from starting services on machines with sysvinit;
# the policy file does so under systemd, for as long as the installation takes.
policy=/usr/sbin/policy-rc.d
made_policy=
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' | $as tee "$policy" >/dev/null && $as chmod 755 "$policy" && made_policy=1
fi
ok=1
# shellcheck disable=SC2086
{
	$as env DEBIAN_FRONTEND=noninteractive apt-get update &&
		$as env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y --no-install-recommends $missing
} >"$log" 2>&1 </dev/null || ok=
[ -z "$made_policy" ] || $as rm -f "$policy"
if [ -z "$ok" ]; then
	tail -n 20 "$log" >&2
	echo "picket: apt-get failed, see above; once it works: apt-get install --no-install-recommends$missing" >&2
	exit 4
fi
