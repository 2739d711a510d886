#!/bin/sh
# How fast: Picket beside ndpiReader -q, a bare pcap_loop (F) and, when it is
# installed, Suricata, on the same captures in one run, every command once per
# round, medians of ROUNDS. Ratios count; nanoseconds are this machine's today.
#
#   bench.sh BUILD           the whole thing, half an hour; results in BUILD/bench
#   bench.sh BUILD short     only whether it runs, finds what was planted, and how
#                            many instructions a packet takes: no time is judged
#
#   BENCH_PARTS='sets main'  only these parts: sets main indicators flows flood planted live
#   BENCH_SCALE=2            corpora twice as large
#   BENCH_LONGEST=1000000    where the curves end (10000000)
#   BENCH_ROUNDS=5
#   BENCH_LIVE=10            seconds of each live run; as root only
set -eu
build=$1
mode=${2:-full}
here=$(dirname "$0")
out=$build/bench
tools=$build/tests/bench
scale=${BENCH_SCALE:-1}
rounds=${BENCH_ROUNDS:-5}
longest=${BENCH_LONGEST:-10000000}
live_s=${BENCH_LIVE:-10}
parts=${BENCH_PARTS:-sets main indicators flows flood planted live}
cases=${BENCH_CASES:-../shared}
report=$out/report.txt
mkdir -p "$out"

say() { printf '%s\n' "$*" | tee -a "$report"; }
die() { echo "bench: $*" >&2; exit 1; }
scan() { "$build/picket" scan --json "$@"; }
tab=$(printf '\t')

# ---- what it runs on ----

make_set() { # indicators
	[ -s "$out/set$1" ] || "$tools/sets" "$1" "$out/set$1" >"$out/set$1.txt"
}

# An empty set is refused, so "none" is one indicator of a type that no corpus has:
# nothing is looked up, no file hashed.
set_none() {
	printf 'type,value\nmqtt_topic,bench/none\n' >"$out/none.csv"
}

set_path() { [ "$1" = 0 ] && echo "$out/none.csv" || echo "$out/set$1"; }

generated() { # kind packets every name
	[ -s "$out/$4.pcap" ] || "$tools/generate" "$1" "$2" "$out/$4.pcap" "$3" >"$out/$4.planted"
}

# Captures of the real thing, amplified, when they and the amplifier are there.
real_corpora() {
	[ -d "$cases/cases" ] && [ -f "$cases/tools/pcapamp.c" ] || return 1
	[ -s "$out/dns.pcap" ] && [ -s "$out/web.pcap" ] && [ -s "$out/mixed.pcap" ] && return 0
	${CC:-cc} -O2 -w -o "$out/pcapamp" "$cases/tools/pcapamp.c" -lpcap -lm || return 1
	# shellcheck disable=SC2129
	"$out/pcapamp" -k $((30 * scale)) -o "$out/mixed.pcap" "$cases"/cases/*/case.pcap* 2>>"$out/pcapamp.log"
	# shellcheck disable=SC2046 # one argument for each case
	"$out/pcapamp" -k $((30 * scale)) -o "$out/web.pcap" $(grep -lE '^(url|user_agent|ja3|ja4|cert)' \
		"$cases"/cases/*/indicators.csv | sed 's/indicators.csv$//' | while read -r d; do ls "$d"case.pcap*; done) \
		2>>"$out/pcapamp.log"
	"$out/pcapamp" -G dns -n $((1500000 * scale)) -o "$out/dns.pcap" 2>>"$out/pcapamp.log"
}

made_corpora() {
	generated web $((1500000 * scale)) 0 web
	generated dns $((1500000 * scale)) 0 dns
	generated web $((1500000 * scale)) 0 mixed
}

# ---- checks ----

# The same hits whatever nDPI does, as many as were planted, in a ledger that balances.
check_planted() { # name where
	planted=$(cat "$out/$1.planted")
	for dpi in off unrecognised all; do
		scan --dpi $dpi --rules "$out/set20000" "$out/$1.pcap" >"$out/$1.$dpi.jsonl" 2>"$out/$1.err" ||
			die "$1: picket scan --dpi $dpi failed: $(tail -n 1 "$out/$1.err")"
		found=$(grep -c "\"where\":\"$2\"" "$out/$1.$dpi.jsonl" || true)
		[ "$found" = "$planted" ] || die "$1, --dpi $dpi: $found hits of $planted that were planted"
		! grep -q 'does not balance' "$out/$1.err" || die "$1: the ledger does not balance"
	done
	echo "bench: $1: all $planted planted hits found"
}

