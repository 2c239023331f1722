//! The WIT world of `wit/` as Rust types. Generated; nothing here by hand but the options.

wasmtime::component::bindgen!({
    path: "../wit",
    world: "plugin",
    // What goes into a guest is borrowed from the request, so that a call copies each byte once, into the guest.
    ownership: Borrowing { duplicate_if_necessary: true },
    imports: {
        // The calls that wait for the network suspend the guest's fibre. A component that imports none of their
        // interfaces is called synchronously.
        "gatehouse:plugin/http.fetch": async | trappable,
        "gatehouse:plugin/http.fetch-all": async | trappable,
        "gatehouse:plugin/introspection.introspect": async | trappable,
        default: trappable,
    },
});
