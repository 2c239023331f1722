//! `wasi:sockets`: linked by name alone, as Python's interpreter imports it whether a plugin uses it or not. No socket is
//! made and no name is looked up, so what works on sockets has nothing to be called with.

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, ResourceType, Val};

use super::Misuse;
use crate::plugin::state::HostState;

const PACKAGE: &str = "wasi:sockets";
const VERSION: &str = "0.2.12";

/// What would make a socket or an address: the interface, and its function.
const MAKERS: [(&str, &str); 3] =
    [("tcp-create-socket", "create-tcp-socket"), ("udp-create-socket", "create-udp-socket"), ("ip-name-lookup", "resolve-addresses")];

const TCP_METHODS: [&str; 28] = [
    "accept",
    "address-family",
    "finish-bind",
    "finish-connect",
    "finish-listen",
    "hop-limit",
    "is-listening",
    "keep-alive-count",
    "keep-alive-enabled",
    "keep-alive-idle-time",
    "keep-alive-interval",
    "local-address",
    "receive-buffer-size",
    "remote-address",
    "send-buffer-size",
    "set-hop-limit",
    "set-keep-alive-count",
    "set-keep-alive-enabled",
    "set-keep-alive-idle-time",
    "set-keep-alive-interval",
    "set-listen-backlog-size",
    "set-receive-buffer-size",
    "set-send-buffer-size",
    "shutdown",
    "start-bind",
    "start-connect",
    "start-listen",
    "subscribe",
];

const UDP_METHODS: [&str; 13] = [
    "address-family",
    "finish-bind",
    "local-address",
    "receive-buffer-size",
    "remote-address",
    "send-buffer-size",
    "set-receive-buffer-size",
    "set-send-buffer-size",
    "set-unicast-hop-limit",
    "start-bind",
    "stream",
    "subscribe",
    "unicast-hop-limit",
];

/// The network that sockets are of. It can be held, and nothing can be done with it.
enum Network {}

enum TcpSocket {}
enum UdpSocket {}
enum IncomingDatagrams {}
enum OutgoingDatagrams {}
enum Addresses {}

/// Links the whole package.
pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    link_network(linker)?;
    for (interface, function) in MAKERS {
        linker.instance(&name(interface))?.func_new(function, |store, _, given, results| deny(store, given, results))?;
    }
    resource::<TcpSocket>(linker, "tcp", "tcp-socket", &TCP_METHODS)?;
    resource::<UdpSocket>(linker, "udp", "udp-socket", &UDP_METHODS)?;
    resource::<IncomingDatagrams>(linker, "udp", "incoming-datagram-stream", &["receive", "subscribe"])?;
    resource::<OutgoingDatagrams>(linker, "udp", "outgoing-datagram-stream", &["check-send", "send", "subscribe"])?;
    resource::<Addresses>(linker, "ip-name-lookup", "resolve-address-stream", &["resolve-next-address", "subscribe"])
}

fn link_network(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    let of_network = ResourceType::host::<Network>();
    linker.instance(&name("network"))?.resource("network", of_network, |mut store, _| store.data_mut().close())?;
    linker
        .instance(&name("instance-network"))?
        .func_wrap("instance-network", |mut store: StoreContextMut<'_, HostState>, (): ()| Ok((store.data_mut().open::<Network>(0)?,)))
}

/// A resource that no guest ever holds, with its methods.
fn resource<T: 'static>(linker: &mut Linker<HostState>, interface: &str, resource: &str, methods: &[&str]) -> wasmtime::Result<()> {
    let mut interface = linker.instance(&name(interface))?;
    interface.resource(resource, ResourceType::host::<T>(), |_, _| Ok(()))?;
    for method in methods {
        interface.func_new(&format!("[method]{resource}.{method}"), |_, _, _, _| Err(Misuse::NoSockets.into()))?;
    }
    Ok(())
}

/// The error `access-denied`, which programs know what to do with: in Python it is a `PermissionError`.
fn deny(mut store: StoreContextMut<'_, HostState>, given: &[Val], results: &mut [Val]) -> wasmtime::Result<()> {
    store.data_mut().count_host_call()?;
    // A network is lent, and what is lent has to be given back by hand.
    let lent = given.iter().filter_map(|value| match value {
        Val::Resource(lent) => Some(lent),
        _ => None,
    });
    lent.into_iter().try_for_each(|lent| lent.resource_drop(&mut store))?;
    results[0] = Val::Result(Err(Some(Box::new(Val::Enum("access-denied".into())))));
    Ok(())
}

fn name(interface: &str) -> String {
    format!("{PACKAGE}/{interface}@{VERSION}")
}