# Without file hashes: how many instructions those take is up to the processor's
# extensions, of which valgrind has few.
few_rules() {
	printf 'type,value\ndomain,below.example\nhostname,host.example\nurl,http://url.example/x\nip,192.0.2.1\n'
	printf 'cidr,198.51.100.0/24\nuser_agent,nobody\nja3,00000000000000000000000000000001\n'
}

instructions() { # pcap
	valgrind --tool=callgrind --callgrind-out-file=/dev/null "$build/picket" scan --quiet --dpi off \
		--rules "$out/few.csv" "$1" 2>&1 >/dev/null | sed -n 's/.*refs: *//p' | tr -d ,
}

# What a packet takes beyond what the start takes: two lengths of the same corpus.
guard() { # kind packets baseline
	a=$(instructions "$out/few_$1.pcap")
	b=$(instructions "$out/many_$1.pcap")
	now=$(((b - a) / $2))
	limit=$(($3 + $3 * 8 / 100))
	echo "bench: $1: $now instructions per packet, the baseline is $3"
	[ $now -le $limit ] || die "$1: $now instructions per packet, more than 8 % above the baseline of $3: say why in tests/bench/instructions.txt, or find them"
}

instruction_guard() {
	command -v valgrind >/dev/null || { echo "bench: no valgrind: instructions not counted"; return 0; }
	case $build in *-address*|*-thread*|*-undefined*) return 0 ;; esac
	few_rules >"$out/few.csv"
	grep -v '^#' "$here/instructions.txt" | while read -r kind baseline; do
		every=0
		[ "$kind" != flows ] || every=1000
		generated "$kind" 2000 $every "few_$kind"
		generated "$kind" 12000 $every "many_$kind"
		guard "$kind" 10000 "$baseline"
	done
}

short() {
	make_set 20000
	generated dns 20000 50 short_dns
	generated syn 20000 100 short_syn
	generated web 20000 20 short_web
	check_planted short_dns dns.query
	check_planted short_syn ip.dest
	check_planted short_web http.host
	printf 'picket\t%s scan --quiet --rules %s %s\nF\t%s %s\n' "$build/picket" "$out/set20000" \
		"$out/short_web.pcap" "$tools/floor" "$out/short_web.pcap" | "$tools/measure" 2 >/dev/null
	instruction_guard
}

# ---- goals ----

# verdict VALUE RELATION GOAL: "met", "NOT MET", or nothing when there is no goal or no figure.
verdict() {
	if [ -z "${3:-}" ] || [ -z "$1" ]; then
		echo '-'
		return 0
	fi
	awk -v v="$1" -v r="$2" -v g="$3" 'BEGIN { good = r == ">=" ? v >= g : v <= g; print good ? "met" : "NOT MET" }'
}

goal() { # label value relation goal unit
	say "$(printf '  %-44s %10s %s  (goal %s %s: %s)' "$1" "$2" "$5" "$3" "$4" "$(verdict "$2" "$3" "$4")")"
}

# ---- the table ----

command_line() { # label command
	printf '%s\t%s\n' "$1" "$2"
}

picket_line() { # label set pcap options…
	label=$1 set=$2 pcap=$3
	shift 3
	command_line "$label" "$build/picket scan --quiet $* --rules $set $pcap"
}

