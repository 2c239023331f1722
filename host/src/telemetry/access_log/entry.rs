//! Entries: what the log says about one request. All fields are borrowed, nothing is formatted yet.
//! There is no field for a query, a header or a credential, so none of them can be logged.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

/// One request, as the log tells it.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// When the request arrived.
    pub time: SystemTime,
    /// The request id, as the client and the upstream saw it.
    pub request_id: &'a [u8],
    /// The listener's name.
    pub listener: &'a str,
    /// The client's address, after trusted proxies.
    pub client_address: IpAddr,
    /// The method.
    pub method: &'a str,
    /// The host that was asked for. A user before it is cut off.
    pub host: &'a [u8],
    /// The path that was asked for. A query is cut off: its values may be secrets.
    pub path: &'a [u8],
    /// The protocol of the client's connection.
    pub protocol: Protocol,
    /// The route's name.
    pub route: Option<&'a str>,
    /// The upstream's name.
    pub upstream: Option<&'a str>,
    /// The endpoint that the last try went to.
    pub endpoint: Option<&'a str>,
    /// The authenticated client's name.
    pub client: Option<&'a str>,
    /// The status that the client got; 0 where it was gone before.
    pub status: u16,
    /// What was out of the ordinary.
    pub flags: Flags,
    /// The plugin that replied or faulted.
    pub plugin: Option<&'a str>,
    /// The reason of the gateway's own answer.
    pub error: Option<&'a str>,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the response's body.
    pub bytes_out: u64,
    /// From the first byte of the head to the last of the answer.
    pub duration: Duration,
    /// Time in upstreams; none where no upstream was asked.
    pub upstream_duration: Option<Duration>,
    /// The gateway's own share.
    pub overhead: Duration,
    /// Tries of upstreams.
    pub attempts: u32,
    /// Time in each plugin, for the requests where it was measured. A plugin named twice is added up.
    pub plugins: &'a [(&'a str, Duration)],
    /// The revision of the snapshot that served.
    pub revision: u64,
    /// The trace that the request belongs to, as 32 hex digits; none where the gateway does not trace.
    pub trace_id: Option<&'a [u8]>,
    /// The client's software, as it calls itself.
    pub user_agent: Option<&'a [u8]>,
}

/// The protocol of a client's connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
    /// HTTP/2
    Http2,
}

/// Something out of the ordinary about a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flag {
    /// NR: no route matched.
    NoRoute,
    /// UH: the upstream has no healthy endpoint.
    NoHealthyEndpoint,
    /// UC: the upstream could not be connected.
    UpstreamConnect,
    /// UR: the upstream closed or reset in the middle.
    UpstreamReset,
    /// UT: the upstream was too slow.
    UpstreamTimeout,
    /// CB: the circuit was open.
    CircuitOpen,
    /// UO: the gateway or the upstream had no room.
    Overloaded,
    /// PF: a plugin faulted.
    PluginFault,
    /// PR: a plugin replied.
    PluginReply,
    /// AU: a plugin replied with 401 or 403.
    Unauthorized,
    /// RL: a plugin replied with 429.
    RateLimited,
    /// BR: the request was malformed.
    BadRequest,
    /// TL: a body was too large.
    TooLarge,
    /// CD: the client was gone before the end.
    ClientGone,
    /// DR: the gateway was draining.
    Draining,
}

/// A set of flags.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Flags(u16);

impl Protocol {
    /// The protocol as it is logged.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }

    /// The version alone, as OpenTelemetry has it.
    pub const fn version(self) -> &'static str {
        match self {
            Self::Http10 => "1.0",
            Self::Http11 => "1.1",
            Self::Http2 => "2",
        }
    }
}

impl Flag {
    const ALL: [Self; 15] = [
        Self::NoRoute,
        Self::NoHealthyEndpoint,
        Self::UpstreamConnect,
        Self::UpstreamReset,
        Self::UpstreamTimeout,
        Self::CircuitOpen,
        Self::Overloaded,
        Self::PluginFault,
        Self::PluginReply,
        Self::Unauthorized,
        Self::RateLimited,
        Self::BadRequest,
        Self::TooLarge,
        Self::ClientGone,
        Self::Draining,
    ];

    /// The two letters of the flag; where Envoy has a flag of the same meaning, Envoy's.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoRoute => "NR",
            Self::NoHealthyEndpoint => "UH",
            Self::UpstreamConnect => "UC",
            Self::UpstreamReset => "UR",
            Self::UpstreamTimeout => "UT",
            Self::CircuitOpen => "CB",
            Self::Overloaded => "UO",
            Self::PluginFault => "PF",
            Self::PluginReply => "PR",
            Self::Unauthorized => "AU",
            Self::RateLimited => "RL",
            Self::BadRequest => "BR",
            Self::TooLarge => "TL",
            Self::ClientGone => "CD",
            Self::Draining => "DR",
        }
    }
}

impl Flags {
    /// No flags.
    pub const NONE: Self = Self(0);

    /// Adds a flag.
    pub fn insert(&mut self, flag: Flag) {
        self.0 |= 1 << flag as u16;
    }

    /// Whether a flag is in the set.
    pub const fn contains(self, flag: Flag) -> bool {
        self.0 & (1 << flag as u16) != 0
    }

    /// Whether the request was ordinary.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The flags in the set.
    pub fn iter(self) -> impl Iterator<Item = Flag> {
        Flag::ALL.into_iter().filter(move |flag| self.contains(*flag))
    }
}

impl From<Flag> for Flags {
    fn from(flag: Flag) -> Self {
        Self(1 << flag as u16)
    }
}

#[cfg(test)]
impl Entry<'_> {
    /// An ordinary request, for tests: 2026-11-24T08:48:06.007Z.
    pub fn example() -> Self {
        Self {
            time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_510_086_007),
            request_id: b"0123456789abcdef0123456789abcdef",
            listener: "public",
            client_address: IpAddr::from([192, 0, 2, 1]),
            method: "GET",
            host: b"api.example.com",
            path: b"/orders/17",
            protocol: Protocol::Http11,
            route: Some("orders"),
            upstream: Some("orders"),
            endpoint: Some("127.0.0.1:9001"),
            client: Some("acme"),
            status: 200,
            flags: Flags::NONE,
            plugin: None,
            error: None,
            bytes_in: 0,
            bytes_out: 10_240,
            duration: Duration::from_micros(1_234),
            upstream_duration: Some(Duration::from_micros(1_200)),
            overhead: Duration::from_micros(34),
            attempts: 1,
            plugins: &[],
            revision: 7,
            trace_id: None,
            user_agent: Some(b"curl/8.0"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_the_flags_that_were_put_in() {
        let mut flags = Flags::from(Flag::PluginReply);
        flags.insert(Flag::Draining);
        flags.insert(Flag::NoRoute);
        let letters: Vec<&str> = flags.iter().map(Flag::as_str).collect();
        assert_eq!(letters, ["NR", "PR", "DR"], "in the order of the list");
        assert!(!flags.contains(Flag::PluginFault), "and no others");
        assert!(Flags::NONE.is_empty(), "the empty set");
    }

    #[test]
    fn no_two_flags_share_their_letters() {
        let letters: std::collections::HashSet<_> = Flag::ALL.iter().map(|flag| flag.as_str()).collect();
        assert_eq!(letters.len(), Flag::ALL.len(), "two letters for each");
    }
}
