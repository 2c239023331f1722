//! One address of an upstream. Names are resolved when the configuration is built and again from time to time, never
//! on a request's path; the last answer is kept when there is no new one.

use std::collections::HashMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use thiserror::Error;

/// An address of an upstream.
pub struct Endpoint {
    /// Unique for the life of the process.
    pub serial: u64,
    /// Small and dense, for tables indexed by it; given to another endpoint once this one is gone.
    pub index: usize,
    /// Host and port, as configured: for logs, and for `Host` where a request has none.
    pub authority: Box<str>,
    /// The host alone, for TLS.
    pub host: Box<str>,
    /// Whether it speaks TLS.
    pub tls: bool,
    addresses: ArcSwap<Vec<SocketAddr>>,
    turn: AtomicUsize,
    numbers: Arc<Mutex<Numbers>>,
}

/// Why an endpoint cannot be used.
#[derive(Debug, Error)]
pub enum EndpointError {
    /// Not a URL of the form `http://host:port`.
    #[error("{0:?} is not http://HOST:PORT or https://HOST:PORT")]
    NotAUrl(String),
}

impl Endpoint {
    /// The address to connect to; several that a name has are taken in turn. None while the name has none.
    pub fn address(&self) -> Option<SocketAddr> {
        let addresses = self.addresses.load();
        match addresses.len() {
            0 => None,
            1 => Some(addresses[0]),
            many => Some(addresses[self.turn.fetch_add(1, Ordering::Relaxed) % many]),
        }
    }

    /// Asks the resolver again. Blocks.
    pub fn resolve(&self) {
        match self.authority.to_socket_addrs() {
            Ok(found) => {
                let found: Vec<_> = found.collect();
                if !found.is_empty() && **self.addresses.load() != found {
                    self.addresses.store(Arc::new(found));
                }
            }
            Err(error) => tracing::warn!(endpoint = %self.authority, %error, "name not resolved; the last answer stays"),
        }
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.numbers.lock().free.push(self.index);
    }
}

/// Endpoints in use, by URL: one that stays in the configuration keeps its connections.
#[derive(Default)]
pub struct Endpoints {
    known: Mutex<HashMap<(Box<str>, bool), Weak<Endpoint>>>,
    numbers: Arc<Mutex<Numbers>>,
}

#[derive(Default)]
struct Numbers {
    serial: u64,
    next: usize,
    free: Vec<usize>,
}

impl Endpoints {
    /// The endpoint of that URL. Resolves its name if it is new, which blocks.
    pub fn get(&self, url: &str) -> Result<Arc<Endpoint>, EndpointError> {
        let (tls, authority, host) = parse(url).ok_or_else(|| EndpointError::NotAUrl(url.to_owned()))?;
        let mut known = self.known.lock();
        let key = (authority.clone().into_boxed_str(), tls);
        if let Some(endpoint) = known.get(&key).and_then(Weak::upgrade) {
            return Ok(endpoint);
        }
        let endpoint = Arc::new(self.make(authority, host, tls));
        endpoint.resolve();
        known.insert(key, Arc::downgrade(&endpoint));
        Ok(endpoint)
    }

    /// Those in use whose address is a name.
    pub fn named(&self) -> Vec<Arc<Endpoint>> {
        let mut known = self.known.lock();
        known.retain(|_, endpoint| endpoint.strong_count() > 0);
        let live = known.values().filter_map(Weak::upgrade);
        live.filter(|endpoint| endpoint.authority.parse::<SocketAddr>().is_err()).collect()
    }

    fn make(&self, authority: String, host: String, tls: bool) -> Endpoint {
        let mut numbers = self.numbers.lock();
        numbers.serial += 1;
        let index = numbers.free.pop().unwrap_or_else(|| {
            numbers.next += 1;
            numbers.next - 1
        });
        Endpoint {
            serial: numbers.serial,
            index,
            authority: authority.into(),
            host: host.into(),
            tls,
            addresses: ArcSwap::default(),
            turn: AtomicUsize::new(0),
            numbers: Arc::clone(&self.numbers),
        }
    }
}

/// TLS or not, `host:port`, host.
fn parse(url: &str) -> Option<(bool, String, String)> {
    let uri: http::Uri = url.parse().ok()?;
    let (tls, port) = match uri.scheme_str()? {
        "http" => (false, 80),
        "https" => (true, 443),
        _ => return None,
    };
    let host = uri.host()?;
    let port = uri.port_u16().unwrap_or(port);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    matches!(uri.path(), "" | "/").then(|| (tls, format!("{host}:{port}"), bare.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_become_addresses() {
        let endpoints = Endpoints::default();
        let endpoint = endpoints.get("http://127.0.0.1:9001").expect("a good URL");
        assert_eq!(endpoint.address(), Some("127.0.0.1:9001".parse().expect("an address")));
        assert!(endpoints.get("ftp://x").is_err() && endpoints.get("http://x/path").is_err(), "only origins");
    }

    #[test]
    fn the_same_url_is_the_same_endpoint_while_it_is_in_use() {
        let endpoints = Endpoints::default();
        let one = endpoints.get("http://127.0.0.1:1").expect("a good URL");
        let two = endpoints.get("http://127.0.0.1:1/").expect("a good URL");
        assert!(Arc::ptr_eq(&one, &two));
        let (index, serial) = (one.index, one.serial);
        drop((one, two));
        let again = endpoints.get("http://127.0.0.1:2").expect("a good URL");
        assert_eq!(again.index, index, "the number is free again");
        assert_ne!(again.serial, serial, "but not the serial");
    }
}