figure() { awk -F"$tab" -v l="$1" '$1 == l { print $2 }' "$out/results.tsv"; }
resident() { awk -F"$tab" -v l="$1" '$1 == l { print $4 }' "$out/results.tsv"; }
calc() { awk "BEGIN { printf \"$1\", $2 }"; }
# The median of the lines NAME=VALUE.
middle() { sed -n "s/^$1=//p" "$2" | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

suricata_line() { # corpus
	command -v suricata >/dev/null || return 0
	mkdir -p "$out/suricata"
	command_line "suricata $1" "suricata --runmode single -S /dev/null -l $out/suricata -r $out/$1.pcap"
}

commands() {
	picket_line start "$out/set1000000" "$out/empty.pcap" --dpi off
	picket_line start-dpi "$out/set1000000" "$out/empty.pcap" --dpi all
	for c in mixed web dns; do
		command_line "F $c" "$tools/floor $out/$c.pcap"
		picket_line "off $c" "$out/set1000000" "$out/$c.pcap" --dpi off
		command_line "libpcap $c" "$tools/scan_libpcap --quiet --json --dpi off --rules $out/set1000000 $out/$c.pcap"
		picket_line "default $c" "$out/set1000000" "$out/$c.pcap"
		[ $c = dns ] || picket_line "all $c" "$out/set1000000" "$out/$c.pcap" --dpi all
		command_line "ndpi $c" "ndpiReader -q -i $out/$c.pcap"
		suricata_line $c
	done
}

row() { # corpus mode start goal-ndpi goal-F
	n=$("$tools/floor" "$out/$1.pcap")
	t=$(calc '%.4f' "$(figure "$2 $1") - $(figure "$3")")
	x=
	command -v ndpiReader >/dev/null && x=$(calc '%.2f' "$(figure "ndpi $1") / $t")
	f=$(calc '%.2f' "$t / $(figure "F $1")")
	say "$(printf '%-6s %-8s %7.0f %7s %6s %-8s %6s %6s %-8s %7.0f' "$1" "$2" "$(calc '%.1f' "$t / $n * 1e9")" \
		"$x" "$4" "$(verdict "$x" '>=' "$4")" "$f" "$5" "$(verdict "$f" '<=' "$5")" \
		"$(calc '%.0f' "$(resident "$2 $1") / 1024")")"
}

main_table() {
	commands >"$out/commands"
	command -v ndpiReader >/dev/null || { say 'no ndpiReader (package libndpi-bin): its column is empty'
		sed -i '/^ndpi /s/\t.*/\ttrue/' "$out/commands"; }
	"$tools/measure" "$rounds" <"$out/commands" >"$out/results.tsv"
	say ''
	say "one worker, 1 M indicators, processor time net of start, medians of $rounds;"
	say 'times as fast as ndpiReader -q (at least), time by that of a bare pcap_loop (at most)'
	say "$(printf '%-6s %-8s %7s %7s %6s %-8s %6s %6s %-8s %7s' corpus mode ns/pkt 'x ndpi' goal '' 'x F' goal '' 'RSS MB')"
	row mixed off start 13 0.9
	row mixed libpcap start '' 2
	row mixed default start-dpi 7 ''
	row mixed all start-dpi 3.5 ''
	row web off start 9 0.9
	row web libpcap start '' 2
	row web default start-dpi 7 ''
	row web all start-dpi '' ''
	row dns off start 30 ''
	row dns libpcap start '' ''
	row dns default start-dpi 25 ''
	calc '%.1f' "($(figure 'default mixed') - $(figure start-dpi)) / $("$tools/floor" "$out/mixed.pcap") * 1e9" >"$out/default.ns"
	for c in mixed web dns; do
		n=$("$tools/floor" "$out/$c.pcap")
		say "$(printf '%-6s F %.0f ns/packet, ndpiReader -q %.0f ns and %.0f MB%s' $c \
			"$(calc '%.1f' "$(figure "F $c") / $n * 1e9")" "$(calc '%.1f' "$(figure "ndpi $c") / $n * 1e9")" \
			"$(calc '%.1f' "$(resident "ndpi $c") / 1024")" \
			"$(command -v suricata >/dev/null && printf ', Suricata %.0f ns' \
				"$(calc '%.1f' "$(figure "suricata $c") / $n * 1e9")" || true)")"
	done
}

# ---- curves ----

up_to() { # the counts of a curve
	for n in "$@"; do
		[ "$n" -gt "$longest" ] || printf '%s ' "$n"
	done
}

indicator_curve() {
	counts=$(up_to 0 40 10000 100000 1000000 10000000)
	for n in $counts; do
		[ "$n" = 0 ] || make_set "$n"
		for c in empty mixed dns; do
			picket_line "$c $n" "$(set_path "$n")" "$out/$c.pcap" --dpi off
		done
	done >"$out/commands"
	"$tools/measure" "$rounds" <"$out/commands" >"$out/results.tsv"
	say ''
	say 'indicators: throughput of that without any'
	say "$(printf '%10s %8s %6s %-8s %8s %6s %-8s' count mixed goal '' dns goal '')"
	: >"$out/indicators.dat"
	for n in $counts; do
		m=$(calc '%.3f' "($(figure 'mixed 0') - $(figure 'empty 0')) / ($(figure "mixed $n") - $(figure "empty $n"))")
		d=$(calc '%.3f' "($(figure 'dns 0') - $(figure 'empty 0')) / ($(figure "dns $n") - $(figure "empty $n"))")
		case $n in 1000000) gm=0.90 gd=0.65 ;; 10000000) gm='' gd=0.50 ;; *) gm='' gd='' ;; esac
		say "$(printf '%10d %8.2f %6s %-8s %8.2f %6s %-8s' "$n" "$m" "$gm" "$(verdict "$m" '>=' "$gm")" \
			"$d" "$gd" "$(verdict "$d" '>=' "$gd")")"
		echo "$n $m $d" >>"$out/indicators.dat"
	done
	awk -v title='throughput by number of indicators, 1 = none' -v names='mixed dns' -f "$here/plot.awk" \
		"$out/indicators.dat" >"$out/indicators.svg"
	say "  plot: $out/indicators.svg"
}

