//! One address of an upstream, the same for all routes, workers and revisions for as long as one of them refers to it.
//! Names are resolved when the configuration is built and again from time to time, never on a request's path; the last
//! answer is kept when there is no new one.

use std::collections::HashMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use thiserror::Error;

use super::siblings::Siblings;
use super::vitals::{SEED, Vitals};

/// An address of an upstream.
pub struct Endpoint {
    /// Unique for the life of the process.
    pub serial: u64,
    /// Small and dense, for tables indexed by it; given to another endpoint once this one is gone.
    pub index: usize,
    /// Where and what it is.
    pub origin: Origin,
    /// How it fares.
    pub vitals: Vitals,
    /// What it shares with the other endpoints of its upstream.
    pub siblings: Arc<Siblings>,
    addresses: ArcSwap<Vec<SocketAddr>>,
    turn: AtomicUsize,
    life: Arc<()>,
    numbers: Arc<Mutex<Numbers>>,
}

/// Where an endpoint is, and who it says it is there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// Host and port, as configured or found: for logs, and for `Host` where a request has none.
    pub authority: Box<str>,
    /// The host alone, for TLS. Where DNS found the endpoint, the name that it was found by.
    pub host: Box<str>,
    /// Whether it speaks TLS.
    pub tls: bool,
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

    /// Dangling once the endpoint is gone.
    pub(super) fn life(&self) -> Weak<()> {
        Arc::downgrade(&self.life)
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

impl Deref for Endpoint {
    type Target = Origin;

    fn deref(&self) -> &Origin {
        &self.origin
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.numbers.lock().free.push(self.index);
        if self.vitals.flags().is_ejected() {
            self.siblings.pardoned();
        }
    }
}

/// Endpoints in use, by upstream and URL: one that stays in the configuration keeps its connections and its vital signs.
#[derive(Default)]
pub struct Endpoints {
    upstreams: Mutex<HashMap<Arc<str>, Weak<Siblings>>>,
    numbers: Arc<Mutex<Numbers>>,
}

#[derive(Default)]
struct Numbers {
    serial: u64,
    next: usize,
    free: Vec<usize>,
}

impl Endpoints {
    /// The endpoint of that URL in that upstream, and whether it is new. Resolves its name if it is, which blocks.
    pub fn get(&self, siblings: &Arc<Siblings>, url: &str) -> Result<(Arc<Endpoint>, bool), EndpointError> {
        let origin = Origin::parse(url).ok_or_else(|| EndpointError::NotAUrl(url.to_owned()))?;
        Ok(self.find_or_make(siblings, &origin, Endpoint::resolve))
    }

    /// The endpoints of these URLs in that upstream. Those that join others begin slowly; the first of an upstream do
    /// not, since nobody else would take their share. Resolves new names, which blocks.
    pub fn group(&self, siblings: &Arc<Siblings>, urls: &[&str]) -> Vec<Result<Arc<Endpoint>, EndpointError>> {
        let welcome = welcome(siblings);
        urls.iter().map(|url| self.get(siblings, url).map(&welcome)).collect()
    }

    /// The endpoints of these origins in that upstream, like `group`, whose addresses are known already.
    pub fn found<'a>(&self, siblings: &Arc<Siblings>, found: impl Iterator<Item = (&'a Origin, &'a [SocketAddr])>) -> Vec<Arc<Endpoint>> {
        let welcome = welcome(siblings);
        let get = |(origin, addresses): (&Origin, &[SocketAddr])| {
            self.find_or_make(siblings, origin, |endpoint| endpoint.addresses.store(Arc::new(addresses.to_vec())))
        };
        found.map(|found| welcome(get(found))).collect()
    }

    fn find_or_make(&self, siblings: &Arc<Siblings>, origin: &Origin, prepare: impl FnOnce(&Endpoint)) -> (Arc<Endpoint>, bool) {
        if let Some(endpoint) = siblings.find(origin) {
            return (endpoint, false);
        }
        let endpoint = self.make(siblings, origin.clone());
        prepare(&endpoint);
        match siblings.add(endpoint) {
            Ok(endpoint) => (endpoint, true),
            Err(endpoint) => (endpoint, false),
        }
    }

    /// What the endpoints of that upstream share.
    pub fn siblings(&self, upstream: &str) -> Arc<Siblings> {
        let mut upstreams = self.upstreams.lock();
        if let Some(siblings) = upstreams.get(upstream).and_then(Weak::upgrade) {
            return siblings;
        }
        let siblings = Arc::new(Siblings::new(upstream));
        upstreams.insert(Arc::clone(&siblings.upstream), Arc::downgrade(&siblings));
        siblings
    }

    /// Every upstream that is in use, in no order.
    pub fn upstreams(&self) -> Vec<Arc<Siblings>> {
        let mut upstreams = self.upstreams.lock();
        upstreams.retain(|_, siblings| siblings.strong_count() > 0);
        upstreams.values().filter_map(Weak::upgrade).collect()
    }

    /// Those in use whose address is a name.
    pub fn named(&self) -> Vec<Arc<Endpoint>> {
        let live = self.upstreams().into_iter().flat_map(|siblings| siblings.all());
        live.filter(|endpoint| endpoint.authority.parse::<SocketAddr>().is_err()).collect()
    }

    fn make(&self, siblings: &Arc<Siblings>, origin: Origin) -> Endpoint {
        let mut numbers = self.numbers.lock();
        numbers.serial += 1;
        let index = numbers.free.pop().unwrap_or_else(|| {
            numbers.next += 1;
            numbers.next - 1
        });
        Endpoint {
            serial: numbers.serial,
            index,
            origin,
            vitals: Vitals::new(Instant::now(), SEED, false),
            siblings: Arc::clone(siblings),
            addresses: ArcSwap::default(),
            turn: AtomicUsize::new(0),
            life: Arc::default(),
            numbers: Arc::clone(&self.numbers),
        }
    }
}

