//! Requests to an upstream that wants a token of the gateway's own: the token goes on, and a request that is refused for
//! it goes out once more with another one.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::AUTHORIZATION;
use http::{Request, StatusCode};

use crate::body::{Body, Passage};
use crate::identity::credentials::{Bearer, TokenSource};

use super::send::{Aim, Outgoing, copy};
use super::{SendError, Sent, Timeouts, send};

/// Sends a request as [`send`] does, with the token in place of any `Authorization` of its own; all within the time that the
/// request has. Where the upstream does not take the token and the body is at hand, another token is fetched and the
/// request sent once more; `refused` hears how long the first try took.
pub(super) async fn send_with_token(
    to: Aim<'_>,
    source: &Arc<TokenSource>,
    mut request: Outgoing,
    uploading: Option<Rc<Passage>>,
    refused: impl FnOnce(Duration),
) -> Result<Sent, SendError> {
    let began = Instant::now();
    let bearer = source.bearer().await?;
    show(&mut request, &bearer);
    let spare = copy(&request);
    let left = left(to.timeouts, began);
    let began = Instant::now();
    let sent = send(&Aim { timeouts: &left, began, ..to }, request, uploading).await?;
    if sent.response.status() != StatusCode::UNAUTHORIZED || !source.give_up(&bearer) {
        return Ok(sent);
    }
    let took = began.elapsed();
    let Some(mut request) = spare else { return Ok(sent) };
    // Without another token, the upstream's own refusal says more than we could.
    let Ok(bearer) = source.bearer().await else { return Ok(sent) };
    show(&mut request, &bearer);
    refused(took);
    if let Some(tries) = to.tries {
        tries.again(Ok(StatusCode::UNAUTHORIZED.as_u16()), request.headers_mut());
    }
    let left = self::left(&left, began);
    send(&Aim { timeouts: &left, began: Instant::now(), ..to }, request, None).await
}

/// What is left of the time that a request has.
fn left(timeouts: &Timeouts, since: Instant) -> Timeouts {
    Timeouts { request: timeouts.request.map(|request| request.saturating_sub(since.elapsed())), ..*timeouts }
}

/// Puts the token on a request that is sent once only.
pub(super) async fn authorise(source: &Arc<TokenSource>, request: &mut Request<Body>) -> Result<(), SendError> {
    let bearer = source.bearer().await?;
    show(request, &bearer);
    Ok(())
}

fn show(request: &mut Request<Body>, bearer: &Bearer) {
    request.headers_mut().insert(AUTHORIZATION, bearer.authorization.clone());
}
