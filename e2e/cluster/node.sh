# shellcheck shell=bash
# A node: a network namespace (network.sh), a cgroup (cgroups.sh), and a mount namespace in which containerd and kubelet
# find the node's own directories at the places where a real node has them. Thus neither sees what the host, or the
# other node, keeps there; their mounts show on the host nowhere; and paths of sockets stay short, wherever the
# repository is.

# PLACE DIRECTORY, the latter below build/cluster/nodes/NODE. The programs have most of these places built in.
NODE_PLACES=(
	"/etc/cni/net.d cni"
	"/etc/containerd etc-containerd"
	"/run/containerd run-containerd"
	"/run/netns run-netns"
	"/var/lib/cni lib-cni"
	"/var/lib/containerd lib-containerd"
	"/var/lib/kubelet lib-kubelet"
	"/var/log/containers log-containers"
	"/var/log/pods log-pods"
)

# Mounting needs a directory to mount on: the ones that aren't there are made, empty, and removed at the end.
make_places() {
	local entry place
	for entry in "${NODE_PLACES[@]}"; do
		place=${entry% *}
		while [[ ! -d $place && $place != / ]]; do
			echo "$place"
			place=$(dirname "$place")
		done
	done | sort -ur >"$STATE/places"
	for entry in "${NODE_PLACES[@]}"; do mkdir -p "${entry% *}"; done
}

remove_places() {
	local place
	[[ -f $STATE/places ]] || return 0
	while read -r place; do rmdir "$place" 2>/dev/null || true; done <"$STATE/places" # deepest first
}

# The mount namespace lives as long as a process that holds it: the component NODE/namespace, which sleeps.
make_node() {
	local node=$1 directory entry mounts=()
	directory=$(node_dir "$node")
	mkdir -p "$directory/volumes" "$directory/etc-containerd/certs.d"
	make_cgroups "$node"
	for entry in "${NODE_PLACES[@]}"; do
		mkdir -p "$directory/${entry#* }"
		mounts+=("$directory/${entry#* }" "${entry% *}")
	done
	# Private to the host, shared inside, so that containerd and kubelet see each other's mounts and pods can have them.
	# "nsenter --net" and not "ip netns exec", which mounts a new /sys and so hides the cgroups.
	# shellcheck disable=SC2016 # for the inner shell
	spawn "$node/namespace" nsenter "--net=$(netns_file "$node")" unshare --mount --propagation private bash -euc '
		ready=$1; shift
		mount --make-rshared /
		while (($#)); do mount --bind "$1" "$2"; shift 2; done
		touch "$ready"
		exec sleep infinity' node-namespace "$directory/ready" "${mounts[@]}"
	wait_for 10 "the mount namespace of $node" test -e "$directory/ready"
}

# Words of a command that runs another in the node's namespaces.
in_node() {
	local pid
	pid=$(component_pid "$1/namespace") || die "there is no node $1"
	echo nsenter "--target=$pid" --mount --net
}

node_ctr() {
	local node=$1
	shift
	# shellcheck disable=SC2046 # words of a command
	$(in_node "$node") "$BIN/ctr" --namespace k8s.io "$@"
}

import_images() { # NODE ARCHIVE...
	local node=$1 archive output
	shift
	for archive in "$@"; do
		output=$(node_ctr "$node" images import "$archive" 2>&1) || die "$archive into $node: $output"
	done
}

# trust_registry NODE HOST:PORT [UPSTREAM]: containerd reads this at every pull, so that nothing has to be restarted.
trust_registry() {
	local directory upstream=${3:-$2}
	directory=$(node_dir "$1")/etc-containerd/certs.d/${2//:/_}
	if [[ $2 == *:* ]]; then directory+=_; fi # containerd's way to write a port without a colon
	mkdir -p "$directory"
	printf 'server = "http://%s"\n\n[host."http://%s"]\n  capabilities = ["pull", "resolve"]\n' \
		"$upstream" "$upstream" >"$directory/hosts.toml"
}

# trust_authority NODE HOST:PORT FILE: the same over TLS, with a certificate that is signed by the one in the file.
trust_authority() {
	local directory
	directory=$(node_dir "$1")/etc-containerd/certs.d/${2//:/_}_
	mkdir -p "$directory"
	cp "$3" "$directory/ca.crt"
	printf 'server = "https://%s"\n\n[host."https://%s"]\n  capabilities = ["pull", "resolve"]\n  ca = "ca.crt"\n' \
		"$2" "$2" >"$directory/hosts.toml"
}

# Whatever is in the node's network namespace or cgroup: shims, containers, and what "on-node" started.
kill_node_processes() {
	local pid
	for pid in $(ip netns pids "$(netns_of "$1")" 2>/dev/null) $(cgroup_processes "$1"); do
		kill -KILL "$pid" 2>/dev/null || true
	done
}
