# Two commands matter: `make run` and `make test`. `make bench` measures; all others are parts of `make ci`.

CARGO ?= cargo
PYTHON ?= python3
BENCH ?= $(or $(CARGO_TARGET_DIR),target)/release/orchestrator-bench

.PHONY: run test test-clients bench ci fmt fmt-check clippy docs help

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

run: ## build and start the gateway on embedded defaults: REST on 127.0.0.1:8000, gRPC on 127.0.0.1:50051
	$(CARGO) run --release --locked --bin orchestrator-edge

test: ## run all tests; recorded traffic beside the project is used when it is there
	$(CARGO) test --workspace --locked

test-clients: ## drive the gateway with clients from PyPI, npm and Go, and gRPC tools (needs python3; npm and go where they are)
	@command -v $(PYTHON) >/dev/null || { echo "make test-clients needs Python 3.11 or newer with its venv: install python3 and python3-venv" >&2; exit 1; }
	CARGO=$(CARGO) $(PYTHON) testkit/clients/run.py $(SUITES)

bench: ## measure beside bare hops (10 minutes; QUICK=1: 2). COMPARE=NAME=A,B: what a setting costs. docs/BENCHMARKS.md
	$(CARGO) build --release --locked -p orchestrator-edge -p orchestrator-grpc -p orchestrator-bench
	$(BENCH) $(if $(COMPARE),compare '$(COMPARE)' $(if $(SPLIT),--split),run $(if $(IDLE_STREAMS),--idle-streams $(IDLE_STREAMS))) \
	  $(if $(QUICK),--quick) $(if $(ROUNDS),--rounds $(ROUNDS)) $(BENCH_ARGS)

ci: fmt-check clippy docs test test-clients ## what CI runs

fmt: ## format the code
	$(CARGO) fmt --all

fmt-check:
	$(CARGO) fmt --all --check

clippy:
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

docs: ## build the documentation; a broken link is an error
	RUSTDOCFLAGS="-D warnings -A rustdoc::private-intra-doc-links" $(CARGO) doc --workspace --no-deps --document-private-items --locked
