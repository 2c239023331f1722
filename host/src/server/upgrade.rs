//! Upgrades: a connection, or a stream of HTTP/2 (RFC 8441), that stops speaking HTTP because the route allows it and
//! the endpoint agreed. Until it has agreed, no byte behind the request goes to it: the head guard holds them back.
//! How bytes are copied afterwards is in `tunnel`.

use std::rc::Rc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::body::Body;
use crate::error::Error;
use crate::telemetry::access_log::Flag;

use super::finish::Facts;
use super::head_guard::Admission;
use super::tunnel::{self, End, Passed};
use super::{Answer, Connection};

/// An upgrade that a request asks for and its route allows.
pub struct Pending {
    /// The protocol to switch to.
    protocol: HeaderValue,
    /// The client's stream, where it is one of HTTP/2.
    client: Option<OnUpgrade>,
    /// The endpoint's connection, once it has agreed.
    upstream: Option<OnUpgrade>,
    /// How long nothing may move.
    idle: Duration,
}

/// An upgraded connection that waits for the client's side of it.
pub struct Tunnel {
    facts: Box<Facts>,
    upstream: OnUpgrade,
    idle: Duration,
}

/// Makes an extended CONNECT (RFC 8441 §4) what it stands for: a GET that asks for an upgrade, as HTTP/1.1 has it.
pub fn translate(head: &mut http::request::Parts) {
    if head.method != Method::CONNECT || head.version != Version::HTTP_2 {
        return;
    }
    let Some(protocol) = head.extensions.remove::<Protocol>() else { return };
    let Ok(protocol) = HeaderValue::from_str(protocol.as_str()) else { return };
    head.method = Method::GET;
    if protocol.as_bytes().eq_ignore_ascii_case(b"websocket") {
        head.headers.insert(SEC_WEBSOCKET_KEY, key());
    }
    head.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    head.headers.insert(UPGRADE, protocol);
}

/// HTTP/2 has no such key, but a server of HTTP/1.1 asks for one (RFC 6455 §4.1): 16 bytes that nobody knew before.
fn key() -> HeaderValue {
    let mut bytes = [0; 16];
    fastrand::fill(&mut bytes);
    HeaderValue::try_from(STANDARD.encode(bytes)).expect("base64 is a header value")
}

/// What becomes of the upgrade that a request asks for. None where the route does not allow it, or a body comes before
/// it; the request is then one without an upgrade.
///
/// # Errors
/// When an extended CONNECT asks, which is nothing without its upgrade.
pub fn ask(
    facts: &Facts,
    head: &mut http::request::Parts,
    asked: Option<HeaderValue>,
    allowed: &[Box<str>],
    has_body: bool,
) -> Result<Option<Box<Pending>>, Error> {
    let client = head.extensions.remove::<OnUpgrade>();
    let is_stream = facts.method == Method::CONNECT;
    let protocol = asked.filter(|_| !has_body).and_then(|asked| choose(&asked, allowed));
    let Some(protocol) = protocol else {
        facts.admission.iter().for_each(Admission::decline_upgrade);
        return match is_stream {
            true => Err(Error::BadRequest { status: StatusCode::NOT_IMPLEMENTED, detail: "no such upgrade is allowed here".into() }),
            false => Ok(None),
        };
    };
    let is_offered = facts.admission.as_ref().is_some_and(Admission::may_upgrade);
    let client = client.filter(|_| is_stream);
    let pending = Pending { protocol, client, upstream: None, idle: Duration::ZERO };
    Ok((is_offered || is_stream).then(|| Box::new(pending)))
}

/// The first protocol that is asked for and allowed.
fn choose(asked: &HeaderValue, allowed: &[Box<str>]) -> Option<HeaderValue> {
    let mut asked = asked.to_str().ok()?.split(',').map(str::trim);
    let chosen = asked.find(|asked| allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(asked)))?;
    HeaderValue::from_str(chosen).ok()
}

impl Pending {
    /// Asks the endpoint for it.
    pub fn write(&self, request: &mut Request<Body>) {
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
        request.headers_mut().insert(UPGRADE, self.protocol.clone());
    }

