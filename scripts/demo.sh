#!/usr/bin/env bash
# The main job with local processes, without a cluster: a registry and a surrogate on loopback, and the client against them.
#
# Ports are free ones from 5055 and 10255 on, unless REPOSURE_DEMO_REGISTRY_PORT and REPOSURE_DEMO_SURROGATE_PORT name some.
set -euo pipefail
cd "$(dirname "$0")/.."

profile=demo
bin=${CARGO_TARGET_DIR:-target}/${CARGO_BUILD_TARGET:+$CARGO_BUILD_TARGET/}$profile
folder=build/demo
distribution=build/bin/registry3
reposure=$bin/reposure

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
fail() { printf 'demo: %s\n' "$*" >&2; exit 1; }

# Shows a command of the user's, and runs it.
run() {
  printf '$ reposure %s\n' "$*"
  "$reposure" "$@"
}

processes=()
cleanup() {
  trap - EXIT INT TERM
  [ ${#processes[@]} -eq 0 ] || kill "${processes[@]}" 2>/dev/null || true
  wait 2>/dev/null || true
}
trap cleanup EXIT
trap 'cleanup; exit 130' INT TERM

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Prints the wished port, or else one from another one on that is free as the one after it is.
free_port() { # WISH FIRST VARIABLE
  local port=${1:-$2}
  while answers "$port" || answers $((port + 1)); do
    [ -z "$1" ] || fail "port $port or the one after it is in use: set $3 to another one"
    port=$((port + 10))
    [ "$port" -lt $(($2 + 1000)) ] || fail "there is no free port from $2 on: set $3"
  done
  echo "$port"
}

# Waits until a process of ours listens.
await() { # PROCESS PORT LOG
  for _ in $(seq 200); do
    kill -0 "$1" 2>/dev/null || { tail -n 5 "$3" >&2; fail "it ended by itself; above is what it said, in $3"; }
    answers "$2" && return
    sleep 0.1
  done
  fail "nothing listens at port $2 after 20 s: see $3"
}

build() {
  say "Building the client, the surrogate and a small registry (some minutes the first time)"
  cargo build --locked --profile "$profile" -p reposure-cli -p reposure-surrogate -p reposure-testing \
    --bin reposure --bin reposure-surrogate --bin reposure-memory-registry
}

start_registry() {
  registry_port=$(free_port "${REPOSURE_DEMO_REGISTRY_PORT:-}" 5055 REPOSURE_DEMO_REGISTRY_PORT)
  if [ -x "$distribution" ]; then
    say "Registry: CNCF Distribution at 127.0.0.1:$registry_port"
    printf '%s\n' 'version: 0.1' "storage: {filesystem: {rootdirectory: $folder/registry}, delete: {enabled: true}}" \
      "http: {addr: '127.0.0.1:$registry_port', relativeurls: true}" > "$folder/registry.yml"
    OTEL_TRACES_EXPORTER=none "$distribution" serve "$folder/registry.yml" > "$folder/registry.log" 2>&1 &
  else
    say "Registry: the one in memory of the tests at 127.0.0.1:$registry_port (after make cluster-build: CNCF Distribution)"
    "$bin/reposure-memory-registry" --listen "127.0.0.1:$registry_port" > "$folder/registry.log" 2>&1 &
  fi
  processes+=($!)
  await $! "$registry_port" "$folder/registry.log"
}

start_surrogate() {
  surrogate_port=$(free_port "${REPOSURE_DEMO_SURROGATE_PORT:-}" 10255 REPOSURE_DEMO_SURROGATE_PORT)
  say "Surrogate beside it, at 127.0.0.1:$surrogate_port"
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
  await $! "$surrogate_port" "$folder/surrogate.log"
  export REPOSURE_SURROGATE=127.0.0.1:$surrogate_port
}

make_sources() {
  say "An image archive, as docker save writes it, and a text file"
  local saved=$folder/saved diff_id
  mkdir -p "$saved"
  tar -cf "$saved/layer.tar" -C "$bin" reposure-surrogate
  diff_id=$(sha256sum < "$saved/layer.tar" | cut -d ' ' -f 1)
  printf '{"os": "linux", "architecture": "amd64", "config": {"Entrypoint": ["/reposure-surrogate"]}, "rootfs": %s}' \
    "{\"type\": \"layers\", \"diff_ids\": [\"sha256:$diff_id\"]}" > "$saved/config.json"
  echo '[{"Config": "config.json", "RepoTags": ["demo/app:v1"], "Layers": ["layer.tar"]}]' > "$saved/manifest.json"
  tar -cf "$folder/app.tar" -C "$saved" manifest.json config.json layer.tar
  echo 'Hello from outside!' > "$folder/hello.txt"
  ls -l "$folder/app.tar" "$folder/hello.txt"
}

push_and_pull() {
  say "Push"
  run image push demo myrepo/app:v1 "$folder/app.tar" | tee "$folder/digest"
  run image push demo myrepo/hello "$folder/hello.txt"
  say "List"
  run image list demo
  say "Pull"
  run image pull demo myrepo/app:v1 "$folder/copy.tar"
  run image pull demo myrepo/hello --unpack | tee "$folder/unpacked"
  say "Compare"
  cmp <(tail -n 1 "$folder/unpacked") "$folder/hello.txt" || fail "the text file came back as another one"
  "$reposure" image push demo myrepo/copy:v1 "$folder/copy.tar" > "$folder/again"
  cmp <(tail -n 1 "$folder/digest") "$folder/again" || fail "the image came back as another one"
  echo "the text file is the same, and the pulled archive is the same image: $(cat "$folder/again")"
  say "Delete"
  run image delete demo --all
  [ -z "$("$reposure" image list demo)" ] || fail "something is left in the registry"
}

build
rm -rf "$folder"
mkdir -p "$folder/registry"
start_registry
start_surrogate
make_sources
push_and_pull
say "That was all of it. With a cluster: see README.md"
