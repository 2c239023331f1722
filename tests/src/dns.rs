//! A DNS server on loopback that says what tests want, and counts what it is asked.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    str::FromStr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU8, Ordering},
    },
};

use hickory_server::{
    Server,
    net::runtime::Time,
    proto::{
        op::{Header, HeaderCounts, Metadata, ResponseCode},
        rr::{
            Name, RData, Record, RecordType,
            rdata::{A, AAAA, SRV},
        },
    },
    server::{Request, RequestHandler, ResponseHandler, ResponseInfo},
    zone_handler::MessageResponseBuilder,
};
use tokio::net::UdpSocket;

const ANSWERS: u8 = 0;
const FAILS: u8 = 1;
const SILENT: u8 = 2;

/// A server on a UDP port of its own.
pub struct NameServer {
    address: SocketAddr,
    zone: Arc<Zone>,
    _server: Server<Handler>,
}

#[derive(Default)]
struct Zone {
    records: Mutex<HashMap<(Name, RecordType), Vec<Record>>>,
    queries: Mutex<HashMap<(Name, RecordType), usize>>,
    mode: AtomicU8,
}

struct Handler(Arc<Zone>);

impl NameServer {
    /// Starts a server that knows no name.
    ///
    /// # Panics
    /// When the machine has no port left.
    pub async fn start() -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// The same on a port that must be free.
    ///
    /// # Panics
    /// When it is not.
    pub async fn start_at(address: SocketAddr) -> Self {
        let socket = UdpSocket::bind(address).await.expect("the port is free");
        let address = socket.local_addr().expect("a bound socket has an address");
        let zone = Arc::<Zone>::default();
        let mut server = Server::new(Handler(Arc::clone(&zone)));
        server.register_socket(socket);
        Self { address, zone, _server: server }
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Has a name stand for these addresses, and no others, for `ttl` seconds.
    pub fn set_addresses(&self, host: &str, ttl: u32, addresses: &[&str]) {
        let all: Vec<IpAddr> = addresses.iter().map(|address| address.parse().expect("an IP address")).collect();
        let v4 = all.iter().filter_map(|address| if let IpAddr::V4(address) = address { Some(RData::A(A(*address))) } else { None });
        let v6 = all.iter().filter_map(|address| if let IpAddr::V6(address) = address { Some(RData::AAAA(AAAA(*address))) } else { None });
        self.set(host, RecordType::A, ttl, v4.collect());
        self.set(host, RecordType::AAAA, ttl, v6.collect());
    }

    /// Has a name stand for these services: priority, weight, port, host.
    pub fn set_services(&self, service: &str, ttl: u32, services: &[(u16, u16, u16, &str)]) {
        let data = services.iter().map(|(priority, weight, port, host)| RData::SRV(SRV::new(*priority, *weight, *port, name(host))));
        self.set(service, RecordType::SRV, ttl, data.collect());
    }

    /// Answers every question from now on.
    pub fn answer(&self) {
        self.zone.mode.store(ANSWERS, Ordering::Relaxed);
    }

    /// Says from now on that it cannot answer.
    pub fn fail(&self) {
        self.zone.mode.store(FAILS, Ordering::Relaxed);
    }

    /// Says nothing at all from now on.
    pub fn fall_silent(&self) {
        self.zone.mode.store(SILENT, Ordering::Relaxed);
    }

    /// How often it was asked for the IPv4 addresses of a name.
    ///
    /// # Panics
    /// When a test panicked with the list.
    #[must_use]
    pub fn queries(&self, host: &str) -> usize {
        let queries = self.zone.queries.lock().expect("nobody panics with the list");
        queries.get(&(name(host), RecordType::A)).copied().unwrap_or_default()
    }

    fn set(&self, host: &str, kind: RecordType, ttl: u32, data: Vec<RData>) {
        let records = data.into_iter().map(|data| Record::from_rdata(name(host), ttl, data)).collect();
        self.zone.records.lock().expect("nobody panics with the list").insert((name(host), kind), records);
    }
}

fn name(text: &str) -> Name {
    let mut name = Name::from_str(text).expect("a name");
    name.set_fqdn(true);
    name
}

impl Zone {
    /// What there is to say to a question; none for nothing at all.
    fn reply(&self, request: &Request) -> Option<(ResponseCode, Vec<Record>)> {
        let Ok(info) = request.request_info() else { return Some((ResponseCode::FormErr, Vec::new())) };
        let question = (Name::from(info.query.name()), info.query.query_type());
        *self.queries.lock().expect("nobody panics with the list").entry(question.clone()).or_default() += 1;
        let records = self.records.lock().expect("nobody panics with the list");
        match self.mode.load(Ordering::Relaxed) {
            SILENT => None,
            FAILS => Some((ResponseCode::ServFail, Vec::new())),
            _ if !records.keys().any(|(name, _)| *name == question.0) => Some((ResponseCode::NXDomain, Vec::new())),
            _ => Some((ResponseCode::NoError, records.get(&question).cloned().unwrap_or_default())),
        }
    }
}

// What `#[async_trait]` would write, which is all that it would be needed for.
impl RequestHandler for Handler {
    fn handle_request<'a, 'b, 'async_trait, R: ResponseHandler + 'async_trait, T: Time + 'async_trait>(
        &'a self,
        request: &'b Request,
        mut response_handle: R,
    ) -> Pin<Box<dyn Future<Output = ResponseInfo> + Send + 'async_trait>>
    where
        'a: 'async_trait,
        'b: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(async move {
            let mut metadata = Metadata::response_from_request(&request.metadata);
            let unsent = ResponseInfo::from(Header { metadata, counts: HeaderCounts::default() });
            let Some((code, records)) = self.0.reply(request) else { return unsent };
            metadata.response_code = code;
            let response = MessageResponseBuilder::from_message_request(request).build(metadata, &records, [], [], []);
            response_handle.send_response(response).await.unwrap_or(unsent)
        })
    }
}
