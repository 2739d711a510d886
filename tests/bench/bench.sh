#!/bin/sh
# How fast: Picket beside ndpiReader -q, a bare pcap_loop (F) and, when it is
# installed, Suricata, on the same captures in one run, every command once per
# round, medians of ROUNDS. Ratios count; nanoseconds are this machine's today.
#
#   bench.sh BUILD           the whole thing, about five minutes; results in BUILD/bench
#   bench.sh BUILD short     only whether it runs, finds what was planted, and how
#                            many instructions a packet takes: no time is judged
#
#   BENCH_SCALE=4            larger corpora and longer curves (10 M flows and indicators from 4 on)
#   BENCH_ROUNDS=5
set -eu
build=$1
mode=${2:-full}
here=$(dirname "$0")
out=$build/bench
tools=$build/tests/bench
scale=${BENCH_SCALE:-1}
rounds=${BENCH_ROUNDS:-5}
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
		picket_line "default $c" "$out/set1000000" "$out/$c.pcap"
		[ $c = dns ] || picket_line "all $c" "$out/set1000000" "$out/$c.pcap" --dpi all
		command_line "ndpi $c" "ndpiReader -q -i $out/$c.pcap"
		suricata_line $c
	done
}

row() { # corpus mode start goal-ndpi goal-F
	n=$("$tools/floor" "$out/$1.pcap")
	t=$(calc '%.4f' "$(figure "$2 $1") - $(figure "$3")")
	say "$(printf '%-6s %-8s %8.0f %9.1f %7s %9.2f %7s %9.0f' "$1" "$2" "$(calc '%.1f' "$t / $n * 1e9")" \
		"$(calc '%.2f' "$(figure "ndpi $1") / $t")" "$4" "$(calc '%.2f' "$t / $(figure "F $1")")" "$5" \
		"$(calc '%.0f' "$(resident "$2 $1") / 1024")")"
}

