#!/usr/bin/env bash
# A real Kubernetes cluster on this machine, without internet. README.md explains it.
set -euo pipefail
usage() {
	cat <<'TEXT'
usage: cluster.sh COMMAND
  up [NODES]                  start the cluster (2 nodes), or do nothing if it is up, healthy and the one that is asked for
  down                        stop it, and leave nothing behind
  status                      what runs; fails unless all of it is well
  env                         shell commands that set KUBECONFIG and PATH: eval "$(cluster.sh env)"
  load ARCHIVE...             an image archive (docker or OCI) into every node's containerd; and, under the names in a
                              docker archive that mean Docker Hub, into the hub
  hub-push ARCHIVE NAME:TAG   an image archive into the registry that the nodes take for Docker Hub
  trust HOST:PORT [FILE]      let the nodes pull from HOST:PORT over plain HTTP, or over TLS with the authority in the file
  on-node NODE COMMAND...     run a command of this machine in a node's network (services and pods are reachable there)
  ctr NODE ARGUMENT...        containerd's client on a node
  components                  the names for the next four
  start|stop COMPONENT        apiserver, etcd, node1/kubelet, ...
  restart COMPONENT           a crash, and a start
  signal COMPONENT SIGNAL     KILL, STOP, CONT, ...
  logs COMPONENT [TAIL-OPTION...]
TEXT
}

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
for part in sysctls images pki network cgroups hub etcd apiserver controller-manager scheduler provisioner \
	node containerd kubelet kube-proxy; do
	# shellcheck source=/dev/null
	. "$HERE/$part.sh"
done
# Nothing below talks to anything but this machine, and a user's proxy knows nothing of these addresses.
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY

CONTROL_PLANE=(hub etcd apiserver controller-manager scheduler provisioner)
NODE_COMPONENTS=(namespace containerd kubelet kube-proxy)

components() {
	local node component
	printf '%s\n' "${CONTROL_PLANE[@]}"
	for node in $(nodes); do
		for component in "${NODE_COMPONENTS[@]}"; do echo "$node/$component"; done
	done
}

