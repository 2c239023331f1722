//! Upstreams: named groups of endpoints and how requests are spread over them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Secret;
use super::listener::Certificate;
use crate::config::text::{Address, HashOn, HedgeAfter, Statuses};
use crate::config::units::{Percent, Period, Size};

/// A named group of endpoints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// The name that routes use.
    pub name: String,
    /// Its addresses. May be empty only with `discovery`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<Endpoint>,
    /// Where further endpoints come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discovery: Option<Discovery>,
    /// Which version of HTTP its endpoints are spoken to in.
    #[serde(default)]
    pub protocol: Protocol,
    /// What is trusted and shown where an endpoint is `https://`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<UpstreamTls>,
    /// How an endpoint is chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance: Option<Balance>,
    /// How a failing endpoint is found and left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// When the whole upstream is given a rest, and what it may have at once; on with its defaults where nothing is said of
    /// it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub circuit_breaker: Option<CircuitBreaker>,
    /// When a request is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// How the gateway shows the upstream who it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<UpstreamAuth>,
    /// How long the upstream may take.
    #[serde(default)]
    pub timeouts: UpstreamTimeouts,
}

/// How the gateway shows the upstream who it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpstreamAuth {
    /// By a bearer token of its own (RFC 6749 §4.4). It takes the place of any `Authorization` of the client's.
    pub client_credentials: ClientCredentials,
}

/// Where the gateway's own token comes from. Upstreams that agree on all of this share one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientCredentials {
    /// The token endpoint; exactly one of this and `issuer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_url: Option<String>,
    /// The name of an issuer, which is asked where its token endpoint is (OpenID Connect Discovery, RFC 8414).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The gateway's own client id there.
    pub client_id: String,
    /// The gateway's own secret there.
    pub client_secret: Secret,
    /// What the token is to be good for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Whom the token is for, where the endpoint wants to be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
}

/// One address of an upstream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// `http://HOST:PORT` or `https://HOST:PORT`, without a path.
    pub url: String,
    /// Its share of the requests relative to the other endpoints; 0 takes it out of use.
    #[serde(default = "one")]
    pub weight: u32,
}

/// A version of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2, which gRPC needs: by prior knowledge to `http://` endpoints, by ALPN to `https://` ones.
    H2,
    /// What an `https://` endpoint chooses by ALPN; HTTP/1.1 to `http://` ones.
    Auto,
}

/// TLS to endpoints.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UpstreamTls {
    /// A PEM file of the authorities to trust, instead of the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// The name to ask for and to find in the certificate, instead of the endpoint's host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sni: Option<String>,
    /// What the gateway shows of itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<Certificate>,
}

/// How an endpoint is chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Balance {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// What `ring_hash` and `maglev` keep together. A request that has no such thing goes anywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash_on: Option<HashOn>,
    /// How far above its share of the requests in flight an endpoint may be before its keys go to the next one.
    pub overload: Percent,
    /// How long an endpoint that joins or comes back takes to get its whole share, beginning with a tenth; `0s` for at once.
    pub slow_start: Period,
    /// With a smaller share of the endpoints ready than this, those that fail their checks are used, too; `0%` for never.
    pub panic_threshold: Percent,
}

/// A way to choose an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// In turn, smoothly by weight.
    RoundRobin,
    /// The one of two that has fewer requests in flight.
    LeastRequest,
    /// The one of two with the lower latency times load.
    #[default]
    PeakEwma,
    /// By a hash ring.
    RingHash,
    /// By a Maglev table.
    Maglev,
    /// By chance.
    Random,
}

/// How a failing endpoint is found and left out.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Health {
    /// Ask each endpoint regularly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active: Option<ActiveHealth>,
    /// Watch the answers to real requests; on with its defaults where nothing is said of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outlier: Option<Outlier>,
}

/// Regular questions to each endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ActiveHealth {
    /// The path to ask for, with a query if need be.
    pub path: String,
    /// Statuses of good answers.
    #[serde(default = "success_or_redirect")]
    pub expect: Vec<Statuses>,
    /// The port to ask, where it is another one than that of requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Further headers; `host` replaces the endpoint's own name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The time between two questions, spread by 20 %. An unhealthy endpoint is asked after 1 s, then 2 s, up to 10 s.
    #[serde(default = "five_seconds")]
    pub interval: Period,
    /// How long an answer may take.
    #[serde(default = "one_second")]
    pub timeout: Period,
    /// Good answers in a row that bring an endpoint back. The first answer of all decides alone.
    #[serde(default = "two")]
    pub healthy: u32,
    /// Bad answers in a row that take an endpoint out.
    #[serde(default = "three")]
    pub unhealthy: u32,
}

