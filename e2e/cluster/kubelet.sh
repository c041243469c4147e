# shellcheck shell=bash

start_kubelet() {
	local node=$1 directory
	directory=$(node_dir "$node")
	# cgroupRoot: see cgroups.sh. failCgroupV1: many machines still have version 1. The thresholds are low, since the
	# nodes share the disk of a developer. resolvConf: pods must not know the host's name servers.
	cat >"$directory/kubelet.yaml" <<-YAML
		apiVersion: kubelet.config.k8s.io/v1beta1
		kind: KubeletConfiguration
		address: $(node_ip "$(node_number "$node")")
		authentication:
		  anonymous: {enabled: false}
		  webhook: {enabled: true}
		  x509: {clientCAFile: $PKI/ca.crt}
		authorization: {mode: Webhook}
		tlsCertFile: $PKI/$node.crt
		tlsPrivateKeyFile: $PKI/$node.key
		cgroupDriver: cgroupfs
		cgroupRoot: /$(cgroup_name "$node")
		failCgroupV1: false
		failSwapOn: false
		containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
		clusterDNS: [$DNS_IP]
		clusterDomain: cluster.local
		resolvConf: ""
		evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}
		imageGCHighThresholdPercent: 100
		healthzPort: 0
		readOnlyPort: 0
		serializeImagePulls: false
	YAML
	# shellcheck disable=SC2046 # words of a command
	spawn "$node/kubelet" $(in_node "$node") "$BIN/kubelet" \
		--config="$directory/kubelet.yaml" --kubeconfig="$PKI/$node.kubeconfig" \
		--hostname-override="$node" --node-ip="$(node_ip "$(node_number "$node")")" --v=2
}
