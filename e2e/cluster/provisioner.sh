# shellcheck shell=bash
# Volumes for claims, of the default StorageClass: see tools/provisioner and storage-class.yaml.

start_provisioner() {
	# shellcheck disable=SC2046 # words of a command
	spawn provisioner $(in_control) "$BIN/provisioner" \
		-kubeconfig "$PKI/provisioner.kubeconfig" -nodes "$DIR/nodes" -name reposure.test/directory
}