/// When the answers to real requests take an endpoint out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Outlier {
    /// 5xx answers in a row; 0 for never.
    pub consecutive_5xx: u32,
    /// Failures in a row that are a gateway's: 502, 503, 504, no connection, no answer in time; 0 for never.
    pub consecutive_gateway: u32,
    /// With two or more requests waiting for this long, or for ten times as long as its answers take where that is more,
    /// and no answer of any kind while others are not silent, an endpoint goes out. Its next answer brings it back. `0s` for never.
    /// One request is enough where it may be repeated and another endpoint, asked as well, has answered it; that is not done
    /// where a hash keeps sessions together.
    pub silence: Period,
    /// Whether success rates are compared: of five or more endpoints with 100 requests in an interval each, those that are
    /// 1.9 standard deviations and 5 % below the mean go out.
    pub success_rate: bool,
    /// The time between two comparisons.
    pub interval: Period,
    /// How long an endpoint stays out, times the number of times it has been.
    pub base_ejection: Period,
    /// The longest that it stays out.
    pub max_ejection: Period,
    /// With this share of the endpoints out, no other goes: `50%` lets two of four or three of five go. One always stays.
    /// `0%` turns this off.
    pub max_ejected: Percent,
}

/// When the whole upstream is given a rest, and what it may have of the gateway at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CircuitBreaker {
    /// The time over which requests are counted.
    pub window: Period,
    /// The fewest requests in a window that are judged.
    pub min_requests: u32,
    /// The share of failed requests that opens the circuit: no connection, no answer in time, 502, 503, 504. `0%` for
    /// never, which turns the breaker off.
    pub failure_ratio: Percent,
    /// Answers slower than this count as slow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slow_threshold: Option<Period>,
    /// The share of slow answers that opens the circuit; `0%` for never.
    pub slow_ratio: Percent,
    /// Whether a 500 is a failure too.
    pub count_500: bool,
    /// How long the circuit stays open at first, give or take a fifth; each further time is twice as long.
    pub open: Period,
    /// The longest that it stays open, give or take a fifth.
    pub max_open: Period,
    /// The requests that are let through after that to find out; it closes when all of them succeed, and opens again with
    /// the first that does not.
    pub probes: u32,
    /// How long the traffic takes to come back after that, beginning with a tenth; `0s` for at once.
    pub ramp: Period,
    /// Requests in flight at once; more are answered 503 `overloaded`, as for `max_pending`.
    pub max_requests: u32,
    /// Requests that may wait for a connection at once.
    pub max_pending: u32,
    /// Bytes of request bodies that are kept at once for another try; beyond that, requests have one try.
    pub max_buffered: Size,
}

/// When a request is tried again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Retry {
    /// Tries in all, the first included.
    pub attempts: u32,
    /// What a request is tried again after, besides `statuses`. One that may have reached the endpoint is tried again only
    /// if it is idempotent: `GET`, `HEAD`, `OPTIONS`, `PUT`, `DELETE`.
    pub on: Vec<RetryOn>,
    /// Statuses that an idempotent request is tried again after.
    pub statuses: Vec<u16>,
    /// Retries as a share of the requests of the last 10 s.
    pub budget: Percent,
    /// Retries a second that the budget always allows.
    pub min_per_second: u32,
    /// The wait before the second try; it doubles from there, with jitter.
    pub backoff: Period,
    /// The longest wait.
    pub max_backoff: Period,
    /// How long one try may take to the head of its answer, where that is less than `timeouts.first_byte`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_try_timeout: Option<Period>,
    /// The largest request body that is kept for another try.
    pub buffer: Size,
    /// When a `GET` or `HEAD` that takes long is asked of a second endpoint, too, whose answer may come first; at most 5 % of
    /// the requests are, within the budget. Off where nothing is said of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hedge: Option<Hedge>,
}

/// When a second endpoint is asked before the first has answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Hedge {
    /// After this time, or after as long as that share of the upstream's answers takes at most.
    pub after: HedgeAfter,
}

/// What a request is tried again after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RetryOn {
    /// No connection: nothing was sent, so that every method is tried again.
    Connect,
    /// A connection that broke before there was a head. A request that the endpoint refused is tried again whatever its
    /// method.
    Reset,
    /// No head in time.
    Timeout,
}

/// Where further endpoints come from; exactly one of these.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Discovery {
    /// A DNS name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns: Option<DnsDiscovery>,
    /// Keys in etcd.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etcd: Option<EtcdDiscovery>,
    /// Endpoints register themselves through the admin API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub register: Option<RegisterDiscovery>,
}

