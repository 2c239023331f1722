# Two commands for a newcomer, two for whoever wants numbers. Each installs what it needs and says so.

CARGO ?= cargo

.PHONY: run test bench bench-load setup

run: setup
	@echo "== building the gateway and its plugins (the first time takes several minutes: wasmtime is large)"
	$(CARGO) build --release -p gatehouse --bin gatehouse --example demo
	@echo "== starting the demo"
	@exec target/release/examples/demo

# Apart, because cargo would join their features: guests keep every digit of a JSON number, the host reads numbers.
HOST = -p gatehouse -p gatehouse-tests -p gatehouse-benches
GUESTS = --workspace --exclude gatehouse --exclude gatehouse-tests --exclude gatehouse-benches

test: setup
	@echo "== building the gateway, its plugins and the tests (the first time takes several minutes: wasmtime is large)"
	$(CARGO) build --bins --tests --examples $(HOST)
	@echo "== running the tests of the SDK and the plugins"
	$(CARGO) test $(GUESTS)
	@echo "== running the tests of the gateway"
	$(CARGO) test $(HOST)

bench: setup
	@echo "== criterion benches: routes, plugin calls, chains, token buckets"
	$(CARGO) bench -p gatehouse-benches

bench-load: setup
	@echo "== CPU time per request, beside nginx, HAProxy and Envoy"
	python3 benches/load/run.py

setup:
	@rustup target list --installed | grep -qx wasm32-wasip2 || { echo "== installing the Rust target wasm32-wasip2 (plugins are built for it)"; rustup target add wasm32-wasip2; }
