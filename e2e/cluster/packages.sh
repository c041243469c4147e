#!/usr/bin/env bash
# Installs what the cluster takes from the distribution (Debian or Ubuntu) and checks that there is a Go to build the rest.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# PACKAGE FILE-OR-COMMAND that it brings. runc from the distribution, since its Go module alone lacks seccomp.
PACKAGES=(
	"buildah buildah"
	"busybox-static /bin/busybox"
	"curl curl"
	"ca-certificates /etc/ssl/certs/ca-certificates.crt"
	"conntrack conntrack"
	"containernetworking-plugins /usr/lib/cni/bridge"
	"docker-registry docker-registry"
	"docker.io dockerd"
	"etcd-client etcdctl"
	"etcd-server etcd"
	"iproute2 ip"
	"iptables iptables"
	"isal igzip"
	"openssl openssl"
	"pigz unpigz"
	"podman podman"
	"runc runc"
	"skopeo skopeo"
	"zstd zstd"
)
SERVICES_NOT_WANTED=(containerd docker docker.socket docker-registry etcd podman.socket podman podman-auto-update.timer podman-restart)

present() { if [[ $1 == /* ]]; then [[ -e $1 ]]; else command -v "$1" >/dev/null; fi; }

missing_packages() {
	local entry
	for entry in "${PACKAGES[@]}"; do
		present "${entry#* }" || echo "${entry% *}"
	done
}

# Without a terminal, and in CI, there is nobody to ask.
agreed() {
	local answer
	[[ ${CI:-} != true && -t 0 && -t 2 ]] || return 0
	read -r -p "cluster: install them with apt-get? [Y/n] " answer
	[[ ${answer:-y} == [yY]* ]]
}

# Debian starts the daemons of a package when it installs it, and at every boot. This machine is no server of etcd.
POLICY=/usr/sbin/policy-rc.d
install_packages() {
	local policy_is_ours='' service
	if [[ ! -e $POLICY ]]; then
		printf '#!/bin/sh\nexit 101\n' >"$POLICY"
		chmod 755 "$POLICY"
		policy_is_ours=yes
		trap 'rm -f "$POLICY"' EXIT
	fi
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq
	apt-get install -y -qq --no-install-recommends "$@" >/dev/null
	if [[ -n $policy_is_ours ]]; then
		rm -f "$POLICY"
		trap - EXIT
	fi
	if command -v systemctl >/dev/null; then
		for service in "${SERVICES_NOT_WANTED[@]}"; do systemctl disable -q "$service" 2>/dev/null || true; done
	fi
}

check_packages() {
	local missing
	mapfile -t missing < <(missing_packages)
	((${#missing[@]})) || return 0
	say "missing packages: ${missing[*]}"
	command -v apt-get >/dev/null || die "no apt-get here: install what these Debian packages hold, and run this again"
	agreed || die "not installed; 'make test-unit' needs none of them"
	install_packages "${missing[@]}"
	mapfile -t missing < <(missing_packages)
	((${#missing[@]} == 0)) || die "apt-get installed the packages, but this is still missing: ${missing[*]}"
}

version_at_least() { printf '%s\n' "$1" "$2" | sort -C -V; } # WANTED FOUND

# Go isn't installed here: distributions have one that is too old, and it would have to come from its own site.
check_go() {
	local found
	command -v go >/dev/null || die "no Go here: install Go $GO_VERSION_NEEDED or newer"
	found=$(cd / && go env GOVERSION) && found=${found#go}
	version_at_least "$GO_VERSION_NEEDED" "$found" && return
	# An older one fetches a newer one as a module, if it is allowed to.
	version_at_least 1.21 "$found" && [[ $(cd / && go env GOTOOLCHAIN) != local ]] && return
	die "Go $found is too old: install Go $GO_VERSION_NEEDED or newer"
}

require_linux_and_root
check_packages
check_go
