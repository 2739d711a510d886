# shellcheck shell=sh disable=SC2034
# A wire for live tests and benches: two network namespaces of our own, wire0 in
# $wire_near and wire1 in $wire_far, nothing on it but what is sent. To be sourced.
#
#   wire_up     fails when this user or this kernel cannot
#   wire_down   removes both
wire_near=picket-near-$$ wire_far=picket-far-$$

wire_quiet() { # namespace interface: no address, no ARP, no IPv6 of its own
	ip netns exec "$1" sh -c 'echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6' 2>/dev/null
	ip -n "$1" link set "$2" mtu 65535 arp off multicast off up
}

wire_up() {
	[ "$(id -u)" -eq 0 ] && command -v ip >/dev/null || return 1
	ip netns add "$wire_near" 2>/dev/null || return 1
	if ip netns add "$wire_far" && ip link add wire0 netns "$wire_near" type veth peer name wire1 netns "$wire_far" &&
		wire_quiet "$wire_near" wire0 && wire_quiet "$wire_far" wire1; then
		return 0
	fi 2>/dev/null
	wire_down
	return 1
}

wire_down() {
	for ns in "$wire_near" "$wire_far"; do
		[ -e "/run/netns/$ns" ] && ip netns del "$ns" 2>/dev/null
	done
	return 0
}
