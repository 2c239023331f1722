//! The world of `wasi-wit/` as Rust types. Generated; nothing here by hand but the options. No function is async:
//! a component that imports WASI alone is called on its caller's stack.

wasmtime::component::bindgen!({
    path: "wasi-wit",
    world: "offered",
    imports: { default: trappable },
});
