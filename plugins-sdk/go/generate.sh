#!/bin/sh
# Generates internal/bindings and internal/exports anew from the contract in wit/.
# Wants wit-bindgen: cargo install wit-bindgen-cli --version 0.61.1 --no-default-features --features go
set -eu
cd "$(dirname "$0")"
rm -rf internal/bindings internal/exports/wit_exports
wit-bindgen go ../../wit --world plugin --out-dir internal/bindings \
    --pkg-name gatehouse/internal/bindings --export-pkg-name gatehouse/internal/exports
mv internal/bindings/wit_exports internal/exports/
rm -rf internal/bindings/wit_world
# The generator's runtime is in internal/wit, so that a plugin builds without a network.
find internal -name '*.go' -exec sed -i 's#go.bytecodealliance.org/pkg/wit/#gatehouse/internal/wit/#' {} +
gofmt -w internal/bindings internal/exports
