# shellcheck shell=bash
# Kernel settings of the whole machine that a kubelet changes (a panic at every oops, for one): kept, to be put back.

SYSCTLS=(
	kernel/keys/root_maxbytes kernel/keys/root_maxkeys
	kernel/panic kernel/panic_on_oops
	vm/overcommit_memory vm/panic_on_oom
)

save_sysctls() {
	local name
	for name in "${SYSCTLS[@]}"; do echo "$name $(cat "/proc/sys/$name")"; done >"$STATE/sysctls"
}

restore_sysctls() {
	local name value
	[[ -f $STATE/sysctls ]] || return 0
	while read -r name value; do echo "$value" >"/proc/sys/$name"; done <"$STATE/sysctls"
}
