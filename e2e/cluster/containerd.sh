# shellcheck shell=bash

start_containerd() {
	local node=$1 directory
	directory=$(node_dir "$node")
	cat >"$directory/cni/10-bridge.conflist" <<-JSON
		{
		  "cniVersion": "1.0.0",
		  "name": "pods",
		  "plugins": [
		    {
		      "type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
		      "ipam": {
		        "type": "host-local",
		        "ranges": [[{"subnet": "10.244.$(node_number "$node").0/24"}]],
		        "routes": [{"dst": "0.0.0.0/0"}]
		      }
		    },
		    {"type": "portmap", "capabilities": {"portMappings": true}}
		  ]
		}
	JSON
	# restrict_oom_score_adj: root in a container or a sandbox may have no right to lower it.
	cat >"$directory/etc-containerd/config.toml" <<-'TOML'
		version = 3
		disabled_plugins = [
		  "io.containerd.internal.v1.opt",
		  "io.containerd.internal.v1.tracing",
		  "io.containerd.nri.v1.nri",
		  "io.containerd.tracing.processor.v1.otlp",
		]

		[plugins."io.containerd.cri.v1.images"]
		  snapshotter = "overlayfs"
		  [plugins."io.containerd.cri.v1.images".pinned_images]
		    sandbox = "localhost/pause:1"
		  [plugins."io.containerd.cri.v1.images".registry]
		    config_path = "/etc/containerd/certs.d"

		[plugins."io.containerd.cri.v1.runtime"]
		  disable_apparmor = true
		  restrict_oom_score_adj = true
		  [plugins."io.containerd.cri.v1.runtime".cni]
		    bin_dirs = ["/usr/lib/cni"]
		    conf_dir = "/etc/cni/net.d"
		  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
		    runtime_type = "io.containerd.runc.v2"
		    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
		      BinaryName = "/usr/sbin/runc"
	TOML
	trust_registry "$node" docker.io "$HUB"
	# shellcheck disable=SC2046 # words of a command
	spawn "$node/containerd" $(in_node "$node") "$BIN/containerd"
	wait_for 20 "containerd of $node" node_ctr "$node" version
}
