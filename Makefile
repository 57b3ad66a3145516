# Everything one does with the project. Each target first installs what it needs (.ci/setup says so when there is anything to do).
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run test lint test-unit test-conformance test-flow test-functions test-functions-long test-guest test-web test-cluster test-ansible test-firmware test-flashing test-chaos bench bench-cluster soak lock clean

ARGS ?=
ROUNDS ?= 100
PAYLOADS ?= 100000
SEED ?= 1
HOURS ?= 2
KILLS ?= 500
LONG := test_contract or test_restart or test_hosts or test_kills or test_leaks
SUITES := lint unit conformance flow functions web firmware cluster k3s kubernetes kubernetes_manifests images flashing ansible
CLUSTER_SUITES := $(filter-out lint unit conformance flow functions web firmware flashing ansible,$(SUITES))
PY := .venv/bin/python
BUILD := $(PY) -m tests.functions.contract.builds

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## the appliance on this machine, with simulated boards:  make run ARGS="--port 8181 --devices 20"
	@.ci/setup python mosquitto
	@.venv/bin/edgectl run $(ARGS)

test: ## everything that can be proved on one machine
	@.ci/setup python-dev mosquitto busybox browser java faketime root addon go cluster images firmware ansible
	@$(BUILD) node go
	@$(PY) -m tests.summary $(SUITES)

lint: ## style, types, layers, spelling
	@.ci/setup python-dev
	@$(PY) -m tests.summary lint

test-unit: ## values and decisions, without I/O:  make test-unit ARGS="-k hysteresis"
	@.ci/setup python-dev
	@$(PY) -m tests.summary unit -- $(ARGS)

test-conformance: ## every adapter against the one suite of its port
	@.ci/setup python-dev mosquitto java root
	@$(PY) -m tests.summary conformance -- $(ARGS)

test-flow: ## boards, broker, agent, alerts: whole processes, killed at bad moments
	@.ci/setup python-dev mosquitto busybox java faketime root
	@$(PY) -m tests.summary flow -- $(ARGS)

test-functions: ## the Runtime API, workers, retries; unmodified Lambda clients
	@.ci/setup python-dev mosquitto busybox addon go
	@$(BUILD) node go
	@$(PY) -m tests.summary functions -- $(ARGS)

test-functions-long: ## the same clients in Rust and Java, and 500 kills:  make test-functions-long KILLS=2000
	@.ci/setup python-dev mosquitto busybox rust java
	@$(BUILD) rust java
	@EDGE_CONTRACT_CLIENTS=rust,java EDGE_KILLS=$(KILLS) EDGE_LEAK_EVENTS=2000 $(PY) -m tests.summary functions -- -k "$(LONG)" $(ARGS)

test-guest: ## local workers under control groups of version 2, as on a Pi: in an emulated machine with Debian's kernel
	@.ci/setup python-dev busybox guest
	@$(PY) -m tests.summary guest -- $(ARGS)

test-web: ## the HTTP API and the page, in a real browser
	@.ci/setup python-dev mosquitto browser
	@$(PY) -m tests.summary web -- $(ARGS)

test-cluster: ## functions as pods on a real Kubernetes, started here:  make test-cluster ARGS="-k power"
	@.ci/setup python-dev mosquitto busybox root addon go cluster images
	@$(BUILD) node go
	@$(PY) -m tests.summary $(CLUSTER_SUITES) -- $(ARGS)

test-ansible: ## the playbooks on Debian machines that boot here:  make test-ansible ARGS="-k ground"
	@.ci/setup python-dev mosquitto ansible
	@$(PY) -m tests.summary ansible -- $(ARGS)

test-firmware: ## the boards' firmware in the real MicroPython, against broker and agent; sizes for each chip
	@.ci/setup python-dev mosquitto firmware
	@$(PY) -m tests.summary firmware -- $(ARGS)

test-flashing: ## boards provisioned, replaced and flashed: broker users, the real esptool and mpremote
	@.ci/setup python-dev mosquitto firmware
	@$(PY) -m tests.summary flashing -- $(ARGS)

test-chaos: ## nothing is lost, at length: kills, full disk, poison:  make test-chaos ROUNDS=20 SEED=7 PAYLOADS=20000
	@.ci/setup python-dev mosquitto busybox java faketime root
	@EDGE_CHAOS_ROUNDS=$(ROUNDS) EDGE_CHAOS_SEED=$(SEED) EDGE_CHAOS_PAYLOADS=$(PAYLOADS) \
		$(PY) -m tests.summary flow -- -k "test_chaos or test_hard_times" $(ARGS)

bench: ## the README's figures on this machine, a quarter of an hour:  make bench ARGS="intake --quick"
	@.ci/setup python-dev mosquitto busybox node go
	@$(BUILD) echo
	@$(PY) -m tests.bench $(ARGS)

bench-cluster: ## functions as pods beside create-and-watch, 80 minutes:  make bench-cluster ARGS="fresh --quick"
	@.ci/setup python-dev mosquitto busybox root cluster jmeter
	@$(PY) -m tests.bench.cluster $(ARGS)

soak: ## memory under load for hours:  make soak HOURS=8
	@.ci/setup python-dev mosquitto busybox
	@$(PY) -m tests.bench --soak $(HOURS)

lock: ## resolve the dependencies anew into the two lock files
	@.ci/setup python
	@.venv/bin/python -m pip install --quiet --target .cache/uv --upgrade uv
	@.ci/lock

clean: ## remove what was installed and made here (not what apt installed)
	rm -rf .venv .cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
