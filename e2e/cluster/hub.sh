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

hub_push() { # ARCHIVE NAME:TAG
	local output
	output=$(crane push --insecure "$1" "$HUB/$(hub_path "$2")" 2>&1) || die "$1 to the hub: $output"
}

# The names in a docker archive that mean Docker Hub: docker.io/..., and those that begin with no host at all.
hub_names_in() {
	local name host
	tar -xOf "$1" manifest.json ./manifest.json 2>/dev/null |
		grep -o '"RepoTags": *\[[^]]*\]' | sed 's/^[^[]*//' | grep -o '[^]["[:space:],]\+' |
		while read -r name; do
			host=${name%%/*}
			if [[ $host == docker.io || $name != */* || $host != *[.:]* && $host != localhost ]]; then echo "$name"; fi
		done || true # not a docker archive, or one without names
}

# hub_push_named ARCHIVE: each image of a docker archive under its own name. Crane takes archives of one image only.
hub_push_named() {
	local name output
	for name in $(hub_names_in "$1"); do
		output=$(skopeo copy -q --insecure-policy --dest-tls-verify=false "docker-archive:$1:$name" "docker://$HUB/$(hub_path "$name")" 2>&1) ||
			die "$name to the hub: $output"
	done
}

fill_hub() {
	local image
	for image in "${HUB_IMAGES[@]}"; do hub_push "$(image_archive "$image")" "$image"; done
}
