#!/bin/sh
# How the programs are built and what their units leave them: read from the files
# themselves, so that a flag that is lost on the way is seen.
set -u
# shellcheck source=tests/system/help.sh
. tests/system/help.sh
programs='picket picket-sensor picket-collector picket-gateway'

has() { # has PROGRAM LABEL PATTERN COMMAND…: its output has a line like that
	program=$1 label=$2 pattern=$3
	shift 3
	"$@" "$build/$program" 2>/dev/null | grep -qE "$pattern" || wrong "$program: $label"
}
hasnt() {
	program=$1 label=$2 pattern=$3
	shift 3
	"$@" "$build/$program" 2>/dev/null | grep -qE "$pattern" && wrong "$program: $label"
}

for p in $programs; do
	has "$p" "is not position-independent" 'Type:.*DYN' readelf -hW
	has "$p" "has no RELRO" 'GNU_RELRO' readelf -lW
	has "$p" "resolves symbols lazily" 'FLAGS.*BIND_NOW' readelf -dW
	has "$p" "has no header for its stack" 'GNU_STACK' readelf -lW
	hasnt "$p" "has an executable stack" 'GNU_STACK.*RWE' readelf -lW
	hasnt "$p" "has a segment both writable and executable" 'LOAD.* RWE ' readelf -lW
	hasnt "$p" "has relocations in its text" 'TEXTREL' readelf -dW
	hasnt "$p" "looks for libraries in a folder of its own" 'R(UN)?PATH' readelf -dW
	# Under sanitizers the guards are theirs.
	case "$build" in *address*) continue ;; esac
	has "$p" "has no stack protector" '__stack_chk_fail' readelf -sW
	has "$p" "is built without _FORTIFY_SOURCE" '__(memcpy|snprintf|vsnprintf)_chk' readelf -sW
	if [ "$(uname -m)" = x86_64 ] && command -v objdump >/dev/null; then
		objdump -d --no-show-raw-insn "$build/$p" | awk '/^[0-9a-f]+ <main>:/ { getline; found = /endbr64/ } END { exit !found }' ||
			wrong "$p: main() does not begin with endbr64 (-fcf-protection)"
	fi
done
case "$build" in
*address*) ;;
*)
	for flag in -D_FORTIFY_SOURCE=3 -ftrivial-auto-var-init=zero -fstack-clash-protection -fstack-protector-strong \
		-Werror=format-security; do
		grep -q -e " $flag" "$build/flags" || wrong "not built with $flag"
	done
	;;
esac

# ---- the units ----
# Debian's redis-server.service lets nothing run but redis-server: the drop-in must allow what it runs.
for tool in dash yes redis-check-aof; do
	grep -qE "^ExecPaths=.*/usr/bin/$tool( |\$)" deploy/systemd/redis-check-aof.conf || wrong "redis-check-aof.conf runs $tool without ExecPaths"
done
# /bin/kill is a package of its own, which a small Debian does not have.
grep -l '^Exec[A-Za-z]*=/bin/kill' deploy/systemd/*.service && wrong "a unit needs /bin/kill"
for unit in deploy/systemd/*.service; do
	grep -qx 'RestartPreventExitStatus=2 3' "$unit" || wrong "$unit: a wrong configuration is tried again for ever"
	grep -q '^ExecStartPre=' "$unit" && wrong "$unit: RestartPreventExitStatus= does not look at ExecStartPre="
done
if command -v systemd-analyze >/dev/null; then
	for unit in deploy/systemd/*.service; do
		systemd-analyze security --offline=yes --threshold=20 "$unit" >"$dir/score" 2>&1 ||
			wrong "$unit: $(tail -n 1 "$dir/score")"
	done
	# What a program may call by its own sandbox, its unit must let through.
	expand() { # expand SET: its system calls, one a line
		systemd-analyze syscall-filter "$1" 2>/dev/null | sed 's/^ *//' | while read -r word; do
			case "$word" in
			@"${1#@}" | '#'* | '') ;;
			@*) expand "$word" ;;
			*) echo "$word" ;;
			esac
		done
	}
	words() { for w in "$@"; do case "$w" in @*) expand "$w" ;; *) echo "$w" ;; esac done; }
	"$build/picket" sandbox >"$dir/table"
	for role in sensor collector gateway; do
		: >"$dir/let"
		grep '^SystemCallFilter=' deploy/systemd/picket-$role.service | sed 's/^SystemCallFilter=//' | while read -r line; do
			# shellcheck disable=SC2086
			case "$line" in
			~*) words ${line#\~} | sort -u >"$dir/take" && sort -u "$dir/let" | comm -23 - "$dir/take" >"$dir/left" && mv "$dir/left" "$dir/let" ;;
			*) words $line >>"$dir/let" ;;
			esac
		done
		sort -u "$dir/let" >"$dir/let.sorted"
		roles=$role
		[ $role = sensor ] && roles='sensor opener nDPI'
		for r in $roles; do grep "^| $r" "$dir/table" | cut -d'|' -f4; done | tr ' ' '\n' | sort -u | while read -r group; do
			[ -n "$group" ] && grep "^\*\*$group\*\*" "$dir/table" | grep -oE '`[a-z0-9_]+`( \(answered)?' | grep -v answered | tr -d '`'
		done | sort -u >"$dir/own"
		[ -s "$dir/own" ] || wrong "no system calls found for $role"
		missing=$(comm -13 "$dir/let.sorted" "$dir/own" | tr '\n' ' ')
		[ -z "$missing" ] || wrong "deploy/systemd/picket-$role.service does not let through: $missing"
	done
else
	echo "  test_hardening.sh: no systemd-analyze: units are not judged"
fi
finish
