//! The built-in plugins, each in a gateway as it is shipped: `contract.md`, "Built-in plugins".

mod access;
mod aggregate;
mod api_key;
mod basic_auth;
mod cors;
mod jwt;
mod rate_limit;
mod simple;
mod transform;

use gatehouse_tests::Gateway;

/// A gateway with one route: this chain, in front of these upstreams.
async fn start(chain: &str, upstreams: &[(&str, String)]) -> Gateway {
    let list: Vec<_> = upstreams.iter().map(|(name, url)| format!("{{name: {name}, endpoints: [{{url: \"{url}\"}}]}}")).collect();
    let to = upstreams.first().map_or(String::new(), |(name, _)| format!(", upstream: {name}"));
    Gateway::start(&format!("upstreams: [{}]\nroutes: [{{name: all, chain: [{chain}]{to}}}]\n", list.join(", "))).await
}
