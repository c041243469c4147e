# shellcheck shell=bash disable=SC2034
# Paths, names, addresses and the few helpers that the other files share. Sourced first, by every script.

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$HERE/../.." && pwd)
# shellcheck source=versions.sh
. "$HERE/versions.sh"

# --- where things are -------------------------------------------------------------------------------------------------
BIN=$(realpath -m "${CLUSTER_BIN:-$ROOT/build/bin}")     # binaries that build.sh makes
SRC=$(realpath -m "${CLUSTER_SRC:-$ROOT/build/src}")     # its Go modules, one per tool
DIR=$(realpath -m "${CLUSTER_DIR:-$ROOT/build/cluster}") # the cluster's files: keys, data, logs, nodes
# What exists once per machine (processes, namespaces, addresses) is recorded once per machine, so that any checkout
# can take down the cluster of any other one. /run is emptied at boot, when all of it is gone anyway.
STATE=/run/reposure-cluster

export PATH=$BIN:$PATH:/usr/sbin:/sbin

# --- names and addresses ----------------------------------------------------------------------------------------------
PREFIX=reposure           # of network namespaces and cgroups
BRIDGE=reposure0          # the wire between the host, the control plane and the nodes
VETH=rpsveth              # the bridge's ends of the cables
WIRE=10.89.0.0/24
HOST_IP=10.89.0.1         # the host's end
API_IP=10.89.0.10         # the control plane's; the nodes' are .11, .12, ...
API_PORT=6443
HUB=$HOST_IP:5001         # the registry that the nodes take for Docker Hub
PODS=10.244.0.0/16        # 10.244.N.0/24 on node N
SERVICES=10.96.0.0/16
DNS_IP=10.96.0.10

KUBECONFIG_ADMIN=$DIR/admin.kubeconfig

node_name() { echo "node$1"; }
node_number() { echo "${1#node}"; }
node_ip() { echo "10.89.0.$((10 + $1))"; }
node_dir() { echo "$DIR/nodes/$1"; }
netns_of() { echo "$PREFIX-$1"; } # of a node, or of "control"
netns_file() { echo "/run/netns/$(netns_of "$1")"; }

# The nodes of the cluster that is up, one per line.
nodes() {
	local number
	for ((number = 1; number <= $(cat "$STATE/nodes" 2>/dev/null || echo 0); number++)); do node_name "$number"; done
}

# --- saying, failing, waiting -----------------------------------------------------------------------------------------
say() { echo "cluster: $*" >&2; }
die() {
	say "$*"
	exit 1
}

# Nothing here works without root or on another kernel, while the unit tests need neither.
require_linux_and_root() {
	[[ $(uname -s) == Linux && $(id -u) == 0 ]] ||
		die "the local cluster needs Linux and root (this is $(uname -s), user $(id -un)); 'make test-unit' needs neither"
}

# wait_for SECONDS WHAT COMMAND...: polls until the command succeeds.
wait_for() {
	local seconds=$1 what=$2 deadline
	shift 2
	deadline=$((SECONDS + seconds))
	until "$@" >/dev/null 2>&1; do
		((SECONDS < deadline)) || die "$what: not within $seconds s; logs are in $DIR/log"
		sleep 0.1
	done
}

port_open() { (: <"/dev/tcp/${1%:*}/${1#*:}") 2>/dev/null; } # HOST:PORT

export KUBECACHEDIR=$DIR/kube-cache # and not in the user's home
kube() { kubectl --kubeconfig "$KUBECONFIG_ADMIN" "$@"; }

# --- components: daemons with a name, a record and a log ---------------------------------------------------------------
# A name is "etcd" or "node1/kubelet". The record holds pid and start time, so that a pid that the kernel has given to
# somebody else in the meantime is never taken for ours.
record_of() { echo "$STATE/components/$1"; }
start_time() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

# Prints the pid of a component that runs; fails if it doesn't.
component_pid() {
	local pid started
	read -r pid started 2>/dev/null <"$(record_of "$1")" || return 1
	[[ -n $pid && $(start_time "$pid") == "$started" ]] || return 1
	echo "$pid"
}

# spawn NAME COMMAND...: each leads a session, and so a process group, of its own. It gets an empty environment, since
# what the caller has in his (proxies, tokens, GODEBUG, make's jobserver) must not change a cluster; and no open files.
spawn() {
	local name=$1 pid
	shift
	mkdir -p "$(dirname "$DIR/log/$name.log")" "$(dirname "$(record_of "$name")")"
	# Whatever is open here or was in the caller, a lock above all, would stay so as long as the component runs.
	# shellcheck disable=SC2016 # for the shell that is started
	setsid env -i PATH="$PATH" HOME="${HOME:-/root}" bash -c '
		for descriptor in /proc/$$/fd/*; do
			((${descriptor##*/} < 3)) || eval "exec ${descriptor##*/}>&-"
		done
		exec "$@"' bash "$@" </dev/null >>"$DIR/log/$name.log" 2>&1 9>&- &
	pid=$!
	echo "$pid $(start_time "$pid")" >"$(record_of "$name")"
}

signal_component() { # NAME SIGNAL
	local pid
	pid=$(component_pid "$1") || return 0
	kill -s "$2" -- "-$pid" 2>/dev/null || true
}

component_gone() { ! component_pid "$1"; }

# stop_component NAME: politely, then not. (An API server takes a minute to finish its watches.)
stop_component() {
	local attempt
	signal_component "$1" TERM
	signal_component "$1" CONT # one that was stopped with SIGSTOP would never see the other signal
	for ((attempt = 0; attempt < 30; attempt++)); do
		component_gone "$1" >/dev/null && break
		sleep 0.1
	done
	signal_component "$1" KILL
	wait_for 5 "end of $1" component_gone "$1"
	rm -f "$(record_of "$1")"
}
