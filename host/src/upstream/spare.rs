//! What is kept of a request for another try. The head is kept flat, in one piece of memory: a copy of the map of its
//! headers would cost four times as much (12 headers: 60 to 130 ns instead of 400), and nearly none is ever needed.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};

use crate::body::Body;

use super::Upstream;
use super::replay::Replay;
use super::send::Outgoing;

/// Room for the headers of most requests.
const ROOM: usize = 1 << 10;
/// The bit of a length that says that the value is a secret, which HTTP/2 keeps out of its tables.
const SENSITIVE: u32 = 1 << 31;

/// What a request can be made of once more.
pub struct Spare {
    /// Its method.
    pub method: Method,
    uri: Uri,
    headers: Headers,
    body: Kept,
}

/// Headers in order, each as the two lengths, the name and the value.
struct Headers(Vec<u8>);

enum Kept {
    Empty,
    Full(Bytes),
    Passing(Replay),
}

impl Spare {
    /// Keeps what another try needs. A body on its way is from now on kept as it passes, up to `limit` bytes.
    pub fn of(request: &mut Request<Body>, limit: usize, upstream: &Upstream) -> Self {
        let (method, uri, headers) = (request.method().clone(), request.uri().clone(), Headers::of(request.headers()));
        let body = match request.body_mut() {
            Body::Empty => Kept::Empty,
            Body::Full(bytes) => Kept::Full(bytes.clone()),
            passing => {
                let body = std::mem::replace(passing, Body::Empty);
                let (replay, body) = Replay::new(body, limit, upstream.buffer(0));
                *passing = body;
                Kept::Passing(replay)
            }
        };
        Self { method, uri, headers, body }
    }

    /// Whether asking twice at a time does no harm and costs little: it reads, and has no body.
    pub fn may_hedge(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD) && matches!(self.body, Kept::Empty)
    }

    /// The request once more; None where its body cannot be had again.
    pub fn request(&self) -> Option<Outgoing> {
        let body = match &self.body {
            Kept::Empty => Body::Empty,
            Kept::Full(bytes) => Body::Full(bytes.clone()),
            Kept::Passing(replay) => replay.again()?,
        };
        let mut request = Box::new(Request::new(body));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.map();
        Some(request)
    }
}

impl Headers {
    fn of(map: &HeaderMap) -> Self {
        let mut flat = Vec::with_capacity(ROOM);
        for (name, value) in map {
            let (name, secret) = (name.as_str().as_bytes(), if value.is_sensitive() { SENSITIVE } else { 0 });
            flat.extend_from_slice(&(name.len() as u32).to_ne_bytes());
            flat.extend_from_slice(&(value.len() as u32 | secret).to_ne_bytes());
            flat.extend_from_slice(name);
            flat.extend_from_slice(value.as_bytes());
        }
        Self(flat)
    }

    fn map(&self) -> HeaderMap {
        let (mut map, mut flat) = (HeaderMap::new(), &*self.0);
        while let Some((name, value)) = next(&mut flat) {
            map.append(name, value);
        }
        map
    }
}

fn next(flat: &mut &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let name_length = length(flat)?;
    let value_length = length(flat)?;
    let name = HeaderName::from_bytes(flat.split_off(..name_length as usize)?).ok()?;
    let mut value = HeaderValue::from_bytes(flat.split_off(..(value_length & !SENSITIVE) as usize)?).ok()?;
    value.set_sensitive(value_length & SENSITIVE != 0);
    Some((name, value))
}

fn length(flat: &mut &[u8]) -> Option<u32> {
    let (length, rest) = flat.split_first_chunk()?;
    *flat = rest;
    Some(u32::from_ne_bytes(*length))
}

#[cfg(test)]
mod tests {
    use super::super::balance::Algorithm;
    use super::super::testing::Group;
    use super::*;

    #[test]
    fn a_head_comes_back_as_it_was() {
        let mut secret = HeaderValue::from_static("Bearer x");
        secret.set_sensitive(true);
        let mut request = Request::put("/orders?new=1").body(Body::Full("body".into())).expect("a request");
        let headers = request.headers_mut();
        headers.insert("authorization", secret);
        headers.append("x-list", HeaderValue::from_static("one"));
        headers.append("x-list", HeaderValue::from_static("two"));
        headers.append("x-odd", HeaderValue::from_bytes(b"\xff\xe4").expect("a value"));
        headers.append("x-empty", HeaderValue::from_static(""));
        let spare = Spare::of(&mut request, 0, &Group::new(Algorithm::Random, &[1]).upstream);
        for _ in 0..2 {
            let copy = spare.request().expect("its body is at hand");
            assert_eq!((copy.method(), copy.uri(), copy.headers()), (request.method(), request.uri(), request.headers()));
            assert!(copy.headers()["authorization"].is_sensitive());
            assert!(!copy.headers()["x-odd"].is_sensitive());
            assert!(matches!(copy.body(), Body::Full(body) if body == "body"));
        }
    }
}