# start_component NAME: "node1/kubelet" is start_kubelet node1.
start_component() {
	if [[ $1 == */* ]]; then "start_${1#*/}" "${1%%/*}"; else "start_$1"; fi
}

# "namespace" is what holds a node together: without it, no start.
# (Here and below: no "grep -q" at the end of a pipe. It leaves early, and the writer, and with pipefail all of it, fails.)
startable_components() { components | grep -v '/namespace$'; }

check_component() {
	startable_components | grep -xF -- "$1" >/dev/null || die "there is no component '$1'; there are: $(startable_components | tr '\n' ' ')"
}

# --- up ---------------------------------------------------------------------------------------------------------------

# What distinguishes one cluster from another: where it lives, how many nodes, with which settings and programs.
fingerprint() {
	echo "directory: $DIR"
	echo "nodes: $1"
	echo "proxy mode: ${PROXY_MODE:-iptables}"
	echo "API server arguments: ${APISERVER_ARGS:-}"
	stat -c '%n %Y %s' "$BIN"/{kube*,containerd*,registry3,provisioner,coredns,pause}
}

up() {
	local node_count=${1:-2} node job jobs=()
	[[ $node_count =~ ^[1-9]$ ]] || die "1 to 9 nodes, not '$node_count'"
	[[ -x $BIN/kubelet && -x $BIN/provisioner && -x $BIN/registry3 ]] || die "build first: make cluster-build"
	if [[ -d $STATE ]]; then
		if [[ $(cat "$STATE/fingerprint" 2>/dev/null) == "$(fingerprint "$node_count")" ]] && healthy; then
			say "already up; KUBECONFIG=$KUBECONFIG_ADMIN"
			return
		fi
		say "replacing the cluster of $(cat "$STATE/directory" 2>/dev/null || echo '(unknown)'), which is another or not healthy"
		down
	fi
	make_images

	rm -rf "$DIR/log" # "down" leaves it, to be read
	mkdir -p "$STATE" "$DIR/log" "$DIR/nodes"
	echo "$DIR" >"$STATE/directory"
	echo "$node_count" >"$STATE/nodes"
	echo "${PROXY_MODE:-iptables}" >"$STATE/proxy-mode"
	echo "${APISERVER_ARGS:-}" >"$STATE/apiserver-args"
	save_sysctls
	make_places
	make_pki "$node_count"
	network_up "$node_count"

	start_hub
	start_etcd
	start_apiserver
	for node in $(nodes); do
		make_node "$node"
		start_containerd "$node"
	done
	# Much of this waits for the disk or for the API server, and can do so at the same time.
	fill_hub &
	jobs+=($!)
	for node in $(nodes); do
		import_images "$node" "$IMAGES"/*.tar &
		jobs+=($!)
	done
	wait_for 90 "the API server" apiserver_ready
	start_controller-manager
	start_scheduler
	start_provisioner
	for job in "${jobs[@]}"; do wait "$job" || die "images could not be loaded"; done
	for node in $(nodes); do
		start_kubelet "$node"
		start_kube-proxy "$node"
	done
	kube apply -f "$HERE/storage-class.yaml" -f "$HERE/coredns.yaml" >/dev/null
	wait_for 90 "$node_count nodes that are ready" nodes_ready
	wait_for 30 "the service account of the namespace default" kube get serviceaccount default
	wait_for 90 "the cluster's DNS" dns_ready
	fingerprint "$node_count" >"$STATE/fingerprint"
	say "up with $node_count nodes; KUBECONFIG=$KUBECONFIG_ADMIN"
}

nodes_ready() {
	[[ $(kube get nodes -o 'jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}' | grep -ow True | wc -l) == "$(nodes | wc -l)" ]]
}

dns_ready() { [[ $(kube -n kube-system get deployment coredns -o 'jsonpath={.status.availableReplicas}') == 1 ]]; }

# --- down -------------------------------------------------------------------------------------------------------------

down() {
	local node component directory
	[[ -d $STATE ]] || return 0
	directory=$(cat "$STATE/directory" 2>/dev/null || echo "$DIR") # another checkout's, perhaps
	# No goodbyes: nothing of it is needed any more. Kubelets first, or they would start again what is killed next.
	for node in $(nodes); do
		for component in kubelet kube-proxy containerd; do signal_component "$node/$component" KILL; done
		kill_node_processes "$node"
		signal_component "$node/namespace" KILL
	done
	for component in "${CONTROL_PLANE[@]}"; do signal_component "$component" KILL; done
	for node in $(nodes); do
		wait_for 20 "end of the processes of $node" node_processes_gone "$node"
		remove_cgroups "$node"
	done
	wait_for 10 "end of the control plane" control_plane_gone
	network_down
	restore_sysctls
	remove_places
	rm -rf "$directory"/{etcd,hub,hub.yml,kube-cache,nodes,pki,admin.kubeconfig} "$STATE"
}

# Kills again what it finds: a container may have been starting while its shim was killed.
node_processes_gone() {
	kill_node_processes "$1"
	[[ -z $(ip netns pids "$(netns_of "$1")" 2>/dev/null; cgroup_processes "$1") ]]
}

control_plane_gone() {
	local component
	for component in "${CONTROL_PLANE[@]}"; do component_gone "$component" || return 1; done
}

# --- the other commands -----------------------------------------------------------------------------------------------

healthy() {
	local component
	for component in $(components); do component_pid "$component" >/dev/null || return 1; done
	{ apiserver_ready && nodes_ready && dns_ready; } >/dev/null 2>&1
}

status() {
	local component pid
	[[ -d $STATE ]] || die "down"
	say "the cluster of $(cat "$STATE/directory")"
	for component in $(components); do
		pid=$(component_pid "$component") || pid=-
		printf '%-20s %s\n' "$component" "$pid"
	done
	kube get nodes -o wide || true
	healthy || die "not healthy"
}

require_up() {
	[[ -d $STATE ]] || die "there is no cluster: make cluster"
	[[ $(cat "$STATE/directory") == "$DIR" ]] || die "the cluster that is up belongs to $(cat "$STATE/directory")"
}

load() {
	local archive node
	for archive in "$@"; do
		[[ -r $archive ]] || die "cannot read $archive"
		archive=$(realpath "$archive")
		for node in $(nodes); do import_images "$node" "$archive"; done
		# The kubelet may refuse what it has not pulled itself, and then pulls it: see images.sh.
		hub_push_named "$archive"
	done
}

# start_again COMPONENT: what runs already is left alone.
start_again() {
	component_gone "$1" >/dev/null || return 0
	if [[ $1 == apiserver && -n ${APISERVER_ARGS+set} ]]; then echo "$APISERVER_ARGS" >"$STATE/apiserver-args"; fi
	start_component "$1"
	if [[ $1 == apiserver ]]; then wait_for 90 "the API server" apiserver_ready; fi
}

crash() {
	signal_component "$1" KILL
	wait_for 5 "end of $1" component_gone "$1"
}

on_node() {
	local node=$1
	shift
	nodes | grep -xF -- "$node" >/dev/null || die "there is no node '$node'; there are: $(nodes | tr '\n' ' ')"
	exec nsenter "--net=$(netns_file "$node")" -- "$@"
}

trust() {
	local node
	for node in $(nodes); do
		if (($# > 1)); then trust_authority "$node" "$@"; else trust_registry "$node" "$1"; fi
	done
}

need() { (($1 >= $2)) || { usage >&2; exit 2; }; }

main() {
	local command=${1:-help} node
	(($# == 0)) || shift
	case $command in
	help | -h | --help) usage; return ;;
	env)
		# shellcheck disable=SC2016 # for the shell that reads it
		printf 'export KUBECONFIG=%q PATH=%q:"$PATH"\n' "$KUBECONFIG_ADMIN" "$BIN"
		return
		;;
	esac
	require_linux_and_root
	case $command in up | down | start | stop | restart)
		exec 9>"$STATE.lock" # the daemons don't inherit it: see spawn
		flock 9
		;;
	esac
	case $command in
	up) up "$@" ;;
	down) down ;;
	status) status ;;
	*)
		require_up
		case $command in
		load) need $# 1; load "$@" ;;
		hub-push) need $# 2; hub_push "$1" "$2" ;;
		trust) need $# 1; trust "$@" ;;
		on-node) need $# 2; on_node "$@" ;;
		ctr) need $# 2; node_ctr "$@" ;;
		components) startable_components ;;
		start) need $# 1; check_component "$1"; start_again "$1" ;;
		restart) need $# 1; check_component "$1"; crash "$1"; start_again "$1" ;;
		stop) need $# 1; check_component "$1"; stop_component "$1" ;;
		signal) need $# 2; check_component "$1"; signal_component "$1" "$2" ;;
		logs) need $# 1; check_component "$1"; tail "${@:2}" "$DIR/log/$1.log" ;;
		*) usage >&2; exit 2 ;;
		esac
		;;
	esac
}

main "$@"
