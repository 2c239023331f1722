//! Properties: what is known of a request beside its headers, by paths such as `request\0path`. The names are those of the
//! specification and of Envoy's attributes, as far as the gateway knows what they ask for.

use std::time::SystemTime;

use bytes::Bytes;
use http::header;

use crate::plugin::proxy_wasm::abi::Status;
use crate::plugin::proxy_wasm::host::Host;
use crate::plugin::proxy_wasm::memory::{Failure, Guestside, Outs, hand_over, slice, split};
use crate::plugin::proxy_wasm::message::{Head, Line, Value, pairs, scheme};
use crate::plugin::proxy_wasm::stream::{Exchange, Side};

/// Properties that a guest sets on one request, and the bytes of them.
const MAX_SET: usize = 64;
const MAX_SET_BYTES: usize = 16 << 10;
const MAX_PATH: usize = 1_024;

pub fn get(guest: &mut Guestside<'_>, path: u32, path_length: u32, out: u32, out_length: u32) -> Result<(), Failure> {
    let (memory, host) = split(guest);
    let path = slice(memory, path, path_length.min(MAX_PATH as u32))?;
    let value = find(host, path).ok_or(Status::NotFound)?;
    hand_over(guest, value, Outs { pointer: out, length: out_length })
}

/// A property of the request at hand, for other callbacks of the same filter.
pub fn set(guest: &mut Guestside<'_>, path: u32, path_length: u32, value: u32, value_length: u32) -> Result<(), Failure> {
    let (memory, host) = split(guest);
    let (path, value) = (slice(memory, path, path_length)?, slice(memory, value, value_length)?);
    let properties = &mut host.exchange()?.properties;
    let bytes: usize = properties.iter().map(|(path, value)| path.len() + value.len()).sum();
    if properties.len() >= MAX_SET || bytes + path.len() + value.len() > MAX_SET_BYTES {
        return Err(Status::InternalFailure.into());
    }
    properties.retain(|(set, _)| **set != *path);
    properties.push((path.into(), Bytes::copy_from_slice(value)));
    Ok(())
}

fn find(host: &mut Host, path: &[u8]) -> Option<Value> {
    // SDKs may or may not end a path with a zero.
    let path = path.strip_suffix(b"\0").unwrap_or(path);
    let text = std::str::from_utf8(path).ok()?;
    if let Some(of_plugin) = of_plugin(host, text) {
        return Some(of_plugin);
    }
    let exchange = host.exchange().ok()?;
    if let Some((_, value)) = exchange.properties.iter().find(|(set, _)| **set == *path) {
        return Some(Value::from_slice(value));
    }
    match text.split_once('\0').unwrap_or((text, "")) {
        ("request", name) => of_request(exchange, name),
        ("response", name) => of_response(exchange, name),
        ("source", "address") => Some(words(&exchange.facts.address.to_canonical().to_string())),
        ("connection", "mtls") => Some(flag(exchange.request.head.headers.contains_key("client-cert"))),
        ("route_name", _) | ("xds", "route_name") => Some(words(&exchange.facts.route)),
        ("cluster_name", _) | ("xds", "cluster_name") | ("upstream", "name") => Some(words(exchange.facts.upstream.as_deref()?)),
        _ => None,
    }
}

fn of_plugin(host: &Host, path: &str) -> Option<Value> {
    match path {
        "plugin_name" => Some(words(&host.plugin.name)),
        // Machines and roots have no names here, which is what they are in other hosts where nothing is configured.
        "plugin_root_id" | "plugin_vm_id" => Some(Value::new()),
        "plugin_version" => Some(words(&host.plugin.version)),
        // Inbound: what a gateway is to its backends.
        "listener_direction" => Some(number(1)),
        _ => None,
    }
}

fn of_request(exchange: &Exchange, name: &str) -> Option<Value> {
    let Side { head, received, .. } = &exchange.request;
    let Line::Request { method, uri, secure } = &head.line else { return None };
    let field = |name: header::HeaderName| head.headers.get(name).map(|value| Value::from_slice(value.as_bytes()));
    match name {
        "path" => Some(words(uri.path_and_query().map_or("/", |path| path.as_str()))),
        "url_path" => Some(words(uri.path())),
        "query" => Some(words(uri.query()?)),
        "method" => Some(words(method.as_str())),
        "scheme" => Some(words(scheme(*secure))),
        // Upstreams and filters are spoken to in this version, whatever the client speaks.
        "protocol" => Some(words("HTTP/1.1")),
        "host" => field(header::HOST),
        "referer" => field(header::REFERER),
        "useragent" => field(header::USER_AGENT),
        "id" => Some(words(&exchange.facts.id.to_string())),
        "time" => Some(number(nanoseconds(SystemTime::now()) - exchange.facts.began.elapsed().as_nanos() as i64)),
        "duration" => Some(number(exchange.facts.began.elapsed().as_nanos() as i64)),
        "size" => Some(number(*received as i64)),
        "total_size" => Some(number((*received as usize + size(head)) as i64)),
        "headers" => Some(map(head)),
        _ => head.get(name.strip_prefix("headers\0")?.as_bytes()),
    }
}

fn of_response(exchange: &Exchange, name: &str) -> Option<Value> {
    let Side { head, received, .. } = &exchange.response;
    let Line::Response(status) = &head.line else { return None };
    match name {
        "code" => Some(number(status.as_u16().into())),
        "size" => Some(number(*received as i64)),
        "total_size" => Some(number((*received as usize + size(head)) as i64)),
        "headers" => Some(map(head)),
        _ => head.get(name.strip_prefix("headers\0")?.as_bytes()),
    }
}

fn words(text: &str) -> Value {
    Value::from_slice(text.as_bytes())
}

fn number(number: i64) -> Value {
    Value::from_slice(&number.to_le_bytes())
}

fn flag(flag: bool) -> Value {
    Value::from_slice(&[u8::from(flag)])
}

fn map(head: &Head) -> Value {
    let mut value = Value::from_elem(0, pairs::size(head));
    pairs::write(head, &mut value);
    value
}

fn size(head: &Head) -> usize {
    let mut size = 0;
    head.each(|name, value| size += name.len() + value.len());
    size
}

fn nanoseconds(time: SystemTime) -> i64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64)
}