    /// Takes note of the endpoint's agreement; `agreed` is the protocol it named.
    ///
    /// # Errors
    /// What is wrong with it, where it agreed to something else.
    pub fn agree(&mut self, response: &mut Response<Body>, agreed: Option<&HeaderValue>, idle: Duration) -> Result<(), &'static str> {
        let is_same = agreed.is_some_and(|agreed| agreed.as_bytes().eq_ignore_ascii_case(self.protocol.as_bytes()));
        if !is_same {
            return Err("it switched to a protocol that was not asked for");
        }
        self.idle = idle;
        self.upstream = response.extensions_mut().remove::<OnUpgrade>();
        Ok(())
    }
}

/// Switches, if that is what the response says: the rest of the connection, or of the stream, is a tunnel.
/// Gives the facts back where it is not.
pub fn switch(
    connection: &Rc<Connection>,
    mut facts: Box<Facts>,
    head: &mut http::response::Parts,
) -> Result<Response<Answer>, Box<Facts>> {
    let pending = facts.upgrade.take();
    let pending = pending.filter(|_| head.status == StatusCode::SWITCHING_PROTOCOLS).map(|pending| *pending);
    let Some(Pending { protocol, client, upstream: Some(upstream), idle }) = pending else {
        // The client's leaving is noticed again from here on.
        facts.admission.iter().for_each(Admission::decline_upgrade);
        return Err(facts);
    };
    head.headers.remove(CONTENT_LENGTH);
    head.headers.remove(TRANSFER_ENCODING);
    match client {
        None => {
            head.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            head.headers.insert(UPGRADE, protocol);
            facts.admission.iter().for_each(Admission::accept_upgrade);
            facts.decided(head.status.as_u16());
            *connection.tunnel.borrow_mut() = Some(Box::new(Tunnel { facts, upstream, idle }));
        }
        Some(client) => {
            head.status = StatusCode::OK;
            head.headers.remove(SEC_WEBSOCKET_ACCEPT);
            facts.decided(head.status.as_u16());
            let tunnel = Box::new(Tunnel { facts, upstream, idle });
            tokio::task::spawn_local(async move {
                // An error is a client that is gone, which the facts will say when they are dropped.
                if let Ok(stream) = client.await {
                    tunnel.run(TokioIo::new(stream), Bytes::new()).await;
                }
            });
        }
    }
    let head = std::mem::replace(head, Response::new(()).into_parts().0);
    Ok(Response::from_parts(head, Answer::unwatched()))
}

impl Tunnel {
    /// Copies both ways until the end. `early` are bytes of the client that hyper had read already.
    pub async fn run(self: Box<Self>, client: impl AsyncRead + AsyncWrite, early: Bytes) {
        let Tunnel { mut facts, upstream, idle } = *self;
        let passed = Passed::default();
        let end = match upstream.await {
            Ok(upstream) => tunnel::run(client, &early, TokioIo::new(upstream), idle, &passed).await,
            Err(_) => End::UpstreamBroke,
        };
        let flag = match end {
            End::Finished => None,
            End::Idle => Some(Flag::UpstreamTimeout),
            End::ClientBroke => Some(Flag::ClientGone),
            End::UpstreamBroke => Some(Flag::UpstreamReset),
        };
        flag.into_iter().for_each(|flag| facts.flags.insert(flag));
        facts.tunnelled(passed.up.get(), passed.down.get());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_protocol_that_is_allowed_is_chosen() {
        #[track_caller]
        fn check(asked: &'static str, allowed: &[&str], chosen: Option<&str>) {
            let allowed: Vec<Box<str>> = allowed.iter().map(|allowed| (*allowed).into()).collect();
            let found = choose(&HeaderValue::from_static(asked), &allowed);
            assert_eq!(found.as_ref().and_then(|found| found.to_str().ok()), chosen, "{asked:?} of {allowed:?}");
        }
        check("websocket", &["websocket"], Some("websocket"));
        check("WebSocket", &["websocket"], Some("WebSocket"));
        check("h2c, websocket", &["websocket"], Some("websocket"));
        check("h2c", &["websocket"], None);
        check("websocket", &[], None);
        check("", &["websocket"], None);
    }
}
