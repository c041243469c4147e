# The only entry point, for people and for CI. `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
IMAGE := docker.io/reposure/reposure:$(VERSION)
CARGO_DENY := 0.20.2

# One target triple, one profile and one set of flags for everything that runs, so that nothing is compiled twice. Binaries are
# static: they run in an image without a file system. Without an explicit target the flag would break procedural macros.
TARGET := $(shell uname -m)-unknown-linux-gnu
TRIPLE := $(shell echo $(TARGET) | tr a-z- A-Z_)
export CARGO_BUILD_TARGET := $(TARGET)
export CARGO_TARGET_$(TRIPLE)_RUSTFLAGS := -C target-feature=+crt-static
export CARGO_TERM_COLOR ?= auto

OUT := target/$(TARGET)/release
BINARIES := reposure kubectl-reposure reposure-operator reposure-surrogate

include e2e/cluster.mk

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  %-18s %s\n", $$1, $$2}'

.PHONY: build
build: ## Build target/release/{reposure,kubectl-reposure,reposure-operator,reposure-surrogate}, static
	cargo build --release --locked --bins -p reposure-cli -p reposure-operator -p reposure-surrogate
	@mkdir -p target/release
	@for binary in $(BINARIES); do ln -f $(OUT)/$$binary target/release/$$binary; done

.PHONY: image
image: build ## Build build/reposure-image.tar, a docker- and OCI-archive of the in-cluster image
	cargo build --release --locked -p reposure-oci --example pack
	@mkdir -p build
	@ln -f $(OUT)/examples/pack build/pack
	build/pack build/reposure-image.tar $(IMAGE) \
	  --user 65532:65532 --entrypoint /reposure-surrogate \
	  $(OUT)/reposure-operator:/reposure-operator $(OUT)/reposure-surrogate:/reposure-surrogate

.PHONY: demo
demo: ## Push, list, pull and delete with local processes, without a cluster
	@scripts/demo.sh

.PHONY: test
test: packages test-unit test-e2e ## Install what is missing, run every test, those on a real local cluster too

.PHONY: test-unit
test-unit: build/bin/registry3 build/bin/helm ## Run all tests that need no cluster, but docker-registry
	cargo test --release --locked --workspace --exclude reposure-e2e --no-fail-fast

.PHONY: test-e2e
test-e2e: build image build/bin/helm ## Run the end-to-end tests, on the cluster of REPOSURE_E2E_KUBECONFIG if it is set, else on the local one
	@scripts/e2e.sh

.PHONY: packages
packages: cluster-packages ## Install what the tests need and this machine lacks

.PHONY: bench
bench: build image ## Print the tables of Reposure and its peers, as ratios of one run
	@scripts/bench.sh cluster
	@scripts/bench.sh cluster --https
	@scripts/bench.sh wan
	@scripts/bench.sh archives
	@scripts/bench.sh lists

.PHONY: check
check: build/tools/bin/cargo-deny ## Check format, lints, licences, documentation and generated files
	cargo fmt --all --check
	cargo clippy --release --locked --workspace --all-targets -- -D warnings
	build/tools/bin/cargo-deny --locked check bans licenses sources
	RUSTDOCFLAGS='-D warnings' cargo doc --release --locked --workspace --no-deps
	@$(MAKE) generate
	@git diff --exit-code -- deploy docs/cli.md || { echo 'deploy/ or docs/cli.md is stale: run make generate and commit it' >&2; exit 1; }

.PHONY: generate
generate: ## Write the generated files: deploy/, docs/cli.md
	cargo run --release --locked -q -p reposure-admin --example generate -- deploy
	cargo run --release --locked -q -p reposure-cli --example cli_reference -- docs/cli.md

# Advisories need a clone from outside of the package registries, so they are checked at a release. The tool is built for the
# host: neither the target nor its flags, without which the first cannot be taken away.
build/tools/bin/cargo-deny:
	@env -u CARGO_BUILD_TARGET -u CARGO_TARGET_$(TRIPLE)_RUSTFLAGS cargo install cargo-deny --version $(CARGO_DENY) --locked --root build/tools

# How long each target is fuzzed, in seconds. The library forbids unsafe code, so that the sanitizers would only slow it down.
FUZZ_SECONDS := 600
FUZZ_TARGETS := archive layer names answers
CARGO_FUZZ := 0.13.2
# It builds for the host, with flags of its own, and asks for coverage, which the stable compiler does not offer by itself.
FUZZ = env -u CARGO_BUILD_TARGET -u CARGO_TARGET_$(TRIPLE)_RUSTFLAGS RUSTC_BOOTSTRAP=1 $(abspath $<) fuzz

.PHONY: fuzz
fuzz: build/tools/bin/cargo-fuzz ## Fuzz each target for FUZZ_SECONDS (10 minutes); what fails is kept in fuzz/artifacts
	@for target in $(FUZZ_TARGETS); do \
	  mkdir -p fuzz/corpus/$$target; \
	  $(FUZZ) run --sanitizer none $$target fuzz/corpus/$$target fuzz/seeds/$$target -- \
	    -max_total_time=$(FUZZ_SECONDS) -timeout=30 -rss_limit_mb=1024 -max_len=65536; \
	done

build/tools/bin/cargo-fuzz:
	@env -u CARGO_BUILD_TARGET -u CARGO_TARGET_$(TRIPLE)_RUSTFLAGS cargo install cargo-fuzz --version $(CARGO_FUZZ) --locked --root build/tools

.PHONY: soak
soak: build image ## Push and pull through 10,000 random cuts, and through 200 on the cluster; REPOSURE_SEED repeats a run
	REPOSURE_CUTS=$${REPOSURE_CUTS:-10000} cargo test --release --locked -p reposure-client --test it -- random_cuts --nocapture
	@REPOSURE_E2E_CUTS=$${REPOSURE_E2E_CUTS:-200} scripts/e2e.sh resilience::random_cuts --nocapture

.PHONY: clean
clean: ## Remove what was built, except for the cluster's binaries
	cargo clean
	rm -rf build/demo build/reposure-image.tar
