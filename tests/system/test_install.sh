#!/bin/sh
# make install puts everything below DESTDIR, and what it put there runs.
set -u
# shellcheck source=tests/system/help.sh
. tests/system/help.sh
make -s install BUILD="$build" DESTDIR="$dir/root" prefix=/usr >"$dir/log" 2>&1 || wrong "make install fails: $(cat "$dir/log")"
for f in bin/picket bin/picket-sensor bin/picket-collector bin/picket-gateway share/man/man1/picket.1 share/man/man8/picket-sensor.8 \
	share/man/man5/picket-sensor.yaml.5 share/man/man5/picket-collector.yaml.5 share/doc/picket/README.md \
	share/doc/picket/examples/sensor.yaml share/doc/picket/examples/collector.yaml share/doc/picket/examples/users.acl \
	share/doc/picket/examples/picket.json lib/systemd/system/picket-sensor.service \
	lib/systemd/system/picket-collector.service lib/systemd/system/picket-gateway.service lib/sysusers.d/picket.conf lib/tmpfiles.d/picket.conf; do
	[ -s "$dir/root/usr/$f" ] || wrong "make install leaves no $f"
done
gives "the installed program" 0 "$dir/root/usr/bin/picket" scan -q --rules tests/golden/vlan-qinq/rules.yaml tests/golden/vlan-qinq/case.pcap
if command -v redis-server >/dev/null; then
	start local.log "$dir/root/usr/share/doc/picket/examples/local.sh" sentinel "$dir/root/usr/bin" "$dir/local"
	until_ok 60 test -e "$dir/local/ready" || cat "$dir/local.log" >&2
	gives "the installed example" 0 "$dir/root/usr/bin/picket-sensor" -q -c "$dir/local/sensor.yaml" \
		-R "$dir/root/usr/share/doc/picket/examples/rules.yaml" -r "$dir/root/usr/share/doc/picket/examples/recorded.pcap"
fi
find "$dir/root" -type f -perm /022 | grep -q . && wrong "make install leaves files that others may write"
if command -v systemd-analyze >/dev/null; then
	for u in sensor collector gateway; do
		systemd-analyze security --offline=yes --threshold=20 "deploy/systemd/picket-$u.service" >"$dir/log" 2>&1 ||
			wrong "picket-$u.service: $(tail -n 1 "$dir/log")"
	done
fi
if command -v python3 >/dev/null; then
	python3 -c 'import json; json.load(open("deploy/grafana/picket.json"))' || wrong "deploy/grafana/picket.json is not JSON"
fi
finish
