#!/usr/bin/env bash
# Builds everything that the cluster and the tests run and that no package brings, from Go modules into build/bin.
# Each tool has a module of its own below build/src, so that their dependencies never meet. What is there in the right
# version is left alone: a second run takes a second. With the argument registry3, helm or cert-manager, that alone.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

export CGO_ENABLED=0 GOWORK=off GOFLAGS=-buildvcs=false
# The compiler's processes are short: they collect garbage only where memory is short. With the flag below a sixth is saved.
export GOGC=off GOMEMLIMIT=${GOMEMLIMIT:-3GiB}
# -s -w leaves debug information out of the programs, so it need not be made.
COMPILER_FLAGS=all=-dwarf=false

# up_to_date BINARY MODULE VERSION: a Go binary knows what it was built from.
up_to_date() {
	[[ -x $BIN/$1 ]] && go version -m "$BIN/$1" | grep -P "^\t(mod|dep)\t\Q$2\E\tv\Q$3\E\t" >/dev/null
}

# write_module TOOL MODULE VERSION [LINE...]: a module that does nothing but require that one.
write_module() {
	local directory=$SRC/$1
	mkdir -p "$directory"
	if grep -qsF "require $2 v$3" "$directory/go.mod"; then return; fi
	rm -f "$directory/go.sum"
	printf 'module local\n\ngo %s.0\n\nrequire %s v%s\n' "$GO_VERSION_NEEDED" "$2" "$3" >"$directory/go.mod"
	if (($# > 3)); then printf '%s\n' "${@:4}" >>"$directory/go.mod"; fi
}

# compile TOOL OUT PACKAGE...: -mod=mod lets go fill in go.sum by itself, and only for what is really compiled
# ("go mod tidy" would fetch the dependencies of everybody's tests, too).
compile() {
	local directory=$SRC/$1 out=$2
	shift 2
	say "building ${*##*/} (${directory##*/})"
	(cd "$directory" && go build -mod=mod -trimpath -gcflags "$COMPILER_FLAGS" -ldflags "-s -w ${LDFLAGS:-}" -o "$out" "$@")
}

# build_tool TOOL MODULE VERSION BINARY=PACKAGE...
build_tool() {
	local tool=$1 module=$2 version=$3 pair
	shift 3
	write_module "$tool" "$module" "$version"
	for pair in "$@"; do
		up_to_date "${pair%%=*}" "$module" "$version" ||
			compile "$tool" "$BIN/${pair%%=*}" "$module${pair#*=}"
	done
}

# Kubernetes' own go.mod replaces its staging modules by folders. Outside of its repository they are modules of their
# own: v0.X.Y belongs to v1.X.Y.
kubernetes_replacements() {
	local directory
	directory=$(cd / && go mod download -json "k8s.io/kubernetes@v$KUBERNETES_VERSION" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
	sed -n "s#^\s*\(k8s.io/[a-z-]*\) => ./staging.*#replace \1 => \1 v0.${KUBERNETES_VERSION#1.}#p" "$directory/go.mod"
}

build_kubernetes() {
	local module=k8s.io/kubernetes binary minor=${KUBERNETES_VERSION#1.} packages=()
	local -a replacements
	for binary in kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl; do
		up_to_date "$binary" "$module" "$KUBERNETES_VERSION" || packages+=("$module/cmd/$binary")
	done
	((${#packages[@]})) || return 0
	mapfile -t replacements < <(kubernetes_replacements)
	write_module kubernetes "$module" "$KUBERNETES_VERSION" "${replacements[@]}"
	local version=k8s.io/component-base/version client=k8s.io/client-go/pkg/version
	# All in one go, so that the linker of one works beside the compiler of the next.
	LDFLAGS="-X $version.gitVersion=v$KUBERNETES_VERSION -X $version.gitMajor=1 -X $version.gitMinor=${minor%%.*} \
		-X $client.gitVersion=v$KUBERNETES_VERSION -X $client.gitMajor=1 -X $client.gitMinor=${minor%%.*}" \
		compile kubernetes "$BIN/" "${packages[@]}"
}

# Our own small programs: go itself knows whether they are up to date.
build_our_tools() {
	local newest
	newest=$(find "$HERE/tools" -type f -newer "$BIN/coredns" 2>/dev/null || echo none)
	if [[ -z $newest ]] && go version -m "$BIN/coredns" | grep -F "$(go list -C "$HERE/tools" -m)" >/dev/null; then return; fi
	say "building coredns, pause and provisioner (tools)"
	(cd "$HERE/tools" && go build -trimpath -gcflags "$COMPILER_FLAGS" -ldflags '-s -w' -o "$BIN/" ./...)
	touch "$BIN/coredns"
}

# build_main TOOL MODULE VERSION BINARY: parts of the module, by a main package of ours in the folder TOOL.
build_main() {
	write_module "$1" "$2" "$3"
	if cmp -s "$HERE/$1/main.go" "$SRC/$1/main.go" && up_to_date "$4" "$2" "$3"; then return; fi
	install -m 644 "$HERE/$1/main.go" "$SRC/$1/main.go"
	compile "$1" "$BIN/$4" local
}

# module_directory TOOL MODULE: where the module that the tool requires is.
module_directory() {
	(cd "$SRC/$1" && go list -mod=mod -m -f '{{.Dir}}' "$2")
}

build_distribution() {
	build_main distribution github.com/distribution/distribution/v3 "$DISTRIBUTION_VERSION" registry3
}

# The registry's image holds the configuration that the official one holds, which comes with its module.
copy_distribution_config() {
	local directory
	[[ ! -f $SRC/distribution/config.yml || $SRC/distribution/go.mod -nt $SRC/distribution/config.yml ]] || return 0
	directory=$(module_directory distribution github.com/distribution/distribution/v3)
	install -m 644 "$directory/cmd/registry/config-dev.yml" "$SRC/distribution/config.yml"
}

# With the definitions of what it serves beside it, which come with its module.
build_cert_manager() {
	local module=github.com/cert-manager/cert-manager definitions=$BIN/cert-manager.yaml directory
	build_main cert-manager "$module" "$CERT_MANAGER_VERSION" cert-manager
	[[ ! -f $definitions || $SRC/cert-manager/go.mod -nt $definitions ]] || return 0
	directory=$(module_directory cert-manager "$module")
	cat "$directory"/deploy/crds/cert-manager.io_*.yaml >"$definitions"
}

build_helm() {
	build_tool helm helm.sh/helm/v3 "$HELM_VERSION" helm=/cmd/helm
}

build_kwok() {
	build_tool kwok sigs.k8s.io/kwok "$KWOK_VERSION" kwok=/cmd/kwok
}

build_others() {
	build_our_tools
	build_tool containerd github.com/containerd/containerd/v2 "$CONTAINERD_VERSION" \
		containerd=/cmd/containerd containerd-shim-runc-v2=/cmd/containerd-shim-runc-v2 ctr=/cmd/ctr
	build_distribution
	copy_distribution_config
	build_cert_manager
	build_tool crane github.com/google/go-containerregistry "$CRANE_VERSION" crane=/cmd/crane
	build_tool oras oras.land/oras "$ORAS_VERSION" oras=/cmd/oras
	build_tool regctl github.com/regclient/regclient "$REGCTL_VERSION" regctl=/cmd/regctl
	build_helm
	build_kwok
	build_tool versitygw github.com/versity/versitygw "$VERSITYGW_VERSION" versitygw=/cmd/versitygw
}

mkdir -p "$BIN" "$SRC"
if [[ ${1:-} == registry3 ]]; then
	build_distribution
	exit
fi
if [[ ${1:-} == helm ]]; then
	build_helm
	exit
fi
if [[ ${1:-} == cert-manager ]]; then
	build_cert_manager
	exit
fi
# Side by side, since linking and downloading leave processors idle. Both end before this does, whatever becomes of one.
failed=0
(build_kubernetes) &
kubernetes=$!
(build_others) &
others=$!
wait "$kubernetes" || failed=1
wait "$others" || failed=1
exit "$failed"
