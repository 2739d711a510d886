# bash completion of picket, picket-sensor and picket-collector.
_picket() {
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} words=
	case $before in
	--fail-on | --severity) words='low medium high critical' ;;
	--dpi) words='off unrecognised all' ;;
	--heuristics) words='all port-scan address-scan beacon dns-tunnel nxdomain-flood' ;;
	--vlan) words='auto strict ignore' ;;
	--priority) words='routine priority immediate flash' ;;
	--state) words='new acknowledged closed false_positive open all' ;;
	esac
	if [ -z "$words" ] && [ "$COMP_CWORD" -eq 1 ]; then
		words='scan rules why allow suppress disable alerts sensors exercise partner sighting bundle status sandbox help'
	elif [ -z "$words" ]; then
		case ${COMP_WORDS[1]}:$word in
		scan:-*) words='--rules --json --text --fail-on --filter --home --dpi --vlan --memory --flows --heuristics --quiet --verbose --help' ;;
		alerts:-*) words='--exercise --severity --state --set --type --sensor --since --limit --json --redis --redis-user --redis-set --config --note --help' ;;
		sensors:-* | status:-*) words='--json --redis --redis-user --redis-set --config --help' ;;
		rules:-*) words='--junit --key --output --keys --set-version --previous --priority --exercise --withdraw --allow-shrink --bump --ring --wait --timeout --to --redis --redis-user --json --help' ;;
		rules:*) words='compile lint diff changelog fmt report import export keygen sign verify test push rollback promote withdraw status why' ;;
		allow:-* | suppress:-* | disable:-*) words='--reason --expires --permanent --source --set --key --wait --json --redis --redis-user --help' ;;
		allow:* | suppress:* | disable:*) words='add rm list' ;;
		alerts:*) words='list show why tail ack close fp reopen' ;;
		sensors:*) words='list show' ;;
		partner:-*) words='--json --reason --in --out --to --priority --exercise --policies --org --verify --head --expect --redis --redis-user --help' ;;
		bundle:-*) words='--org --policies --key --output --all --gap --own --redis --redis-user --help' ;;
		bundle:*) words='export import' ;;
		sighting:*) words='list --json --redis --redis-user --help' ;;
		partner:*) words='list show pause resume withdraw restore review accept reject why publish revoke audit keys' ;;
		exercise:-*) words='--key --title --until --ring --wait --timeout --json --redis --redis-user --help' ;;
		exercise:*) words='list start inject report stop forget' ;;
		esac
	fi
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
	[ "${#COMPREPLY[@]}" -gt 0 ] || mapfile -t COMPREPLY < <(compgen -f -- "$word")
}
complete -o filenames -F _picket picket