# Medians of single runs, the sizes in turns.
flow_runs() { # counts
	rm -f "$out"/known.[0-9]*
	for _ in $(seq "$rounds"); do
		for n in "$@"; do
			"$tools/known" "$out/set1000000" "$out/flows_$n.pcap" "$n" >>"$out/known.$n"
		done
	done
}

flow_curve() {
	counts=$(up_to 10000 100000 1000000 10000000)
	for n in $counts; do
		generated flows $((n + 2000000)) "$n" "flows_$n"
	done
	# shellcheck disable=SC2086 # one argument for each count
	flow_runs $counts
	say ''
	say 'concurrent flows: ns per packet of a known flow'
	say "$(printf '%10s %8s %8s %6s %s' flows ns/pkt ratio goal '')"
	: >"$out/flows.dat"
	for n in $counts; do
		t=$(middle known_ns "$out/known.$n")
		[ "$n" = 10000 ] && base=$t
		r=$(calc '%.3f' "$t / $base")
		case $n in 1000000) g=1.7 ;; 10000000) g=2 ;; *) g='' ;; esac
		say "$(printf '%10d %8.0f %8.2f %6s %s' "$n" "$t" "$r" "$g" "$(verdict "$r" '<=' "$g")")"
		echo "$n $r" >>"$out/flows.dat"
	done
	awk -v title='time per packet by concurrent flows, 1 = 10 k' -v names=time -f "$here/plot.awk" \
		"$out/flows.dat" >"$out/flows.svg"
	say "  plot: $out/flows.svg"
	goal 'bytes per idle flow, everything' "$(calc '%.0f' \
		"($(middle anon_kib "$out/known.1000000") - $(middle anon_kib "$out/known.10000")) * 1024 / 990000")" '<=' 96 B
}

planted_in() { # corpus where options…: hits of the planted ones
	corpus=$1 where=$2
	shift 2
	scan --quiet --rules "$out/set1000000" "$@" "$out/$corpus.pcap" |
		grep "\"where\":\"$where\"" | sed 's/.*"src_ip":"\([^"]*\)","src_port":\([0-9]*\).*/\1 \2/' | sort -u | tee "$out/hits.list" | wc -l
}

flood() {
	n=$((5000000 * scale))
	generated syn $n 1000 flood
	{
		picket_line start "$out/set1000000" "$out/empty.pcap" --memory 256
		picket_line flood "$out/set1000000" "$out/flood.pcap" --memory 256
	} | "$tools/measure" 3 >"$out/results.tsv"
	t=$(calc '%.1f' "($(figure flood) - $(figure start)) / $n * 1e9")
	say ''
	say "SYN flood, $n distinct flows, memory: 256 MB, default mode"
	goal 'resident' "$(calc '%.0f' "$(resident flood) / 1024")" '<=' 300 MB
	[ -s "$out/default.ns" ] &&
		goal 'ns per packet, by that of the mixed corpus' "$(calc '%.2f' "$t / $(cat "$out/default.ns")")" '<=' 2 ''
	goal "planted indicators found, of $(cat "$out/flood.planted")" "$(planted_in flood ip.dest --memory 256)" '>=' \
		"$(cat "$out/flood.planted")" ''
}

# Every lookup of a listed name is found, the same ones in every run, with the default limits.
planted() {
	generated dns 3000000 1000 planted
	say ''
	say 'planted lookups among 1.5 M, default memory settings, three runs'
	for run in 1 2 3; do
		found=$(planted_in planted dns.query)
		goal "run $run: found, of $(cat "$out/planted.planted")" "$found" '>=' "$(cat "$out/planted.planted")" ''
		sum=$(cksum <"$out/hits.list")
		[ "$run" = 1 ] && first=$sum
		[ "$sum" = "$first" ] || say "  run $run: NOT the same lookups as the first"
	done
}

# ---- live ----

