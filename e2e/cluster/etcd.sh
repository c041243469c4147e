# shellcheck shell=bash
# Not safe against a power cut, and so much faster: the data lives no longer than the cluster.

start_etcd() {
	# shellcheck disable=SC2046 # words of a command
	spawn etcd $(in_control) etcd --data-dir "$DIR/etcd" --unsafe-no-fsync \
		--listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
		--listen-peer-urls http://127.0.0.1:2380
}
