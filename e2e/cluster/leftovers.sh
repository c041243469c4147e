#!/usr/bin/env bash
# Fails if a cluster that is down has left anything on the machine, and says what.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# labelled KIND: each line of the input is one thing that is left.
labelled() { sed "s|^|$1: |"; }

DAEMONS='etcd|kube-apiserver|kube-controller-manager|kube-scheduler|kubelet|kube-proxy|containerd|containerd-shim-runc-v2|registry3|provisioner'

# Daemons that run from our directory (etcd comes from a package: ours has our data directory).
our_daemons() {
	local process program arguments
	for process in /proc/[0-9]*; do
		program=$(readlink "$process/exe" 2>/dev/null) || continue
		program=${program% (deleted)}
		[[ ${program##*/} =~ ^($DAEMONS)$ ]] || continue
		arguments=$(tr '\0' ' ' <"$process/cmdline" 2>/dev/null) || continue
		if [[ $program == "$BIN"/* || $arguments == *"$DIR"* ]]; then echo "${process#/proc/} $arguments"; fi
	done
}

processes_in_cgroups() { grep -l "/$PREFIX-" /proc/[0-9]*/cgroup 2>/dev/null || true; }

rules() {
	local command
	for command in iptables-save ip6tables-save; do
		if command -v "$command" >/dev/null; then "$command" 2>/dev/null | grep -E 'KUBE-|CNI-|10\.(244|96)\.' || true; fi
	done
}

leftovers() {
	local range
	our_daemons | labelled process
	processes_in_cgroups | labelled "process in a cgroup"
	{ ip netns list 2>/dev/null | grep "^$PREFIX-" || true; } | labelled "network namespace"
	{ grep -F -e "$DIR/" -e "/run/netns/$PREFIX-" /proc/self/mounts || true; } | labelled mount
	{ ip -o link show | cut -d' ' -f2 | grep -E "^($BRIDGE|${VETH}[0-9]+|services0|cni0)[@:]" || true; } | labelled link
	for range in "$WIRE" "$PODS" "$SERVICES"; do ip -4 route show root "$range"; done | labelled route
	find /sys/fs/cgroup -maxdepth 2 -type d -name "$PREFIX-*" | labelled cgroup
	rules | labelled "iptables rule"
	{ ls -d "$STATE" "$KUBECONFIG_ADMIN" "$DIR/nodes" 2>/dev/null || true; } | labelled file
}

require_linux_and_root
left=$(leftovers)
[[ -z $left ]] || die "left behind:"$'\n'"$left"
say "down; nothing is left behind"
