# shellcheck shell=bash

start_controller-manager() {
	# shellcheck disable=SC2046 # words of a command
	spawn controller-manager $(in_control) "$BIN/kube-controller-manager" \
		--kubeconfig="$PKI/controller-manager.kubeconfig" \
		--service-account-private-key-file="$PKI/service-account.key" \
		--root-ca-file="$PKI/ca.crt" \
		--use-service-account-credentials=true \
		--leader-elect=false
}
