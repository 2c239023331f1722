//! HTTP calls to upstreams that were granted. The worker makes them once the callback is over.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, header};
use tokio::sync::oneshot;

use crate::plugin::capability::http::Fetch;
use crate::plugin::proxy_wasm::abi::Status;
use crate::plugin::proxy_wasm::host::Host;
use crate::plugin::proxy_wasm::memory::{Failure, Guestside, put_u32, slice, split};
use crate::plugin::proxy_wasm::message::{field_name, field_value, pairs};
use crate::plugin::verdict;

#[expect(clippy::too_many_arguments, reason = "the interface has as many")]
pub fn call(
    guest: &mut Guestside<'_>,
    upstream: u32,
    upstream_length: u32,
    headers: u32,
    headers_length: u32,
    body: u32,
    body_length: u32,
    trailers: u32,
    trailers_length: u32,
    timeout: u32,
    out: u32,
) -> Result<(), Failure> {
    let (memory, host) = split(guest);
    // Trailers have to be some, and go nowhere: upstreams are sent bodies that are whole.
    pairs::read(slice(memory, trailers, trailers_length)?)?;
    let upstream = std::str::from_utf8(slice(memory, upstream, upstream_length)?).map_err(|_| Status::BadArgument)?;
    let pairs = pairs::read(slice(memory, headers, headers_length)?)?;
    let body = slice(memory, body, body_length)?;
    may_call(host, upstream, body.len())?;
    let token = send(host, upstream, &pairs, body, Duration::from_millis(timeout.into()))?;
    Ok(put_u32(memory, out, token)?)
}

/// To the guest an upstream that was not granted is one that does not exist.
fn may_call(host: &mut Host, upstream: &str, body: usize) -> Result<(), Status> {
    if !host.grants.http.allows(upstream) {
        if host.may_log(upstream.len()) {
            let (plugin, version, upstream) = (&*host.plugin.name, &*host.plugin.version, upstream.escape_debug());
            tracing::warn!(plugin, version, %upstream, "call refused: it needs the grant `http` with this upstream");
        }
        return Err(Status::BadArgument);
    }
    if body > host.limits.fetch_bytes { Err(Status::InternalFailure) } else { Ok(()) }
}

fn send(host: &mut Host, upstream: &str, pairs: &[(&[u8], &[u8])], body: &[u8], timeout: Duration) -> Result<u32, Status> {
    let (answer, receiver) = oneshot::channel();
    let (method, path, headers) = head(pairs)?;
    let fetch = Fetch {
        upstream: upstream.to_owned(),
        method,
        path,
        headers,
        body: Bytes::copy_from_slice(body),
        timeout: if timeout.is_zero() { host.limits.wall } else { timeout.min(host.limits.wall) },
        max_body: host.limits.fetch_bytes,
        trace: host.exchange().ok().and_then(|exchange| exchange.facts.trace),
        answer,
    };
    let token = host.calls.add(fetch, receiver)?;
    host.has_news = true;
    Ok(token)
}

/// `:method`, `:path` and `:authority` have to be there, as other hosts demand.
fn head(pairs: &[(&[u8], &[u8])]) -> Result<(Method, http::uri::PathAndQuery, HeaderMap), Status> {
    let (mut method, mut path, mut authority) = (None, None, None);
    let mut headers = HeaderMap::with_capacity(pairs.len());
    let text = |value| std::str::from_utf8(value).map_err(|_| Status::BadArgument);
    for (name, value) in pairs {
        match *name {
            b":method" => method = Some(verdict::other_method(text(value)?).map_err(|_| Status::BadArgument)?),
            b":path" => path = Some(verdict::path_and_query(text(value)?.to_owned()).map_err(|_| Status::BadArgument)?),
            b":authority" => authority = Some(field_value(value)?),
            [b':', ..] => {}
            name => {
                let name = field_name(name)?;
                if !verdict::is_framing(&name) && name != header::HOST {
                    headers.append(name, field_value(value)?);
                }
            }
        }
    }
    headers.insert(header::HOST, authority.ok_or(Status::BadArgument)?);
    Ok((method.ok_or(Status::BadArgument)?, path.ok_or(Status::BadArgument)?, headers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_has_a_method_a_path_and_an_authority() {
        let whole: [(&[u8], &[u8]); 6] = [
            (b":method", b"PUT"),
            (b":path", b"/a?b"),
            (b":authority", b"x.test"),
            (b":scheme", b"https"),
            (b"x-a", b"1"),
            (b"transfer-encoding", b"chunked"),
        ];
        let (method, path, headers) = head(&whole).expect("all is there");
        assert_eq!((method, path.as_str()), (Method::PUT, "/a?b"));
        assert_eq!((headers.len(), headers[header::HOST].as_bytes(), headers["x-a"].as_bytes()), (2, &b"x.test"[..], &b"1"[..]));
        for missing in 0..3 {
            let mut some = whole.to_vec();
            some.remove(missing);
            assert_eq!(head(&some).err(), Some(Status::BadArgument), "without {:?}", whole[missing].0);
        }
    }
}