main_table() {
	head -c 24 "$out/mixed.pcap" >"$out/empty.pcap"
	commands >"$out/commands"
	command -v ndpiReader >/dev/null || { say 'no ndpiReader (package libndpi-bin): its column is empty'
		sed -i '/^ndpi /s/\t.*/\ttrue/' "$out/commands"; }
	"$tools/measure" "$rounds" <"$out/commands" >"$out/results.tsv"
	say ''
	say "one worker, 1 M indicators, processor time net of start, medians of $rounds; goals in their columns"
	say "$(printf '%-6s %-8s %8s %9s %7s %9s %7s %9s' corpus mode ns/pkt 'x ndpi' goal 'x F' goal 'RSS MB')"
	row mixed off start '>= 13' '<= 0.9'
	row mixed default start-dpi '>= 7' ''
	row mixed all start-dpi '>= 3.5' ''
	row web off start '>= 9' '<= 0.9'
	row web default start-dpi '>= 7' ''
	row web all start-dpi '' ''
	row dns off start '>= 30' ''
	row dns default start-dpi '>= 25' ''
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

indicator_curve() {
	counts='0 40 10000 100000 1000000'
	[ "$scale" -lt 4 ] || counts="$counts 10000000"
	for n in $counts; do
		[ "$n" = 0 ] || make_set "$n"
		for c in empty mixed dns; do
			picket_line "$c $n" "$(set_path "$n")" "$out/$c.pcap" --dpi off
		done
	done | "$tools/measure" "$rounds" >"$out/results.tsv"
	say ''
	say 'indicators: throughput of that without any (goals: mixed >= 0.90, dns >= 0.65 at 1 M, dns >= 0.50 at 10 M)'
	say "$(printf '%10s %8s %8s' count mixed dns)"
	: >"$out/indicators.dat"
	for n in $counts; do
		m=$(calc '%.3f' "($(figure 'mixed 0') - $(figure 'empty 0')) / ($(figure "mixed $n") - $(figure "empty $n"))")
		d=$(calc '%.3f' "($(figure 'dns 0') - $(figure 'empty 0')) / ($(figure "dns $n") - $(figure "empty $n"))")
		say "$(printf '%10d %8.2f %8.2f' "$n" "$m" "$d")"
		echo "$n $m $d" >>"$out/indicators.dat"
	done
	awk -v title='throughput by number of indicators, 1 = none' -v names='mixed dns' -f "$here/plot.awk" \
		"$out/indicators.dat" >"$out/indicators.svg"
}

# Each flow once, and then at random: the difference is what a packet of a known flow costs.
flow_curve() {
	counts='10000 100000 1000000'
	[ "$scale" -lt 4 ] || counts="$counts 10000000"
	for n in $counts; do
		generated flows "$n" "$n" "flows_first_$n"
		generated flows $((n + 2000000)) "$n" "flows_$n"
		picket_line "first $n" "$out/set1000000" "$out/flows_first_$n.pcap" --dpi off --flows "$n"
		picket_line "all $n" "$out/set1000000" "$out/flows_$n.pcap" --dpi off --flows "$n"
	done | "$tools/measure" "$rounds" >"$out/results.tsv"
	say ''
	say 'concurrent flows: ns per packet of a known flow (goals: 1 M <= 1.7, 10 M <= 2 times that at 10 k)'
	say "$(printf '%10s %8s %8s' flows ns/pkt ratio)"
	: >"$out/flows.dat"
	for n in $counts; do
		t=$(calc '%.1f' "($(figure "all $n") - $(figure "first $n")) / 2e6 * 1e9")
		[ "$n" = 10000 ] && base=$t
		r=$(calc '%.3f' "$t / $base")
		say "$(printf '%10d %8.0f %8.2f' "$n" "$t" "$r")"
		echo "$n $r" >>"$out/flows.dat"
	done
	awk -v title='time per packet by concurrent flows, 1 = 10 k' -v names=time -f "$here/plot.awk" \
		"$out/flows.dat" >"$out/flows.svg"
	say "$(printf 'bytes per idle flow, everything: %.0f (goal <= 96)' \
		"$(calc '%.1f' "($(resident 'first 1000000') - $(resident 'first 10000')) * 1024 / 990000")")"
}

flood() {
	n=$((2000000 * scale))
	generated syn $n 1000 flood
	{
		picket_line start "$out/set1000000" "$out/empty.pcap" --dpi off --memory 256
		picket_line flood "$out/set1000000" "$out/flood.pcap" --dpi off --memory 256
	} | "$tools/measure" 3 >"$out/results.tsv"
	found=$(scan --quiet --dpi off --rules "$out/set1000000" "$out/flood.pcap" | grep -c '"where":"ip.dest"' || true)
	say ''
	say "$(printf 'SYN flood, %d distinct flows: %.0f ns per packet, %.0f MB resident, %d of %d planted hits' $n \
		"$(calc '%.1f' "($(figure flood) - $(figure start)) / $n * 1e9")" \
		"$(calc '%.1f' "$(resident flood) / 1024")" "$found" "$(cat "$out/flood.planted")")"
}

sets() {
	say ''
	rm -f "$out/set1000000"
	make_set 1000000
	say '1 M indicators (goals: <= 40 bytes each, compiled in <= 0.5 s, opened in <= 1 ms, verified at >= 3 GB/s):'
	say "$(sed 's/^/  /' "$out/set1000000.txt")"
}

full() {
	: >"$report"
	say "picket $("$build/picket" --version), $(uname -m), $(nproc) processors, $(date -u +%Y-%m-%dT%H:%MZ)"
	set_none
	sets
	real_corpora || { say 'no real captures: the corpora are generated'; made_corpora; }
	main_table
	indicator_curve
	flow_curve
	flood
	say ''
	say "plots: $out/indicators.svg $out/flows.svg"
}

case $mode in
short) short ;;
full) full ;;
*) die "usage: bench.sh BUILD [short]" ;;
esac
