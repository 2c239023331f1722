//! What was shown, as one line of JSON.

use alloc::{
    format,
    string::{String, ToString},
};

use serde_json::{Map, Value, json};

use crate::{
    bindings::{Client, Field, Header, IpAddress, Method, Request, Response, Scheme},
    settings::Settings,
};

/// Everything a request showed.
pub fn of_request(request: &Request, settings: &Settings) -> String {
    json!({
        "id": format!("{:016x}{:016x}", request.id.0, request.id.1),
        "method": method(&request.method),
        "scheme": match request.scheme { Scheme::Http => "http", Scheme::Https => "https" },
        "path": request.path_with_query,
        "address": address(&request.address),
        "headers": declared(&request.headers, &settings.request_headers),
        "others": others(request.others.as_deref()),
        "client": request.client.as_ref().map(client),
        "body": request.body.as_deref().map(String::from_utf8_lossy),
    })
    .to_string()
}

/// Everything a response showed, with what was kept of its request.
pub fn of_response(response: &Response, settings: &Settings) -> String {
    let state = response.state.as_deref().and_then(|state| serde_json::from_slice::<Value>(state).ok());
    json!({
        "id": format!("{:016x}{:016x}", response.id.0, response.id.1),
        "status": response.status,
        "headers": declared(&response.headers, &settings.response_headers),
        "others": others(response.others.as_deref()),
        "client": response.client.as_ref().map(client),
        "state": state,
        "from_gateway": response.from_gateway,
        "body": response.body.as_deref().map(String::from_utf8_lossy),
    })
    .to_string()
}

fn method(method: &Method) -> &str {
    match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
        Method::Patch => "PATCH",
        Method::Options => "OPTIONS",
        Method::Other(name) => name,
    }
}

fn address(address: &IpAddress) -> String {
    match address {
        IpAddress::Ipv4(bits) => core::net::Ipv4Addr::from_bits(*bits).to_string(),
        IpAddress::Ipv6((high, low)) => core::net::Ipv6Addr::from_bits(u128::from(*high) << 64 | u128::from(*low)).to_string(),
    }
}

/// Pairs of name and value, in order; a name that was not declared reads `?`.
fn declared(headers: &[Header], names: &[String]) -> Value {
    let name = |header: &Header| names.get(header.index as usize).map_or("?", String::as_str);
    headers.iter().map(|header| json!([name(header), String::from_utf8_lossy(&header.value)])).collect()
}

fn others(fields: Option<&[Field]>) -> Value {
    let Some(fields) = fields else { return Value::Null };
    let pair = |field: &Field| (field.name.clone(), Value::from(String::from_utf8_lossy(&field.value)));
    Value::Object(fields.iter().map(pair).collect::<Map<_, _>>())
}

fn client(client: &Client) -> Value {
    json!({
        "name": client.name,
        "method": client.method,
        "issuer": client.issuer,
        "scopes": client.scopes,
        "plan": client.plan,
        "claims": client.claims.as_deref().and_then(|claims| serde_json::from_str::<Value>(claims).ok()),
    })
}
