# shellcheck shell=bash
# One cgroup per node: two kubelets with one cgroup root kill each other's pods. Works with version 1 and 2 of cgroups.

CGROUPS=/sys/fs/cgroup

cgroup_name() { echo "$PREFIX-$1"; }
cgroups_unified() { [[ -f $CGROUPS/cgroup.controllers ]]; }

# The directories of a node's cgroup: one in version 2, one per hierarchy in version 1.
cgroup_directories() {
	local hierarchy
	if cgroups_unified; then
		echo "$CGROUPS/$(cgroup_name "$1")"
		return
	fi
	for hierarchy in "$CGROUPS"/*/; do
		if [[ -f $hierarchy/cgroup.procs ]]; then echo "$hierarchy$(cgroup_name "$1")"; fi
	done
}

make_cgroups() {
	local directory file controller
	if cgroups_unified; then
		while read -rd' ' controller; do
			echo "+$controller" >"$CGROUPS/cgroup.subtree_control" 2>/dev/null || true
		done <<<"$(cat "$CGROUPS/cgroup.controllers") "
	fi
	for directory in $(cgroup_directories "$1"); do mkdir -p "$directory"; done
	cgroups_unified && return
	for file in cpuset.cpus cpuset.mems; do # empty in a new one, which then takes no process
		if [[ -f $CGROUPS/cpuset/$file ]]; then
			cat "$CGROUPS/cpuset/$file" >"$CGROUPS/cpuset/$(cgroup_name "$1")/$file"
		fi
	done
}

cgroup_processes() {
	local directory
	for directory in $(cgroup_directories "$1"); do
		[[ ! -d $directory ]] || find "$directory" -name cgroup.procs -exec cat {} + 2>/dev/null || true
	done | sort -u
}

cgroups_removed() {
	local directory
	for directory in $(cgroup_directories "$1"); do
		[[ ! -d $directory ]] || find "$directory" -depth -type d -exec rmdir {} + 2>/dev/null || return 1
	done
}

# The last processes take a moment to go.
remove_cgroups() { wait_for 10 "end of the cgroups of $1" cgroups_removed "$1"; }
