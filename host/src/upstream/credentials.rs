//! Requests to an upstream that wants a token of the gateway's own: the token goes on, and a request that is refused for
//! it goes out once more with another one.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::AUTHORIZATION;
use http::{Request, StatusCode};

use crate::body::{Body, Passage};
use crate::identity::credentials::{Bearer, TokenSource};
use crate::telemetry::traces::Tries;

use super::send::copy;
use super::{Connections, InFlight, SendError, Sent, Timeouts, Transport, send};

/// Where a request goes, and how long it may take.
pub struct Way<'a> {
    /// The worker's connections.
    pub connections: &'a Rc<Connections>,
    /// To whom.
    pub endpoint: &'a InFlight,
    /// How it is spoken to.
    pub transport: &'a Transport,
    /// For both tries together, where there are two.
    pub timeouts: Timeouts,
    /// What records the tries, if anything does.
    pub tries: Option<&'a Tries>,
}

impl Way<'_> {
    /// Sends a request as [`send`] does, with the token in place of any `Authorization` of its own. Where the upstream
    /// does not take the token and the body is at hand, another token is fetched and the request sent once more;
    /// `refused` hears how long the first try took.
    pub async fn send(
        mut self,
        source: &Arc<TokenSource>,
        mut request: Request<Body>,
        uploading: Option<Rc<Passage>>,
        refused: impl FnOnce(Duration),
    ) -> Result<Sent, SendError> {
        let began = Instant::now();
        let bearer = source.bearer().await?;
        show(&mut request, &bearer);
        let spare = copy(&request);
        self.spend(began);
        let began = Instant::now();
        let sent = send(self.connections, self.endpoint, self.transport, &self.timeouts, request, uploading, self.tries).await?;
        if sent.response.status() != StatusCode::UNAUTHORIZED || !source.give_up(&bearer) {
            return Ok(sent);
        }
        let took = began.elapsed();
        let Some(mut request) = spare else { return Ok(sent) };
        // Without another token, the upstream's own refusal says more than we could.
        let Ok(bearer) = source.bearer().await else { return Ok(sent) };
        show(&mut request, &bearer);
        refused(took);
        if let Some(tries) = self.tries {
            tries.again(Ok(StatusCode::UNAUTHORIZED.as_u16()), request.headers_mut());
        }
        self.spend(began);
        send(self.connections, self.endpoint, self.transport, &self.timeouts, request, None, self.tries).await
    }

    fn spend(&mut self, since: Instant) {
        self.timeouts.request = self.timeouts.request.map(|request| request.saturating_sub(since.elapsed()));
    }
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
