# Two commands matter: `make run` and `make test`. `make bench` measures; all others are parts of `make ci`.

CARGO ?= cargo
PYTHON ?= python3
BENCH ?= $(or $(CARGO_TARGET_DIR),target)/release/orchestrator-bench

.PHONY: run test test-clients test-deploy chaos outage kill fleet rolling bench bench-logs bench-translation ci fmt fmt-check clippy docs budgets help

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

run: ## build and start the gateway on embedded defaults: REST on 127.0.0.1:8000, gRPC on 127.0.0.1:50051
	$(CARGO) run --release --locked --bin orchestrator-edge

test: ## run all tests (as root, what they need of MariaDB, PostgreSQL and Redis is installed first)
	@sh testkit/packages.sh
	$(CARGO) test --workspace --locked

test-clients: ## drive the gateway with clients from PyPI, npm and Go, and gRPC tools (needs python3; npm and go where they are)
	@command -v $(PYTHON) >/dev/null || { echo "make test-clients needs Python 3.11 or newer with its venv: install python3 and python3-venv" >&2; exit 1; }
	CARGO=$(CARGO) $(PYTHON) testkit/clients/run.py $(SUITES)

test-deploy: ## hold Dockerfile, compose, Kubernetes, systemd, nginx, backup and monitoring files to the programs (2 minutes; CHECKS='nginx backup': some)
	-@sh testkit/packages.sh prometheus
	$(CARGO) build --locked -p orchestrator-edge -p orchestrator-grpc --bins
	$(PYTHON) testkit/deploy/run.py $(CHECKS)

bench-translation: ## what translating between each pair of chat dialects costs (1 minute). docs/BENCHMARKS.md
	$(CARGO) bench --package orchestrator-core --bench translation --locked

# Takes each database away for so many seconds; what the servers need is installed first where this is root.
outages = @sh testkit/packages.sh && for database in sqlite mariadb postgres; do \
	  $(or $(CARGO_TARGET_DIR),target)/debug/orchestrator-chaos outage --database $$database --seconds $(1) || exit 1; done

chaos: ## run the programs between failing providers and many callers, without a database, and two cores with one Redis, and account for every request (4 minutes)
	$(CARGO) build --locked -p orchestrator-edge -p orchestrator-grpc -p orchestrator-chaos --bins
	$(or $(CARGO_TARGET_DIR),target)/debug/orchestrator-chaos run $(CHAOS_ARGS)
	$(call outages,8)
	$(or $(CARGO_TARGET_DIR),target)/debug/orchestrator-chaos fleet --quick
	$(or $(CARGO_TARGET_DIR),target)/debug/orchestrator-chaos rolling --rounds 1 --database sqlite

fleet: ## two cores, one Redis, one edge before both: limits, budgets, idempotency, and Redis failing in every way (4 minutes); FLEET_ARGS='--database mariadb'
	@sh testkit/packages.sh
	$(CARGO) build --locked -p orchestrator-edge -p orchestrator-grpc -p orchestrator-chaos --bins
	$(or $(CARGO_TARGET_DIR),target)/debug/orchestrator-chaos fleet $(FLEET_ARGS)

rolling: ## tell the cores to stop under load, one after the other, three times: no whole request may fail, no stream end falsely (1 minute); ROLLING_ARGS='--rounds 10'
	@sh testkit/packages.sh
	$(CARGO) build --locked -p orchestrator-edge -p orchestrator-grpc -p orchestrator-chaos --bins
	$(or $(CARGO_TARGET_DIR),target)/debug/orchestrator-chaos rolling $(ROLLING_ARGS)

kill: ## kill the core a hundred times under load, and compare the books (3 minutes); KILL_ARGS='--rounds 20'
	$(CARGO) build --locked -p orchestrator-edge -p orchestrator-grpc -p orchestrator-chaos --bins
	$(or $(CARGO_TARGET_DIR),target)/debug/orchestrator-chaos kill $(KILL_ARGS)
	$(or $(CARGO_TARGET_DIR),target)/debug/orchestrator-chaos kill --rounds 6 --skip-replay

outage: ## take each of the three databases away for a minute under load, and account for every request (4 minutes)
	$(CARGO) build --locked -p orchestrator-edge -p orchestrator-grpc -p orchestrator-chaos --bins
	$(call outages,60)

bench: ## measure beside bare hops (10 minutes; QUICK=1: 2). COMPARE=NAME=A,B: what a setting costs. docs/BENCHMARKS.md
	$(CARGO) build --release --locked -p orchestrator-edge -p orchestrator-grpc -p orchestrator-bench
	$(BENCH) $(if $(COMPARE),compare '$(COMPARE)' $(if $(SPLIT),--split),run $(if $(IDLE_STREAMS),--idle-streams $(IDLE_STREAMS))) \
	  $(if $(QUICK),--quick) $(if $(ROUNDS),--rounds $(ROUNDS)) $(BENCH_ARGS)

bench-logs: ## what lists and statistics of a million requests cost on SQLite, MariaDB and PostgreSQL (7 minutes; PLACES=sqlite: one). docs/BENCHMARKS.md
	@sh testkit/packages.sh
	$(CARGO) build --release --locked -p orchestrator-bench
	$(BENCH) logs $(or $(PLACES),--plans docs/PLANS.md) $(BENCH_ARGS)

ci: fmt-check clippy docs test test-clients test-deploy chaos budgets ## what CI runs

fmt: ## format the code
	$(CARGO) fmt --all

fmt-check:
	$(CARGO) fmt --all --check

clippy:
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

docs: ## build the documentation; a broken link is an error
	RUSTDOCFLAGS="-D warnings -A rustdoc::private-intra-doc-links" $(CARGO) doc --workspace --no-deps --document-private-items --locked

TOOLS = $(CURDIR)/target/tools
# The benchmarks' library and its runner must have one version: the lock file's.
GUNGRAUN = $(shell sed -n '/^name = "gungraun-runner"/{n;s/version = "\(.*\)"/\1/p;}' Cargo.lock)
# Why the budgets cannot be checked here; empty where they can.
NO_BUDGETS = $(if $(filter x86_64,$(shell uname -m)),$(if $(shell command -v valgrind),,there is no valgrind),this is no x86-64)

budgets: ## check how many instructions the hot functions take; needs valgrind, on x86-64
ifneq ($(NO_BUDGETS),)
	@echo '******** SKIPPED: the instruction budgets were NOT checked, for $(NO_BUDGETS) here' >&2
else
	$(CARGO) install --quiet --debug --locked --root $(TOOLS) --version $(GUNGRAUN) gungraun-runner
	GUNGRAUN_RUNNER=$(TOOLS)/bin/gungraun-runner $(CARGO) bench --package orchestrator-core --bench budgets --locked
endif
