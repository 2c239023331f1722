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
# Calls into the gateway leave the plugin's own code: see internal/wit/runtime/boundary.go.
find internal/bindings -name '*.go' -exec sed -E -i 's/^(\t+)((result[0-9]* := )?wasm_import_[a-z_]+\(.*)$/\1witRuntime.Leave()\n\1\2\n\1witRuntime.Enter()/' {} +
grep -rl 'witRuntime\.' internal/bindings | xargs grep -L 'witRuntime "' | xargs sed -i 's#^import (#&\n\twitRuntime "gatehouse/internal/wit/runtime"#'
gofmt -w internal/bindings internal/exports
