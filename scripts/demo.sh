#!/usr/bin/env bash
# The main job with local processes, without a cluster: a registry and a surrogate on loopback, and the client against them.
set -euo pipefail
cd "$(dirname "$0")/.."

profile=demo
bin=target/${CARGO_BUILD_TARGET:+$CARGO_BUILD_TARGET/}$profile
folder=build/demo
registry_port=${REPOSURE_DEMO_REGISTRY_PORT:-5055}
surrogate_port=${REPOSURE_DEMO_SURROGATE_PORT:-10255}
distribution=build/bin/registry3

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
run() { printf '$ %s\n' "$*"; "$@"; }

processes=()
cleanup() {
  for process in "${processes[@]}"; do kill "$process" 2>/dev/null || true; done
  wait 2>/dev/null || true
}
trap cleanup EXIT

build() {
  say "Building the client and the surrogate"
  cargo build --locked --profile "$profile" -p reposure-cli -p reposure-surrogate -p reposure-testing --bins
  cargo build --locked --profile "$profile" -p reposure-oci --example pack
}

start_registry() {
  mkdir -p "$folder/registry"
  if [ -x "$distribution" ]; then
    say "Registry: CNCF Distribution at 127.0.0.1:$registry_port"
    printf '%s\n' 'version: 0.1' "storage: {filesystem: {rootdirectory: $folder/registry}, delete: {enabled: true}}" \
      "http: {addr: '127.0.0.1:$registry_port', relativeurls: true}" > "$folder/registry.yml"
    OTEL_TRACES_EXPORTER=none "$distribution" serve "$folder/registry.yml" > "$folder/registry.log" 2>&1 &
  else
    say "Registry: the one in memory of the tests at 127.0.0.1:$registry_port (make cluster-build makes CNCF Distribution)"
    "$bin/reposure-memory-registry" --listen "127.0.0.1:$registry_port" > "$folder/registry.log" 2>&1 &
  fi
  processes+=($!)
  await "http://127.0.0.1:$registry_port/v2/"
}

start_surrogate() {
  say "Surrogate at 127.0.0.1:$surrogate_port"
  cat > "$folder/surrogate.json" <<JSON
{
  "namespace": "demo", "registry": "demo",
  "listen": "127.0.0.1:$surrogate_port", "statusListen": "127.0.0.1:$((surrogate_port + 1))",
  "upstream": {"host": "127.0.0.1:$registry_port", "scheme": "http"},
  "access": {"mode": "loopback"}
}
JSON
  "$bin/reposure-surrogate" serve --config "$folder/surrogate.json" > "$folder/surrogate.log" 2>&1 &
  processes+=($!)
  await "http://127.0.0.1:$((surrogate_port + 1))/alive"
  export REPOSURE_SURROGATE=127.0.0.1:$surrogate_port
}

await() { # URL
  for _ in $(seq 100); do
    curl -fsS -o /dev/null "$1" 2>/dev/null && return
    sleep 0.1
  done
  echo "nothing answers at $1; see $folder" >&2
  exit 1
}

make_sources() {
  say "An image archive, as docker save would write it, and a text file"
  run "$bin/examples/pack" "$folder/app.tar" docker.io/demo/app:v1 --uncompressed --entrypoint /reposure-surrogate \
    "$bin/reposure-surrogate:/reposure-surrogate"
  echo 'Hello from outside!' > "$folder/hello.txt"
}

push_and_pull() {
  reposure=$bin/reposure
  say "Push"
  digest=$("$reposure" image push demo myrepo/app:v1 "$folder/app.tar")
  echo "myrepo/app:v1 is $digest"
  run "$reposure" image push demo myrepo/hello "$folder/hello.txt"
  say "List"
  run "$reposure" image list demo
  say "Pull, and compare"
  run "$reposure" image pull demo myrepo/app:v1 "$folder/copy.tar"
  again=$("$reposure" image push demo myrepo/copy:v1 "$folder/copy.tar")
  [ "$digest" = "$again" ] || { echo "the copy is another image: $again" >&2; exit 1; }
  echo "the copy has the same digest: $again"
  "$reposure" image pull demo myrepo/hello --unpack | cmp - "$folder/hello.txt" && echo "the text file is the same"
  say "Delete"
  run "$reposure" image delete demo --all
  [ -z "$("$reposure" image list demo)" ] || { echo "something is left" >&2; exit 1; }
}

rm -rf "$folder" && mkdir -p "$folder"
build
start_registry
start_surrogate
make_sources
push_and_pull
say "That was all of it. With a cluster: see README.md"
