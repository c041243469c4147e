# shellcheck shell=bash disable=SC2034
# The versions of everything that is built from Go modules. Each can be set in the environment; build.sh then builds
# anew what was built from another version. The versions of CoreDNS and of the provisioner's library are in tools/go.mod.

GO_VERSION_NEEDED=1.26 # what Kubernetes asks for in its go.mod

KUBERNETES_VERSION=${KUBERNETES_VERSION:-1.36.3} # 1.34.4, 1.35.4 and 1.37.2 are served too
CONTAINERD_VERSION=${CONTAINERD_VERSION:-2.4.2}
DISTRIBUTION_VERSION=${DISTRIBUTION_VERSION:-3.1.2}

# What the tests and the benchmark compare with
CRANE_VERSION=${CRANE_VERSION:-0.22.1}
ORAS_VERSION=${ORAS_VERSION:-1.3.6}
REGCTL_VERSION=${REGCTL_VERSION:-0.11.7}

# What renders and installs the chart
HELM_VERSION=${HELM_VERSION:-3.22.0}

# What makes the registry's certificate where it is there
CERT_MANAGER_VERSION=${CERT_MANAGER_VERSION:-1.21.2}

# What keeps a registry's images as an object store that speaks S3
VERSITYGW_VERSION=${VERSITYGW_VERSION:-1.8.0}

# What fakes nodes
KWOK_VERSION=${KWOK_VERSION:-0.8.0}
