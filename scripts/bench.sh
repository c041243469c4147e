#!/usr/bin/env bash
# Prints the table of Reposure and its peers on the local cluster: scripts/bench.sh [--runs N] [--layers MIB,…]
set -euo pipefail
cd "$(dirname "$0")/.."

make cluster
e2e/cluster/cluster.sh load build/reposure-image.tar
cargo run --release --locked -q -p reposure-bench -- "$@"
