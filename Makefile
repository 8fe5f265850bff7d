# SPDX-License-Identifier: Apache-2.0
# `make` lists the targets. Each does its own set-up, can be run again, and cleans up after itself.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# Kernel programs and containers need root; what is installed for the tests does not change who owns the project.
SUDO := $(if $(filter 0,$(shell id -u)),,sudo --preserve-env=KEEP,CI,ROUNDS,PARTS,BASES,PATH,DEBIAN_MIRROR,DEBIAN_SECURITY_MIRROR,NODE_EXTRA_CA_CERTS,SOURCE_DATE_EPOCH)
JOBS ?= $(shell nproc)
SECONDS_EACH ?= 60
KERNEL_CASES ?= 500
SEED ?= 1
ATTACKS := $(patsubst test/attacks/programs/%.c,build/attacks/%,$(wildcard test/attacks/programs/*.c))
WORKLOADS := $(patsubst test/workloads/%.c,build/workloads/%,$(wildcard test/workloads/*.c))
VITEST := node node_modules/vitest/vitest.mjs run
TSX := node node_modules/tsx/dist/cli.mjs
CXX_FILES := $(wildcard agent-bpf/src/*.cc agent-bpf/src/*.h agent-bpf/tests/*/*.cc agent-bpf/tests/*/*.h)

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):[^#]*## /\1\t/' | while IFS=$$'\t' read -r name text; do printf '  %-14s %s\n' "$$name" "$$text"; done

.PHONY: setup
setup: setup-debian setup-npm ## install the Debian and npm packages that are missing

.PHONY: setup-debian
setup-debian:
	@deploy/setup/packages.sh

.PHONY: setup-npm
setup-npm: setup-debian
	@deploy/setup/npm.sh

.PHONY: build
build: build-agent build-server build-workloads build-attacks build-chaos ## build agent, server, command line and test programs

# Most of the time of compiling goes into headers: sources of one target are compiled eight at a time.
UNITY ?= -DCMAKE_UNITY_BUILD=ON -DCMAKE_UNITY_BUILD_BATCH_SIZE=8

.PHONY: build-agent
build-agent: setup-debian
	@echo 'building the agent'
	@mkdir -p build
	@cmake -S agent-bpf -B build/agent -G Ninja $(UNITY) >build/cmake.log 2>&1 || { cat build/cmake.log; exit 1; }
	@ninja -C build/agent -j $(JOBS) --quiet | { grep -v 'no work to do' || true; }

.PHONY: build-server
build-server: setup-npm
	@echo 'building the server and the command line'
	@npm run --silent build

.PHONY: build-workloads
build-workloads: $(WORKLOADS)

.PHONY: build-attacks
build-attacks: $(ATTACKS)

build/attacks/%: test/attacks/programs/%.c $(wildcard test/attacks/programs/*.h) | setup-debian
	@mkdir -p $(@D)
	@$(CC) -O2 -static -pthread -Wall -Wextra -Werror $< -o $@

.PHONY: build-chaos
build-chaos: build/chaos/file_log.so

build/chaos/%.so: test/chaos/%.c | setup-debian
	@mkdir -p $(@D)
	@$(CC) -O2 -shared -fPIC -Wall -Wextra -Werror $< -o $@ -ldl

build/workloads/%: test/workloads/%.c | setup-debian
	@mkdir -p $(@D)
	@$(CC) -O2 -static -Wall -Wextra -Werror $< -o $@

.PHONY: demo
demo: build ## two containers of one pod told apart, and one of them cut off (KEEP=1 leaves it running)
	@$(SUDO) $(TSX) test/demo/demo.ts

.PHONY: tutorial
tutorial: build ## what docs/TUTORIAL.md tells, on real containers
	@$(SUDO) $(TSX) test/demo/tutorial.ts

.PHONY: demo-stop
demo-stop: ## stop what `make demo KEEP=1` left running
	@if [ -s build/demo.pid ]; then $(SUDO) kill -TERM "$$(cat build/demo.pid)" && echo 'stopping the demo'; else echo 'no demo is running'; fi

.PHONY: lint
lint: setup ## formats, types, wire contract, what is made from the sources
	@echo 'TypeScript: types'
	@npm run --silent check
	@echo 'TypeScript: format and lint'
	@node node_modules/@biomejs/biome/bin/biome check --error-on-warnings .
	@echo 'schemas of policies: made from the sources'
	@npm run --silent schema -- --check
	@echo 'wire contract: lint'
	@node node_modules/@bufbuild/buf/bin/buf lint proto
	@deploy/setup/contract.sh
	@deploy/setup/cxx-format.sh --dry-run -Werror $(CXX_FILES)

.PHONY: format
format: setup ## bring all sources into shape
	@node node_modules/@biomejs/biome/bin/biome check --write .
	@deploy/setup/cxx-format.sh -i $(CXX_FILES)

.PHONY: test
test: test-agent test-fuzz test-at-once test-real ## all tests, in their short form

.PHONY: test-agent
test-agent: build-agent ## unit tests of the agent
	@build/agent/cellwall-agent-tests --gtest_brief=1

.PHONY: build-fuzzers
build-fuzzers: build-agent
	@ninja -C build/agent -j $(JOBS) --quiet fuzzers | { grep -v 'no work to do' || true; }

.PHONY: test-fuzz
test-fuzz: build-fuzzers ## fuzz the parsers of what strangers and the server send, 5 s each
	@SECONDS_EACH=5 test/fuzz/run.sh

.PHONY: test-kernel
test-kernel: build-agent cases ## kernel programs: real connections in cgroups of their own
	@$(SUDO) test/kernels/here.sh

# Policies and connections, and what the reference evaluator says of them.
.PHONY: cases
cases: setup
	@npm run --silent generate
	@rm -rf build/cases
	@$(TSX) test/differential/export.ts build/cases $(KERNEL_CASES) $(SEED)

.PHONY: test-unit
test-unit: build-server ## unit tests of server and command line
	@IS_BUILT=1 $(VITEST) --project unit

# The kernel tests are first in line for a processor: some of them wait for time to pass.
.PHONY: test-at-once
test-at-once: build cases
	@echo 'kernel tests and unit tests, at once'
	@$(SUDO) env SHORT=1 nice -n -10 test/kernels/here.sh >build/kernel-tests.log 2>&1 & kernel=$$!; trap 'kill $$kernel 2>/dev/null || true' EXIT; \
	  failed=0; IS_BUILT=1 $(VITEST) --project unit || failed=1; wait $$kernel || failed=1; trap - EXIT; cat build/kernel-tests.log; exit $$failed

.PHONY: test-real
test-real: build
	@$(SUDO) $(VITEST) --project integration --project e2e --project attacks --project chaos

.PHONY: test-integration
test-integration: build ## real agent, real server, real containers, exact counts
	@$(SUDO) $(VITEST) --project integration

.PHONY: test-e2e
test-e2e: build ## the story of the demo, with exact counts
	@$(SUDO) $(VITEST) --project e2e

# Apart from `make test`: it needs a Go toolchain, and minutes to build Kubernetes the first time.
.PHONY: e2e-kubernetes
e2e-kubernetes: build ## the chart in real Kubernetes of one node: installed, enforcing, updated, removed (needs Go)
	@JOBS=$(JOBS) test/kubernetes/build.sh
	@$(SUDO) $(VITEST) --project kubernetes

.PHONY: test-attacks
test-attacks: build ## attacks on the policy, from real containers: not a packet may arrive
	@$(SUDO) $(VITEST) --project attacks

.PHONY: test-chaos
test-chaos: build-server build-agent build-chaos ## kills, outages, power cuts, full disks, many agents, attacks on the server: all is stored once or counted lost
	@$(SUDO) $(VITEST) --project chaos

.PHONY: attacks
attacks: build ## as test-attacks, with a million tries of each race
	@$(SUDO) env LONG=1 $(VITEST) --project attacks

.PHONY: truth
truth: build ## the record beside conntrack and tcpdump, longer: 200 containers come and go at 200 and at 2,000 connections/s
	@$(SUDO) env LONG=1 $(VITEST) --project integration test/integration/ground_truth.test.ts test/integration/short_lived.test.ts

.PHONY: differential
differential: build ## compiled rules and the running kernel against the reference evaluator: 100,000 and 5,000 cases (SEED=1)
	@CASES=100000 $(VITEST) --project unit control-plane/src/policy/differential.test.ts
	@$(MAKE) cases KERNEL_CASES=5000
	@$(SUDO) env CELLWALL_CASES=build/cases build/agent/cellwall-kernel-tests --gtest_brief=1 --gtest_filter='Differential.*'

.PHONY: learning
learning: build-server ## policies learned from generated histories of a million flows: accept them all, and how much more
	@IS_BUILT=1 LONG=1 $(VITEST) --project unit control-plane/src/learn/closed_loop.test.ts

.PHONY: chaos
chaos: build ## agents and servers killed and replaced, outages, power cuts, full disks, 2,000 agents, attacks on the server, policies swapped, connections cut, all at length
	@$(SUDO) env LONG=1 $(VITEST) --project chaos
	@$(SUDO) env LONG=1 $(VITEST) --project integration test/integration/restarts.test.ts test/integration/survival.test.ts test/integration/policy.test.ts

.PHONY: kernels
kernels: build-agent cases ## kernel tests under the distribution's own kernels, emulated (FILTER='Flows.*')
	@test/kernels/run.sh $(FILTER)

.PHONY: fuzz
fuzz: build-fuzzers ## as test-fuzz, but for longer (SECONDS_EACH=60)
	@SECONDS_EACH=$(SECONDS_EACH) test/fuzz/run.sh

.PHONY: bench
bench: build ## measure, and write docs/BENCHMARKS.md (PARTS='store fleets')
	@ninja -C build/agent -j $(JOBS) --quiet benches
	@mkdir -p build/bench
	@$(CC) -O2 -Wall -Wextra -Werror test/bench/raw_sqlite.c -o build/bench/raw_sqlite -lsqlite3
	@$(SUDO) $(TSX) test/bench/bench.ts

.PHONY: images
images: ## build the images of agent and server with buildah or podman, and try them (BASES=local: without a registry)
	@$(SUDO) deploy/images/build.sh

.PHONY: clean
clean: ## remove what was built
	@rm -rf build dist control-plane/src/grpc/generated
