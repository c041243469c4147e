# The real local cluster: see e2e/cluster/README.md. Made to be included by the Makefile at the top.

CLUSTER_SCRIPTS := $(dir $(lastword $(MAKEFILE_LIST)))cluster
CLUSTER_NODES ?= 2

.PHONY: cluster-packages cluster-build cluster cluster-down

cluster-packages: ## install what the cluster needs from the distribution
	@$(CLUSTER_SCRIPTS)/packages.sh

cluster-build: cluster-packages ## build what the cluster needs from Go modules
	@$(CLUSTER_SCRIPTS)/build.sh

# The tests without a cluster need these.
build/bin/registry3 build/bin/helm:
	@$(CLUSTER_SCRIPTS)/build.sh $(@F)

cluster: cluster-build ## a real local cluster; kubeconfig: build/cluster/admin.kubeconfig
	@$(CLUSTER_SCRIPTS)/cluster.sh up $(CLUSTER_NODES)

cluster-down: ## stop the local cluster, and check that nothing is left of it
	@$(CLUSTER_SCRIPTS)/cluster.sh down
	@$(CLUSTER_SCRIPTS)/leftovers.sh
