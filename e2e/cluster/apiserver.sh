# shellcheck shell=bash
# More flags, an audit log for example, come from APISERVER_ARGS (split at spaces), at "up" and at "start apiserver".

start_apiserver() {
	local more
	read -ra more <"$STATE/apiserver-args"
	# shellcheck disable=SC2046 # words of a command
	spawn apiserver $(in_control) "$BIN/kube-apiserver" \
		--advertise-address="$API_IP" --secure-port="$API_PORT" \
		--etcd-servers=http://127.0.0.1:2379 \
		--service-cluster-ip-range="$SERVICES" \
		--allow-privileged=true \
		--authorization-mode=Node,RBAC \
		--enable-admission-plugins=NodeRestriction \
		--client-ca-file="$PKI/ca.crt" \
		--tls-cert-file="$PKI/apiserver.crt" --tls-private-key-file="$PKI/apiserver.key" \
		--kubelet-certificate-authority="$PKI/ca.crt" \
		--kubelet-client-certificate="$PKI/apiserver-kubelet-client.crt" \
		--kubelet-client-key="$PKI/apiserver-kubelet-client.key" \
		--kubelet-preferred-address-types=InternalIP \
		--service-account-issuer=https://kubernetes.default.svc \
		--service-account-key-file="$PKI/service-account.pub" \
		--service-account-signing-key-file="$PKI/service-account.key" \
		"${more[@]}"
}

# "Service accounts may read /openid/v1/jwks" and all other default roles are there once this says ok.
apiserver_ready() { kube get --raw /readyz; }
