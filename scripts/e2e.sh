#!/usr/bin/env bash
# Runs the end-to-end tests: on the cluster of REPOSURE_E2E_KUBECONFIG if it is set, else on the local one, which is started
# for them and, if it was not up before, taken down after them.
#   scripts/e2e.sh [OPTION-OR-FILTER…]    of the test program; without, all tests
set -euo pipefail
cd "$(dirname "$0")/.."

# Each test has a namespace of its own and mostly waits for pods, so some run side by side.
threads=${REPOSURE_E2E_THREADS:-3}

start_local_cluster() {
  e2e/cluster/cluster.sh status >/dev/null 2>&1 || trap 'make cluster-down' EXIT
  make cluster
  e2e/cluster/cluster.sh load build/reposure-image.tar
}

[ -n "${REPOSURE_E2E_KUBECONFIG:-}" ] || start_local_cluster
tests() { cargo test --release --locked -p reposure-e2e -- "$@"; }

if [ $# -gt 0 ]; then
  tests --test-threads="$threads" "$@"
else
  tests --test-threads="$threads" --skip disruptive::
  # These disturb all others, and stop what only the local cluster can start again.
  [ -n "${REPOSURE_E2E_KUBECONFIG:-}" ] || tests --test-threads=1 disruptive::
fi