/// Endpoints from DNS: each address is one. The last answer is used until there is a new one that names any.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DnsDiscovery {
    /// The name to look up.
    pub name: String,
    /// The port of each address: without it 80, or 443 with `tls`. An SRV record brings its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// What to ask for.
    #[serde(default)]
    pub record: DnsRecord,
    /// Speak TLS to the endpoints. Their certificates are to be for the name that was looked up, or the SRV record's target.
    #[serde(default)]
    pub tls: bool,
    /// Whom to ask, instead of the system's resolvers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<Address>,
    /// The shortest time between two lookups, however short the records' time to live is.
    #[serde(default = "five_seconds")]
    pub min_ttl: Period,
    /// The longest.
    #[serde(default = "one_minute")]
    pub max_ttl: Period,
}

/// A kind of DNS record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DnsRecord {
    /// A and AAAA.
    #[default]
    Address,
    /// SRV, with port and weight. Those of the lowest priority take all requests, unless their checks (`health.active`) have
    /// taken all of them out.
    Srv,
}

/// Endpoints from etcd.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EtcdDiscovery {
    /// Every key below it is one endpoint.
    pub prefix: String,
}

/// Endpoints that register themselves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RegisterDiscovery {
    /// How long a registration lasts without a renewal, where it does not say so itself.
    pub ttl: Period,
}

/// How long an upstream may take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UpstreamTimeouts {
    /// To connect, TLS included.
    pub connect: Period,
    /// From the end of the request to the head of the response.
    pub first_byte: Period,
    /// For the whole request, every try included; `0s` for no limit.
    pub request: Period,
    /// Between two pieces of a body.
    pub idle: Period,
    /// How long a connection without a request is kept.
    pub keep_alive: Period,
    /// How long nothing may move on an upgraded connection, such as a WebSocket.
    pub upgraded: Period,
}

impl Upstream {
    /// An upstream with every setting at its default.
    pub fn new(name: impl Into<String>, endpoints: Vec<Endpoint>) -> Self {
        Upstream {
            name: name.into(),
            endpoints,
            discovery: None,
            protocol: Protocol::default(),
            tls: None,
            balance: None,
            health: None,
            circuit_breaker: None,
            retry: None,
            auth: None,
            timeouts: UpstreamTimeouts::default(),
        }
    }
}

impl Default for Balance {
    fn default() -> Self {
        Balance {
            algorithm: Algorithm::default(),
            hash_on: None,
            overload: Percent::of(25.0),
            slow_start: Period::secs(30),
            panic_threshold: Percent::of(50.0),
        }
    }
}

impl Default for Outlier {
    fn default() -> Self {
        Outlier {
            consecutive_5xx: 5,
            consecutive_gateway: 5,
            silence: Period::secs(1),
            success_rate: true,
            interval: Period::secs(10),
            base_ejection: Period::secs(30),
            max_ejection: Period::secs(300),
            max_ejected: Percent::of(50.0),
        }
    }
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        CircuitBreaker {
            window: Period::secs(10),
            min_requests: 20,
            failure_ratio: Percent::of(50.0),
            slow_threshold: None,
            slow_ratio: Percent::of(50.0),
            count_500: false,
            open: Period::secs(5),
            max_open: Period::secs(60),
            probes: 5,
            ramp: Period::secs(10),
            max_requests: 4096,
            max_pending: 256,
            max_buffered: Size::mib(16),
        }
    }
}

impl Default for Retry {
    fn default() -> Self {
        Retry {
            attempts: 2,
            on: vec![RetryOn::Connect, RetryOn::Reset, RetryOn::Timeout],
            statuses: vec![502, 503, 504],
            budget: Percent::of(20.0),
            min_per_second: 10,
            backoff: Period::millis(25),
            max_backoff: Period::millis(250),
            per_try_timeout: None,
            buffer: Size::kib(64),
            hedge: None,
        }
    }
}

impl Default for Hedge {
    fn default() -> Self {
        Hedge { after: HedgeAfter::Percentile(95) }
    }
}

impl Default for RegisterDiscovery {
    fn default() -> Self {
        RegisterDiscovery { ttl: Period::secs(10) }
    }
}

impl Default for UpstreamTimeouts {
    fn default() -> Self {
        UpstreamTimeouts {
            connect: Period::secs(1),
            first_byte: Period::secs(15),
            request: Period::secs(30),
            idle: Period::secs(60),
            keep_alive: Period::secs(60),
            upgraded: Period::secs(600),
        }
    }
}

fn success_or_redirect() -> Vec<Statuses> {
    vec![Statuses { first: 200, last: 399 }]
}

fn one() -> u32 {
    1
}

fn two() -> u32 {
    2
}

fn three() -> u32 {
    3
}

fn one_second() -> Period {
    Period::secs(1)
}

fn five_seconds() -> Period {
    Period::secs(5)
}

fn one_minute() -> Period {
    Period::secs(60)
}