# live_run CORPUS RATE: the sensor on one processor, the sender on another.
live_run() {
	rm -f "$out/live.log"
	taskset -c $(($(nproc) - 1)) nice -n -20 ip netns exec "$wire_far" "$build/picket-sensor" -i wire1 \
		-R "$out/set1000000" -o /dev/null --set sensor.id=bench --set dpi.mode=off --set capture.ring=256MB \
		2>"$out/live.log" &
	sensor=$!
	until grep -q 'worker 0 captures' "$out/live.log" 2>/dev/null; do sleep 0.1; done
	sleep 0.5
	taskset -c 0 nice -n -20 ip netns exec "$wire_near" "$tools/send" wire0 "$out/$1.pcap" "$2" "$live_s" >"$out/sent"
	sent=$(sed -n 's/^sent=//p' "$out/sent")
	pps=$(sed -n 's/^pps=//p' "$out/sent")
	sleep 2
	kill -USR1 "$sensor"
	sleep 0.5
	kill "$sensor"
	wait "$sensor" || true
	received=$(ledger packets.received)
	dropped=$(($(ledger drops.kernel) + $(ledger drops.interface)))
	say "$(printf '  %-6s %8s pps: sent %s = received %s + dropped %s%s; %s' "$1" "$pps" "$sent" "$received" "$dropped" \
		"$([ "$sent" = $((received + dropped)) ] || echo ' NOT EXACT')" \
		"$([ "$dropped" = 0 ] && echo 'no loss: met' || calc 'loss %.3f %%: NOT MET' "$dropped / $sent * 100")")"
}
ledger() { awk -v n="$1" '$1 == n { v = $2 } END { print v + 0 }' "$out/live.log"; }

sender_maximum() { # corpus
	ip netns exec "$wire_near" "$tools/send" wire0 "$out/$1.pcap" 0 3 | sed -n 's/^pps=//p'
}

live() {
	say ''
	# shellcheck source=tests/bench/wire.sh
	. "$here/wire.sh"
	wire_up || { say 'live: not measured, it needs root and network namespaces'; return 0; }
	trap wire_down EXIT
	generated flows 2000000 200000 small
	say "live over veth, inspection on, 1 M indicators, one worker on one processor, $live_s s each (goal: no loss)"
	for c in small mixed; do
		live_run $c 300000
		most=$(sender_maximum $c)
		say "  $c: the sender's maximum without a listener is $most pps; 80 % of it:"
		live_run $c "$(calc '%.0f' "$most * 0.8")"
	done
	wire_down
	trap - EXIT
}

# ---- the sets ----

of() { sed -n "s/^$1=//p" "$2"; }

sets() {
	say ''
	say '1 M indicators'
	: >"$out/sets.txt"
	for n in 1 2 3 4 5; do
		"$tools/sets" 1000000 "$out/set1000000" >>"$out/sets.txt"
	done
	goal 'bytes each' "$(middle bytes_per_indicator "$out/sets.txt")" '<=' 40 B
	goal 'compiled from parsed input (processor time)' "$(middle compile_s "$out/sets.txt")" '<=' 0.5 s
	goal 'opened' "$(middle open_ms "$out/sets.txt")" '<=' 1 ms
	goal 'verified' "$(middle verify_gb_s "$out/sets.txt")" '>=' 3 GB/s
	"$tools/bench_swap" "$out/set1000000" "$out/dns.pcap" 1000 15 >"$out/swap.txt"
	goal 'a delta of 1,000 made, processor time' "$(of delta_cpu_ms "$out/swap.txt")" '<=' 50 ms
	goal 'and in effect under traffic, wall time' "$(of effect_ms "$out/swap.txt")" '<=' 50 ms
	say "  a compiled file opened and in effect         $(of open_swap_ms "$out/swap.txt") ms, $(of packets "$out/swap.txt") packets meanwhile, ledger balanced: $(of balanced "$out/swap.txt")"
}

wants() { case " $parts " in *" $1 "*) return 0 ;; esac; return 1; }

full() {
	: >"$report"
	say "picket $("$build/picket" --version), $(uname -m), $(nproc) processors, $(date -u +%Y-%m-%dT%H:%MZ), load $(cut -d' ' -f1 /proc/loadavg)"
	set_none
	make_set 1000000
	real_corpora || { say 'no real captures: the corpora are generated'; made_corpora; }
	head -c 24 "$out/mixed.pcap" >"$out/empty.pcap"
	! wants sets || sets
	! wants main || main_table
	! wants indicators || indicator_curve
	! wants flows || flow_curve
	! wants flood || flood
	! wants planted || planted
	! wants live || live
}

case $mode in
short) short ;;
full) full ;;
*) die "usage: bench.sh BUILD [short]" ;;
esac
