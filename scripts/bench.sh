#!/usr/bin/env bash
# Prints the tables of Reposure and its peers.
#   scripts/bench.sh [cluster] [--runs N] [--layers MIB,…] [--https]    on the local cluster
#   scripts/bench.sh wan [--runs N] [--round-trip MS] …        the same behind a relay, over a long way
#   scripts/bench.sh archives [--runs N] [--size MIB] …        archives to a registry on this machine, without a cluster
#   scripts/bench.sh gate [--runs N] [--size MIB]              what TLS and passwords cost a registry on this machine
#   scripts/bench.sh lists [--runs N] …                        the lists of such a registry
#   scripts/bench.sh operator [--registries N] [--quiet S]     an operator with many registries, on faked nodes of the local cluster
set -euo pipefail
cd "$(dirname "$0")/.."

what=cluster
case "${1:-}" in cluster|wan|archives|gate|lists|operator) what=$1; shift ;; esac
if [ "$what" = cluster ] || [ "$what" = wan ]; then
  make cluster
  e2e/cluster/cluster.sh load build/reposure-image.tar
fi
if [ "$what" = operator ]; then
  make cluster build
fi
if [ "$what" = archives ]; then
  cargo build --release --locked -q -p reposure-oci --example push_archive
fi
cargo run --release --locked -q -p reposure-bench -- "$what" "$@"
