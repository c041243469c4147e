# shellcheck shell=bash
# Keys, certificates and kubeconfigs, made anew at every "up".

PKI=$DIR/pki

# certificate NAME COMMON-NAME [ORGANIZATION [ALTERNATIVE-NAMES]]
certificate() {
	local name=$1 subject=/CN=$2 usage=extendedKeyUsage=clientAuth,serverAuth
	if [[ -n ${3:-} ]]; then subject=/O=$3$subject; fi
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "$subject" \
		-keyout "$PKI/$name.key" -out "$PKI/$name.csr" 2>/dev/null
	openssl x509 -req -in "$PKI/$name.csr" -CA "$PKI/ca.crt" -CAkey "$PKI/ca.key" -CAcreateserial -days 365 \
		-extfile <(printf '%s\n' "$usage" "${4:+subjectAltName=$4}") -out "$PKI/$name.crt" 2>/dev/null
	rm "$PKI/$name.csr"
}

# kubeconfig NAME FILE: with everything inside, so that it can be copied elsewhere.
kubeconfig() {
	cat >"$2" <<-YAML
		apiVersion: v1
		kind: Config
		clusters:
		- name: reposure
		  cluster:
		    server: https://$API_IP:$API_PORT
		    certificate-authority-data: $(base64 -w0 "$PKI/ca.crt")
		users:
		- name: $1
		  user:
		    client-certificate-data: $(base64 -w0 "$PKI/$1.crt")
		    client-key-data: $(base64 -w0 "$PKI/$1.key")
		contexts:
		- name: reposure
		  context: {cluster: reposure, user: $1}
		current-context: reposure
	YAML
	chmod 600 "$2"
}

# 127.0.0.1 is among the API server's names for the sake of tests that put a relay between client and server.
make_pki() {
	local node_count=$1 number node name
	rm -rf "$PKI"
	mkdir -p "$PKI"
	chmod 700 "$PKI"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=reposure-test-cluster -days 365 \
		-keyout "$PKI/ca.key" -out "$PKI/ca.crt" 2>/dev/null
	certificate apiserver kube-apiserver "" \
		"DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:localhost,IP:10.96.0.1,IP:127.0.0.1,IP:$API_IP"
	certificate apiserver-kubelet-client kube-apiserver-kubelet-client system:masters
	certificate admin admin system:masters
	certificate controller-manager system:kube-controller-manager
	certificate scheduler system:kube-scheduler
	certificate kube-proxy system:kube-proxy
	certificate provisioner storage-provisioner system:masters
	for ((number = 1; number <= node_count; number++)); do
		node=$(node_name "$number")
		certificate "$node" "system:node:$node" system:nodes "DNS:$node,IP:$(node_ip "$number")"
		kubeconfig "$node" "$PKI/$node.kubeconfig"
	done
	kubeconfig admin "$KUBECONFIG_ADMIN"
	for name in controller-manager scheduler kube-proxy provisioner; do kubeconfig "$name" "$PKI/$name.kubeconfig"; done
	# RSA, as nearly every cluster has it: tokens are signed with RS256.
	openssl genrsa -out "$PKI/service-account.key" 2048 2>/dev/null
	openssl rsa -in "$PKI/service-account.key" -pubout -out "$PKI/service-account.pub" 2>/dev/null
}
