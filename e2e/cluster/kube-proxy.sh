# shellcheck shell=bash
# PROXY_MODE: iptables (default) or nftables. Everything is masqueraded, so that answers come back the same way even
# when a pod calls a service whose pod is itself or its neighbour on the node's bridge.

start_kube-proxy() {
	local node=$1 directory
	directory=$(node_dir "$node")
	cat >"$directory/kube-proxy.yaml" <<-YAML
		apiVersion: kubeproxy.config.k8s.io/v1alpha1
		kind: KubeProxyConfiguration
		mode: $(cat "$STATE/proxy-mode")
		clientConnection: {kubeconfig: $PKI/kube-proxy.kubeconfig}
		clusterCIDR: $PODS
		hostnameOverride: $node
		iptables: {masqueradeAll: true}
		nftables: {masqueradeAll: true}
		conntrack: {maxPerCore: 0, min: 0} # a setting of the whole machine: hands off
	YAML
	# shellcheck disable=SC2046 # words of a command
	spawn "$node/kube-proxy" $(in_node "$node") "$BIN/kube-proxy" --config="$directory/kube-proxy.yaml"
}
