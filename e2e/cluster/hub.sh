# shellcheck shell=bash
# The stand-in for docker.io: a registry on the host's end of the wire. Push there what a test wants to find on Docker Hub.

start_hub() {
	mkdir -p "$DIR/hub"
	cat >"$DIR/hub.yml" <<-YAML
		version: 0.1
		log:
		  accesslog:
		    disabled: true
		storage:
		  filesystem:
		    rootdirectory: $DIR/hub
		  delete:
		    enabled: true
		http:
		  addr: $HUB
	YAML
	spawn hub env OTEL_TRACES_EXPORTER=none "$BIN/registry3" serve "$DIR/hub.yml"
	wait_for 10 "the registry at $HUB" port_open "$HUB"
}

# Docker Hub's full path of a name: busybox:1, docker.io/busybox:1 and library/busybox:1 are one image.
hub_path() {
	local name=${1#docker.io/}
	if [[ $name != */* ]]; then name=library/$name; fi
	echo "$name"
}

hub_push() { crane push --insecure "$1" "$HUB/$(hub_path "$2")" >/dev/null 2>"$DIR/log/hub-push.log" || die "$(tail -1 "$DIR/log/hub-push.log")"; }

fill_hub() {
	local image
	for image in "${HUB_IMAGES[@]}"; do hub_push "$(image_archive "$image")" "$image"; done
}
