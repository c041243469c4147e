# shellcheck shell=bash
# The wire: a bridge on the host; the control plane and every node are network namespaces plugged into it.
#
# No packet may leave the machine, and none does:
# - no namespace has a default route. A node knows the wire, the pods of the other nodes and the services, nothing else.
# - the host does have one, and would send there whatever is meant for a pod. Hence its "unreachable" routes. They also
#   make it what a user's laptop is: it reaches the API server, and no pod.
# - the API server's pod proxy dials pods. Hence the control plane in a namespace of its own, with routes to them.

in_control() { echo nsenter "--net=$(netns_file control)"; }

# Somebody else's network in our ranges would be cut off by ours.
check_addresses_free() {
	local range taken
	for range in "$WIRE" "$PODS" "$SERVICES"; do
		taken=$(ip -4 route show root "$range")
		[[ -z $taken ]] || die "the addresses $range are in use on this machine ($taken); the cluster needs them"
	done
}

# plug NAME NUMBER ADDRESS: a namespace with one cable to the bridge.
plug() {
	local netns
	netns=$(netns_of "$1")
	ip netns add "$netns"
	ip link add "$VETH$2" type veth peer name eth0 netns "$netns"
	ip link set "$VETH$2" master "$BRIDGE" up
	ip -n "$netns" addr add "$3/24" dev eth0
	ip -n "$netns" link set eth0 up
	ip -n "$netns" link set lo up
}

network_up() {
	local node_count=$1 number
	check_addresses_free
	# "ip netns" makes /run/netns a mount, once, and leaves it one; we don't.
	mountpoint -q /run/netns || touch "$STATE/netns-mount-is-ours"
	ip link add "$BRIDGE" type bridge
	ip addr add "$HOST_IP/24" dev "$BRIDGE"
	ip link set "$BRIDGE" up
	ip route add unreachable "$PODS"
	ip route add unreachable "$SERVICES"
	plug control 0 "$API_IP"
	for ((number = 1; number <= node_count; number++)); do
		ip -n "$(netns_of control)" route add "10.244.$number.0/24" via "$(node_ip "$number")"
		plug_node "$number" "$node_count"
	done
}

plug_node() {
	local number=$1 node_count=$2 node netns other
	node=$(node_name "$number")
	netns=$(netns_of "$node")
	plug "$node" "$number" "$(node_ip "$number")"
	nsenter "--net=$(netns_file "$node")" sh -c \
		'echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet'
	for ((other = 1; other <= node_count; other++)); do
		((other == number)) || ip -n "$netns" route add "10.244.$other.0/24" via "$(node_ip "$other")"
	done
	# kube-proxy rewrites what is sent to a service, if the kernel finds it a route at all. What nobody has rewritten
	# ends at this bridge, which has no other end.
	ip -n "$netns" link add services0 type bridge
	ip -n "$netns" link set services0 up
	ip -n "$netns" route add "$SERVICES" dev services0 src "$(node_ip "$number")"
}

our_netns() { ip netns list 2>/dev/null | cut -d' ' -f1 | grep "^$PREFIX-" || true; }

network_down() {
	local netns link
	for netns in $(our_netns); do ip netns del "$netns"; done
	for link in /sys/class/net/"$VETH"*; do
		[[ ! -e $link ]] || ip link del "${link##*/}" 2>/dev/null || true # most went with their namespace
	done
	ip link del "$BRIDGE" 2>/dev/null || true
	ip route del unreachable "$PODS" 2>/dev/null || true
	ip route del unreachable "$SERVICES" 2>/dev/null || true
	if [[ -e $STATE/netns-mount-is-ours && -z $(ls -A /run/netns 2>/dev/null) ]]; then
		umount /run/netns 2>/dev/null || true
	fi
}
