//! The numbers of the Proxy-Wasm interface, as its specification has them.

/// What a host function returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Status {
    /// Done.
    Ok = 0,
    /// No such thing.
    NotFound = 1,
    /// An argument that cannot be.
    BadArgument = 2,
    /// Bytes that are not what they should be.
    ParseFailure = 4,
    /// A pointer that leads out of the guest's memory.
    InvalidMemoryAccess = 6,
    /// Nothing is there.
    Empty = 7,
    /// Somebody else was first.
    CasMismatch = 8,
    /// A limit, or a capability that was not granted.
    InternalFailure = 10,
    /// Not on this host.
    Unimplemented = 12,
}

/// The revision of the interface that a module was built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// Callbacks for headers are not told whether a body follows.
    V0_1_0,
    /// As 0.2.1, without `proxy_get_log_level`.
    V0_2_0,
    /// The one in use.
    V0_2_1,
}

impl Version {
    /// The export that says so, for each.
    pub const MARKERS: [(&'static str, Version); 3] = [
        ("proxy_abi_version_0_2_1", Version::V0_2_1),
        ("proxy_abi_version_0_2_0", Version::V0_2_0),
        ("proxy_abi_version_0_1_0", Version::V0_1_0),
    ];
}

/// A header map that a guest names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Map {
    /// Of the request.
    RequestHeaders,
    /// After its body.
    RequestTrailers,
    /// Of the response.
    ResponseHeaders,
    /// After its body.
    ResponseTrailers,
    /// Of the answer to a call.
    CallHeaders,
    /// After its body.
    CallTrailers,
}

impl Map {
    /// None for the maps of gRPC calls and for what is no map at all.
    pub fn of(number: u32) -> Option<Self> {
        match number {
            0 => Some(Map::RequestHeaders),
            1 => Some(Map::RequestTrailers),
            2 => Some(Map::ResponseHeaders),
            3 => Some(Map::ResponseTrailers),
            6 => Some(Map::CallHeaders),
            7 => Some(Map::CallTrailers),
            _ => None,
        }
    }
}

/// A buffer that a guest names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Buffer {
    /// What is held of the request's body.
    RequestBody,
    /// What is held of the response's body.
    ResponseBody,
    /// The body of the answer to a call.
    CallBody,
    /// The configuration of the machine, which is always empty here.
    VmConfiguration,
    /// The configuration of the plugin.
    PluginConfiguration,
}

impl Buffer {
    /// None for TCP, gRPC and what is no buffer at all.
    pub fn of(number: u32) -> Option<Self> {
        match number {
            0 => Some(Buffer::RequestBody),
            1 => Some(Buffer::ResponseBody),
            4 => Some(Buffer::CallBody),
            6 => Some(Buffer::VmConfiguration),
            7 => Some(Buffer::PluginConfiguration),
            _ => None,
        }
    }
}

/// What a callback for headers, a body or trailers says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// On with it.
    Continue,
    /// Stop here; the host keeps what it has.
    Pause,
    /// The same, but a body may be shown while the headers wait, for filters that ask for that.
    PauseHeaders,
    /// Stop here; the guest took the bytes, and the host forgets them.
    Take,
}

impl Action {
    /// What a callback for headers returned (`FilterHeadersStatus`).
    pub fn of_headers(number: u32) -> Option<Self> {
        match number {
            0 | 2 => Some(Action::Continue),
            1 => Some(Action::PauseHeaders),
            3 | 4 => Some(Action::Pause),
            _ => None,
        }
    }

    /// What a callback for a body returned (`FilterDataStatus`).
    pub fn of_body(number: u32) -> Option<Self> {
        match number {
            0 => Some(Action::Continue),
            1 | 2 => Some(Action::Pause),
            3 => Some(Action::Take),
            _ => None,
        }
    }

    /// What a callback for trailers returned (`FilterTrailersStatus`).
    pub fn of_trailers(number: u32) -> Option<Self> {
        match number {
            0 => Some(Action::Continue),
            1 => Some(Action::Pause),
            _ => None,
        }
    }
}
