# shellcheck shell=bash
# The images that no registry can give us here, made from programs on this machine, as archives in build/cluster/images.

IMAGES=$DIR/images
# What the hub holds. The nodes have them preloaded, and yet they must be there, too: since 1.35 a kubelet refuses a
# preloaded image as soon as the same image has also been pulled under another name, and then pulls it itself.
# shellcheck disable=SC2034 # for hub.sh
OBJECT_STORE=versity/versitygw:v$VERSITYGW_VERSION
HUB_IMAGES=(busybox:1 registry:3 registry:2.8 "$OBJECT_STORE")

image_archive() { echo "$IMAGES/${1//[:\/]/-}.tar"; } # NAME:TAG

digest_of() { sha256sum "$1" | cut -d' ' -f1; }

# write_image REFERENCE ARCHIVE ROOT CONFIG: a docker archive of one layer, the same bytes for the same files.
write_image() {
	local reference=$1 archive=$2 root=$3 config=$4 work layer id
	work=$(mktemp -d)
	tar -C "$root" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf "$work/layer.tar" .
	layer=$(digest_of "$work/layer.tar")
	printf '{"architecture":"%s","os":"linux","config":%s,"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
		"$(go env GOARCH)" "$config" "$layer" >"$work/config.json"
	id=$(digest_of "$work/config.json")
	mv "$work/layer.tar" "$work/$layer.tar"
	mv "$work/config.json" "$work/$id.json"
	printf '[{"Config":"%s.json","RepoTags":["%s"],"Layers":["%s.tar"]}]' "$id" "$reference" "$layer" >"$work/manifest.json"
	tar -C "$work" --mtime=@0 --owner=0 --group=0 -cf "$archive.new" manifest.json "$id.json" "$layer.tar"
	mv "$archive.new" "$archive"
	rm -r "$work"
}

# A root file system with a shell: busybox under the names of all its applets.
busybox_root() {
	local root=$1 applet
	mkdir -p "$root"/{bin,dev,etc,home,proc,root,sys,tmp,usr/bin,var/lib,var/tmp}
	chmod 1777 "$root/tmp" "$root/var/tmp"
	cp "$(command -v busybox)" "$root/bin/busybox"
	for applet in $(busybox --list); do
		[[ $applet == busybox ]] || ln -s busybox "$root/bin/$applet"
	done
	ln -s ../../bin/env "$root/usr/bin/env"
	printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$root/etc/passwd"
	printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
}

IMAGE_PATH='"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"'

make_pause_image() {
	mkdir "$1/rootfs"
	cp "$BIN/pause" "$1/rootfs/pause"
	write_image localhost/pause:1 "$2" "$1/rootfs" '{"Entrypoint":["/pause"]}'
}

make_coredns_image() {
	mkdir "$1/rootfs"
	cp "$BIN/coredns" "$1/rootfs/coredns"
	write_image localhost/coredns:1 "$2" "$1/rootfs" '{"Entrypoint":["/coredns"]}'
}

make_busybox_image() {
	busybox_root "$1/rootfs"
	write_image docker.io/library/busybox:1 "$2" "$1/rootfs" "{\"Env\":[$IMAGE_PATH],\"Cmd\":[\"sh\"]}"
}

# Entry point, command, environment and configuration of the official image, so that what runs with ours runs with it.
make_registry3_image() {
	busybox_root "$1/rootfs"
	mkdir -p "$1/rootfs/etc/distribution" "$1/rootfs/var/lib/registry"
	cp "$BIN/registry3" "$1/rootfs/bin/registry"
	cp "$SRC/distribution/config.yml" "$1/rootfs/etc/distribution/config.yml"
	write_image docker.io/library/registry:3 "$2" "$1/rootfs" "{
		\"Env\":[$IMAGE_PATH,\"OTEL_TRACES_EXPORTER=none\"],\"ExposedPorts\":{\"5000/tcp\":{}},
		\"Volumes\":{\"/var/lib/registry\":{}},\"Entrypoint\":[\"registry\"],\"Cmd\":[\"serve\",\"/etc/distribution/config.yml\"]}"
}

# The same for version 2, which most registries in the field still are. Debian's binary needs Debian's C library.
make_registry2_image() {
	local binary library
	busybox_root "$1/rootfs"
	binary=$(command -v docker-registry)
	mkdir -p "$1/rootfs/etc/docker/registry" "$1/rootfs/var/lib/registry"
	cp "$binary" "$1/rootfs/bin/registry"
	while read -r library; do
		install -D "$library" "$1/rootfs$library"
	done < <(ldd "$binary" | grep -o '/[^ ]*')
	cat >"$1/rootfs/etc/docker/registry/config.yml" <<-'YAML'
		version: 0.1
		log:
		  fields:
		    service: registry
		storage:
		  cache:
		    blobdescriptor: inmemory
		  filesystem:
		    rootdirectory: /var/lib/registry
		http:
		  addr: :5000
		  headers:
		    X-Content-Type-Options: [nosniff]
		health:
		  storagedriver:
		    enabled: true
		    interval: 10s
		    threshold: 3
	YAML
	cat >"$1/rootfs/entrypoint.sh" <<-'SH'
		#!/bin/sh
		set -e
		case "$1" in
		    *.yaml|*.yml) set -- registry serve "$@" ;;
		    serve|garbage-collect|help|-*) set -- registry "$@" ;;
		esac
		exec "$@"
	SH
	chmod 755 "$1/rootfs/entrypoint.sh"
	write_image docker.io/library/registry:2.8 "$2" "$1/rootfs" "{
		\"Env\":[$IMAGE_PATH],\"ExposedPorts\":{\"5000/tcp\":{}},\"Volumes\":{\"/var/lib/registry\":{}},
		\"Entrypoint\":[\"/entrypoint.sh\"],\"Cmd\":[\"/etc/docker/registry/config.yml\"]}"
}

# An object store. As the official image, it has a shell, and the program where that has it.
make_versitygw_image() {
	busybox_root "$1/rootfs"
	install -D "$BIN/versitygw" "$1/rootfs/usr/local/bin/versitygw"
	write_image "docker.io/$OBJECT_STORE" "$2" "$1/rootfs" "{\"Env\":[$IMAGE_PATH],\"Entrypoint\":[\"versitygw\"]}"
}

# make_image NAME:TAG FUNCTION INPUT...: unless the archive is newer than all that goes into it.
make_image() {
	local archive work input
	archive=$(image_archive "$1")
	for input in "$HERE/images.sh" "${@:3}"; do
		if [[ ! -f $archive || $input -nt $archive ]]; then
			work=$(mktemp -d)
			"$2" "$work" "$archive"
			rm -r "$work"
			return
		fi
	done
}

make_images() {
	mkdir -p "$IMAGES"
	make_image pause:1 make_pause_image "$BIN/pause"
	make_image coredns:1 make_coredns_image "$BIN/coredns"
	make_image busybox:1 make_busybox_image "$(command -v busybox)"
	make_image registry:3 make_registry3_image "$BIN/registry3" "$SRC/distribution/config.yml" "$(command -v busybox)"
	make_image "$OBJECT_STORE" make_versitygw_image "$BIN/versitygw" "$(command -v busybox)"
	make_image registry:2.8 make_registry2_image "$(command -v docker-registry)" "$(command -v busybox)"
}
