#!/bin/sh
# Turns what PROGRAM --dump-config prints into the page PROGRAM.yaml(5), so that a
# key has its sentence in one place, the program's table of keys.
#
#   conf-man.sh PROGRAM <dump >PROGRAM.yaml.5
set -eu
program=${1:?usage: conf-man.sh PROGRAM <dump >page}
cat <<EOF
.\\" Made by deploy/man/conf-man.sh from $program --dump-config: make man.
.Dd November 21, 2026
.Dt $(printf '%s' "$program.yaml" | tr '[:lower:]' '[:upper:]') 5
.Os Picket
.Sh NAME
.Nm $program.yaml
.Nd configuration of
.Xr $program 8
.Sh DESCRIPTION
YAML.
A dot in a key is nesting:
.Ic a.b
stands in the file as
.Li a: {b: value}
or on two lines.
A list may be written as one value.
Unknown keys and values out of bounds are errors, reported as file:line:column, all of them in one run.
.Pp
The order is: defaults, the file, the environment, the command line
.Pq Fl Fl set Ar key=value .
In the environment the key
.Ic a.b
is
.Ev PICKET_A__B ,
and a list is written with commas.
.Pp
Sizes are written as
.Li 64MB
(powers of 1024), times as
.Li 250ms , 10s , 5m , 1h , 7d .
.Pp
.Dl $program --dump-config
.Pp
prints all keys with their values, as a file that loads again.
.Sh KEYS
.Bl -tag -width 4n
EOF
awk '
function text(s) { gsub(/\\/, "\\e", s); gsub(/-/, "\\-", s); if (s ~ /^[.\047]/) s = "\\&" s; return s }
function sentences(s) { gsub(/\. /, ".\n", s); return s }
/^ *#/ { help = $0; sub(/^ *# */, "", help); next }
{
	indent = match($0, /[^ ]/) - 1
	key = $0; sub(/^ */, "", key); sub(/:.*/, "", key)
	path[indent / 2] = key
	if (help == "") next
	name = path[0]
	for (i = 1; i <= indent / 2; i++) name = name "." path[i]
	fallback = ""
	if (match(help, / \(default .*\)$/)) {
		fallback = substr(help, RSTART + 10, RLENGTH - 11)
		help = substr(help, 1, RSTART - 1)
	}
	print ".It Ic " name
	print sentences(text(help))
	if (fallback != "") print "Default:\n.Li " text(fallback) " ."
	help = ""
}'
cat <<EOF
.El
.Sh FILES
.Bl -tag -width 4n
.It Pa /etc/picket/${program#picket-}.yaml
where the shipped unit looks.
.El
.Sh SEE ALSO
.Xr picket 1 ,
.Xr $program 8
EOF
