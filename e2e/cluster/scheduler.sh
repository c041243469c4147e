# shellcheck shell=bash

start_scheduler() {
	# shellcheck disable=SC2046 # words of a command
	spawn scheduler $(in_control) "$BIN/kube-scheduler" --kubeconfig="$PKI/scheduler.kubeconfig" --leader-elect=false
}
