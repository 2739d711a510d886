#!/bin/sh
# Keeps the house: arrows between rooms, one door per library, headers that
# compile alone, names that our libraries export, the layout.
set -eu
cd "$(dirname "$0")/.."
bad=0
fail() {
	echo "lint: $*" >&2
	bad=1
}

# Rooms use only the rooms below them. sensor/picket.c alone sees both upper ones.
includes() { # includes ROOM FORBIDDEN...
	room=$1
	shift
	for other in "$@"; do
		grep -Hn "^#include \"$other/" "$room"/*.[ch] 2>/dev/null | grep -v '^sensor/picket\.c:' || true
	done
}
found=$(
	includes common rules sensor collector
	includes rules sensor collector
	includes sensor collector
	includes collector sensor
)
[ -z "$found" ] || fail "an arrow points upwards:
$found"

# One door per library: header, then the files that may include it.
door() {
	header=$1
	shift
	for f in $(grep -lE "^#include <($header)" common/*.[ch] rules/*.[ch] sensor/*.[ch] collector/*.[ch] 2>/dev/null || true); do
		ok=
		for d in "$@"; do
			# shellcheck disable=SC2254
			case "$f" in $d) ok=1 ;; esac
		done
		[ -n "$ok" ] || fail "$f includes <$header...>: its doors are $*"
	done
}
door 'pcap' 'sensor/capture*'
door 'ndpi|libndpi' 'sensor/inspect_ndpi.*'
door 'hiredis' 'collector/store*'
door 'yaml\.h' common/yaml.c
door 'jansson' common/json.c common/json.h
door 'yajl' common/json.c common/json.h
door 'hs/' rules/pattern.c rules/pattern_check.c
door 'xxhash' common/hash.c rules/ruleset*
door 'libpsl' rules/suffix.c
door 'isa-l' common/hash.c
door 'idn2' rules/canon_name.c
door 'openssl/ssl' common/tls.c common/tls_client.c common/tls_parts.h
door 'openssl/x509' common/tls.c common/tls_client.c sensor/x509.c
door 'openssl/' common/hash.c common/tls.c common/tls_parts.h common/tls_client.c sensor/x509.c sensor/file.c sensor/initial.c rules/sign.c
door 'zlib|brotli|zstd' sensor/inflate.c 'sensor/capture*'
door 'nghttp2' 'sensor/hpack.*' sensor/inspect_http2.c
door 'event2/' common/httpd.c collector/gateway.c collector/redis_link.c collector/login.c collector/http_client.c 'collector/taxii*' 'collector/partner*' collector/cli_partner_store.c
door 'curl/' collector/http_client.c
door 'crypt.h' collector/login.c
door 'seccomp|linux/seccomp|cap-ng|linux/landlock' 'common/sandbox*'

# Exported names that our libraries use themselves.
for f in $(grep -lE '^[a-z].*[ *](init_|ac_|cache_|bt_|quic_|is_)[a-z_]+\(' common/*.h rules/*.h sensor/*.h collector/*.h 2>/dev/null || true); do
	fail "$f declares a name that begins like our libraries' own (init_ ac_ cache_ bt_ quic_ is_)"
done

# Commands speak to people through one door, which cleans; scan's progress cleans by itself.
found=$(grep -nE 'fprintf\(stderr|perror\(' common/*.c rules/*.c sensor/*.c collector/*.c |
	grep -vE '^common/(complain|log)\.c:|^sensor/scan\.c:[0-9]*:.*packets' || true)
[ -z "$found" ] || fail "standard error past complain():
$found"

# Every limit of the sensor is told, counted and tested.
found=$(tests/limits.sh) || fail "deploy/limits.md is not what sensor/ does:
$found"

# What is read of each protocol is told and tested.
found=$(tests/protocols.py) || fail "deploy/protocols.md is not what sensor/ and tests/ do:
$found"

# Headers compile alone.
if command -v cc >/dev/null; then
	flags=$(pkg-config --cflags libpcap libndpi hiredis jansson libxxhash 2>/dev/null || true)
	for h in common/*.h rules/*.h sensor/*.h collector/*.h; do
		[ -e "$h" ] || continue
		# shellcheck disable=SC2086
		cc -std=gnu11 -I. $flags -Wall -Wextra -fsyntax-only -x c -include "$h" /dev/null 2>/dev/null ||
			fail "$h does not compile alone"
	done
fi

# Scripts, and the layout, where the tools are there.
if command -v shellcheck >/dev/null; then
	find deploy tests -name "*.sh" -exec shellcheck -S warning {} + || fail "shellcheck has findings"
fi
if command -v clang-format >/dev/null; then
	for f in common/*.c rules/*.c sensor/*.c collector/*.c; do
		[ -e "$f" ] || continue
		case "$f" in collector/store_script.c | collector/objects_script.c) continue ;; esac # Lua in C strings, laid out by hand
		clang-format --dry-run -Werror "$f" >/dev/null 2>&1 || fail "$f is not laid out by .clang-format: make format"
	done
fi
if grep -rnE '[[:space:]]$' --include='*.[ch]' common rules sensor collector >/dev/null; then
	fail "trailing blanks: $(grep -rlE '[[:space:]]$' --include='*.[ch]' common rules sensor collector | tr '\n' ' ')"
fi
[ "$bad" -eq 0 ] && echo "lint: clean"
exit "$bad"
