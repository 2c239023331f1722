//! Asking for records, and remembering what they were. Only here is hickory known.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};
use hickory_resolver::{ResolverBuilder, TokioResolver};
use tokio::task::JoinSet;

use super::answers::{Addresses, Answer, Service, at_addresses, at_services};
use super::{Answered, Record, Settings, Trouble};

/// How long a server may take, and how often it is asked again.
const TIMEOUT: Duration = Duration::from_secs(2);
const ATTEMPTS: usize = 1;
/// Hosts of SRV records that are looked up at once.
const AT_ONCE: usize = 16;

/// Looks one name up again and again.
pub struct Lookups {
    settings: Settings,
    /// Made when it is needed, and made again after a failure: what the system says of resolvers may have changed.
    resolver: Option<Arc<TokioResolver>>,
    /// By name.
    known: HashMap<String, Addresses>,
}

impl Lookups {
    /// Nothing is known yet.
    pub fn new(settings: Settings) -> Self {
        Self { settings, resolver: None, known: HashMap::new() }
    }

    /// What the name stands for now, with what was known before where no answer was had.
    pub async fn ask(&mut self) -> Result<Answered, Trouble> {
        let resolver = self.resolver()?;
        // This source decides itself how long answers are good for.
        resolver.clear_cache();
        let answered = match self.settings.record {
            Record::Address(port) => self.addresses(&resolver, port).await,
            Record::Srv => self.services(&resolver).await,
        };
        if !matches!(answered, Ok(Answered { trouble: None, .. })) {
            self.resolver = None;
        }
        answered
    }

    fn resolver(&mut self) -> Result<Arc<TokioResolver>, Trouble> {
        if let Some(resolver) = &self.resolver {
            return Ok(Arc::clone(resolver));
        }
        let resolver = Arc::new(make(&self.settings.servers).map_err(|error| Trouble::Failed(error.to_string()))?);
        self.resolver = Some(Arc::clone(&resolver));
        Ok(resolver)
    }

    async fn addresses(&mut self, resolver: &Arc<TokioResolver>, port: u16) -> Result<Answered, Trouble> {
        let name = self.settings.name.clone();
        let (ttl, trouble) = self.learn(resolver, vec![(name.clone(), name.clone())]).await;
        let targets = self.known.get(&name).map(|known| at_addresses(&name, known, port, self.settings.tls));
        answered(targets.unwrap_or_default(), ttl, trouble)
    }

    async fn services(&mut self, resolver: &Arc<TokioResolver>) -> Result<Answered, Trouble> {
        let (services, mut ttl) = services(resolver, &self.settings.name).await?;
        let mut hosts: Vec<String> = services.iter().map(|service| service.host.clone()).collect();
        hosts.sort_unstable();
        hosts.dedup();
        self.known.retain(|host, _| hosts.binary_search(host).is_ok());
        // The dot says that the name is whole, and not to be searched for in the system's domains.
        let names = hosts.into_iter().map(|host| (format!("{host}."), host)).collect();
        let (shortest, trouble) = self.learn(resolver, names).await;
        ttl = ttl.min(shortest);
        answered(at_services(&services, &self.known, self.settings.tls), ttl, trouble)
    }

    /// Looks up the addresses of names, each as it is asked for and as it is known. How long all of them are good for, and the last trouble there was with any.
    async fn learn(&mut self, resolver: &Arc<TokioResolver>, names: Vec<(String, String)>) -> (Duration, Option<Trouble>) {
        let (mut ttl, mut trouble) = (Duration::MAX, None);
        let (mut names, mut lookups) = (names.into_iter(), JoinSet::new());
        loop {
            for (question, name) in names.by_ref().take(AT_ONCE - lookups.len()) {
                let resolver = Arc::clone(resolver);
                lookups.spawn(async move { (addresses_of(&resolver, &question).await, name) });
            }
            let Some(looked_up) = lookups.join_next().await else { return (ttl, trouble) };
            let Ok((((v4, first), (v6, second)), name)) = looked_up else { continue };
            ttl = ttl.min(first).min(second);
            trouble = self.known.entry(name).or_default().learn(v4, v6).err().or(trouble);
        }
    }
}

