//! The endpoints of an upstream, from its part of the document: those that are named there, and where others come from.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::config::document::{self, DnsRecord};
use crate::config::{Code, KeyPath};
use crate::upstream::discovery::{self, dns};
use crate::upstream::siblings::Siblings;
use crate::upstream::{Discovered, Endpoint};

use super::Build;

impl Build<'_> {
    /// Those that are named, with their weights.
    pub(super) fn endpoints(
        &mut self,
        configured: &document::Upstream,
        siblings: &Arc<Siblings>,
        path: &KeyPath,
    ) -> Vec<(Arc<Endpoint>, u32)> {
        let urls: Vec<&str> = configured.endpoints.iter().map(|endpoint| endpoint.url.as_str()).collect();
        let mut endpoints = Vec::new();
        for (place, found) in self.builder.endpoints.group(siblings, &urls).into_iter().enumerate() {
            let endpoint = &configured.endpoints[place];
            match found {
                Ok(found) => endpoints.push((found, endpoint.weight)),
                Err(error) => {
                    self.found(path.clone().key("endpoints").index(place).key("url"), Code::Value, &endpoint.url, error.to_string())
                }
            }
        }
        endpoints
    }

    /// Those that come and go, besides the ones that are named.
    pub(super) fn discovered(&self, configured: &document::Upstream, fixed: &[(Arc<Endpoint>, u32)]) -> Option<Discovered> {
        let discovery = configured.discovery.as_ref()?;
        let ttl = discovery.register.clone().unwrap_or_default().ttl.into();
        let source = self.builder.discovery.get(source(&configured.name, discovery)?);
        Some(Discovered::new(source, ttl, fixed.to_vec(), Arc::clone(&self.builder.endpoints)))
    }
}

/// None for sources that are not in force.
fn source(upstream: &str, configured: &document::Discovery) -> Option<discovery::Settings> {
    if let Some(dns) = &configured.dns {
        return Some(discovery::Settings::Dns(lookups(dns)));
    }
    configured.register.as_ref().map(|_| discovery::Settings::Register(upstream.into()))
}

fn lookups(configured: &document::DnsDiscovery) -> dns::Settings {
    let port = configured.port.unwrap_or(if configured.tls { 443 } else { 80 });
    dns::Settings {
        name: configured.name.clone(),
        record: match configured.record {
            DnsRecord::Address => dns::Record::Address(port),
            DnsRecord::Srv => dns::Record::Srv,
        },
        tls: configured.tls,
        servers: configured.servers.iter().map(|server| server.0).collect::<Vec<SocketAddr>>(),
        least: configured.min_ttl.into(),
        most: configured.max_ttl.into(),
    }
}