/// Begins the slow start of whoever is new among endpoints that there are already.
fn welcome(siblings: &Siblings) -> impl Fn((Arc<Endpoint>, bool)) -> Arc<Endpoint> {
    let now = Instant::now();
    let (joins, latency) = (!siblings.all().is_empty(), siblings.typical_latency(now));
    move |(endpoint, is_new)| {
        if is_new && joins {
            endpoint.vitals.ramp(now, latency);
        }
        endpoint
    }
}

impl Origin {
    /// Its URL.
    pub fn url(&self) -> String {
        format!("{}://{}", if self.tls { "https" } else { "http" }, self.authority)
    }

    /// The origin of a URL such as `http://10.0.0.1:9001`. None if it is not one.
    pub fn parse(url: &str) -> Option<Self> {
        let uri: http::Uri = url.parse().ok()?;
        let (tls, port) = match uri.scheme_str()? {
            "http" => (false, 80),
            "https" => (true, 443),
            _ => return None,
        };
        let host = uri.host()?;
        let port = uri.port_u16().unwrap_or(port);
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        matches!(uri.path(), "" | "/").then(|| Self { authority: format!("{host}:{port}").into(), host: bare.into(), tls })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(endpoints: &Endpoints, url: &str) -> Result<Arc<Endpoint>, EndpointError> {
        endpoints.group(&endpoints.siblings("orders"), &[url]).pop().expect("one for each URL")
    }

    #[test]
    fn urls_become_addresses() {
        let endpoints = Endpoints::default();
        let endpoint = get(&endpoints, "http://127.0.0.1:9001").expect("a good URL");
        assert_eq!(endpoint.address(), Some("127.0.0.1:9001".parse().expect("an address")));
        assert!(get(&endpoints, "ftp://x").is_err() && get(&endpoints, "http://x/path").is_err(), "only origins");
    }

    #[test]
    fn the_same_url_is_the_same_endpoint_while_it_is_in_use() {
        let endpoints = Endpoints::default();
        let one = get(&endpoints, "http://127.0.0.1:1").expect("a good URL");
        let two = get(&endpoints, "http://127.0.0.1:1/").expect("a good URL");
        assert!(Arc::ptr_eq(&one, &two));
        let (index, serial) = (one.index, one.serial);
        drop((one, two));
        let again = get(&endpoints, "http://127.0.0.1:2").expect("a good URL");
        assert_eq!(again.index, index, "the number is free again");
        assert_ne!(again.serial, serial, "but not the serial");
    }

    #[test]
    fn two_upstreams_do_not_share_an_endpoint() {
        let endpoints = Endpoints::default();
        let url = ["http://127.0.0.1:1"];
        let one = endpoints.group(&endpoints.siblings("one"), &url).pop().expect("one for each URL").expect("a good URL");
        let two = endpoints.group(&endpoints.siblings("two"), &url).pop().expect("one for each URL").expect("a good URL");
        assert!(!Arc::ptr_eq(&one, &two), "each upstream judges for itself");
    }

    #[test]
    fn who_joins_others_begins_slowly() {
        let endpoints = Endpoints::default();
        let siblings = endpoints.siblings("orders");
        let first: Vec<_> = endpoints.group(&siblings, &["http://127.0.0.1:1", "http://127.0.0.1:2"]).into_iter().flatten().collect();
        assert!(first.iter().all(|endpoint| !endpoint.vitals.flags().is_ramping()), "the first have nobody to spare them");
        let now: Vec<_> = endpoints.group(&siblings, &["http://127.0.0.1:2", "http://127.0.0.1:3"]).into_iter().flatten().collect();
        let ramping: Vec<bool> = now.iter().map(|endpoint| endpoint.vitals.flags().is_ramping()).collect();
        assert_eq!(ramping, [false, true], "the one that was there goes on, the new one starts");
    }

    #[test]
    fn nothing_is_kept_of_upstreams_that_are_gone() {
        let endpoints = Endpoints::default();
        drop(get(&endpoints, "http://127.0.0.1:1").expect("a good URL"));
        assert!(endpoints.upstreams().is_empty());
    }
}