/// An answer, if it names any endpoint.
fn answered(targets: Vec<super::Target>, ttl: Duration, trouble: Option<Trouble>) -> Result<Answered, Trouble> {
    match targets.is_empty() {
        true => Err(trouble.unwrap_or(Trouble::Empty)),
        false => Ok(Answered { targets, ttl, trouble }),
    }
}

fn make(servers: &[SocketAddr]) -> Result<TokioResolver, NetError> {
    let mut builder = match servers {
        [] => TokioResolver::builder_tokio()?,
        servers => of(servers),
    };
    let options = builder.options_mut();
    options.timeout = TIMEOUT;
    options.attempts = ATTEMPTS;
    builder.build()
}

/// Asks these alone, in the order that they answer best.
fn of(servers: &[SocketAddr]) -> ResolverBuilder<TokioRuntimeProvider> {
    let server = |server: &SocketAddr| {
        let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
            connection.port = server.port();
            connection
        });
        NameServerConfig::new(server.ip(), true, connections.into())
    };
    let config = ResolverConfig::from_parts(None, Vec::new(), servers.iter().map(server).collect());
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
}

type Timed<T> = (Answer<T>, Duration);

async fn addresses_of(resolver: &TokioResolver, name: &str) -> (Timed<IpAddr>, Timed<IpAddr>) {
    let address = |data: &RData| match data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        RData::AAAA(address) if has_route(address.0) => Some(IpAddr::V6(address.0)),
        _ => None,
    };
    tokio::join!(ask(resolver, name, RecordType::A, address), ask(resolver, name, RecordType::AAAA, address))
}

/// Whether this machine can send anything there at all. Many have no IPv6, and names have AAAA records all the same: half of the
/// endpoints would only ever fail. Connecting a UDP socket asks the routing table, and sends nothing.
fn has_route(address: Ipv6Addr) -> bool {
    const DISCARD: u16 = 9;
    UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).and_then(|socket| socket.connect((address, DISCARD))).is_ok()
}

async fn services(resolver: &TokioResolver, name: &str) -> Result<(Vec<Service>, Duration), Trouble> {
    let service = |data: &RData| match data {
        // A lone dot says that there is decidedly no such service (RFC 2782).
        RData::SRV(srv) if !srv.target.is_root() => {
            let host = srv.target.to_ascii();
            Some(Service {
                priority: srv.priority,
                weight: srv.weight,
                port: srv.port,
                host: host.strip_suffix('.').unwrap_or(&host).to_owned(),
            })
        }
        _ => None,
    };
    match ask(resolver, name, RecordType::SRV, service).await {
        (Answer::Records(services), ttl) => Ok((services, ttl)),
        (Answer::Nothing, _) => Err(Trouble::Empty),
        (Answer::Failed(cause), _) => Err(Trouble::Failed(cause)),
    }
}

/// Asks one question. How long an answer is good for is said by the shortest-lived of its records, the aliases included.
async fn ask<T>(resolver: &TokioResolver, name: &str, kind: RecordType, read: impl Fn(&RData) -> Option<T>) -> Timed<T> {
    let lookup = match resolver.lookup(name, kind).await {
        Ok(lookup) => lookup,
        Err(error) if error.is_no_records_found() => return (Answer::Nothing, Duration::MAX),
        Err(error) => return (Answer::Failed(error.to_string()), Duration::MAX),
    };
    let ttl = lookup.answers().iter().map(|record| record.ttl).min();
    let records: Vec<T> = lookup.answers().iter().filter_map(|record| read(&record.data)).collect();
    let ttl = ttl.map_or(Duration::MAX, |ttl| Duration::from_secs(ttl.into()));
    match records.is_empty() {
        true => (Answer::Nothing, ttl),
        false => (Answer::Records(records), ttl),
    }
}
