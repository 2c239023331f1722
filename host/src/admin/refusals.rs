//! Attempts to change something that were refused, for the audit log: few enough that nobody can fill the disk with them,
//! or drive out what was done.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, Request, StatusCode};
use parking_lot::Mutex;

use super::Admin;
use super::tokens::Token;

/// Attempts that are listed one after the other; then one for each of these times.
const BURST: u32 = 30;
const EVERY: Duration = Duration::from_secs(60);
/// Letters of a path that are listed.
const LONGEST: usize = 200;

/// How many more are listed: of those whom no token says who they are, and of the others.
pub struct Refusals {
    strangers: Mutex<Budget>,
    known: Mutex<Budget>,
}

/// An attempt to change something.
pub struct Attempt {
    peer: SocketAddr,
    method: Method,
    path: String,
}

struct Budget {
    left: u32,
    counted: Instant,
    /// Those that were not listed since the last one that was.
    unlisted: u64,
}

impl Default for Refusals {
    fn default() -> Self {
        let budget = || Mutex::new(Budget { left: BURST, counted: Instant::now(), unlisted: 0 });
        Self { strangers: budget(), known: budget() }
    }
}

impl Attempt {
    /// What a request attempts. None for one that only reads, or only tries what would come of it.
    pub fn of<B>(request: &Request<B>, peer: SocketAddr) -> Option<Self> {
        let is_trial = request.uri().query().is_some_and(|query| query.split('&').any(|part| part == "dry_run=true"));
        if is_trial || matches!(*request.method(), Method::GET | Method::HEAD) {
            return None;
        }
        let path = request.uri().path().chars().take(LONGEST).map(|letter| if letter.is_control() { '?' } else { letter }).collect();
        Some(Self { peer, method: request.method().clone(), path })
    }
}

impl Admin {
    /// Lists an attempt that was refused, if there is room.
    pub async fn list_refusal(self: &Arc<Self>, attempt: Attempt, token: Option<&Token>, status: StatusCode) {
        let budget = if token.is_some() { &self.refusals.known } else { &self.refusals.strangers };
        let Some(unlisted) = budget.lock().take(Instant::now()) else { return };
        let Attempt { peer, method, path } = attempt;
        let by = token.map_or_else(|| format!("nobody known, from {}", peer.ip()), ToString::to_string);
        let more = if unlisted > 0 { format!(", after {unlisted} refused attempts that are not listed") } else { String::new() };
        let action = format!("refused with {}: {method} {path}{more}", status.as_u16());
        let store = Arc::clone(&self.store);
        let listed = tokio::task::spawn_blocking(move || store.write(|writing| writing.audit(&by, &action, None, None)));
        if let Ok(Err(error)) = listed.await {
            tracing::error!(%error, "a refused attempt is not in the audit log");
        }
    }
}

/// Whether an answer says that somebody may not do this, or not like this.
pub fn is_refusal(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::CONFLICT
            | StatusCode::PRECONDITION_FAILED
            | StatusCode::UNPROCESSABLE_ENTITY
    )
}

impl Budget {
    /// Room for one more, and how many had none since the last.
    fn take(&mut self, now: Instant) -> Option<u64> {
        let earned = now.saturating_duration_since(self.counted).as_secs() / EVERY.as_secs();
        if earned > 0 {
            self.left = self.left.saturating_add(u32::try_from(earned).unwrap_or(BURST)).min(BURST);
            self.counted = now;
        }
        if self.left == 0 {
            self.unlisted += 1;
            return None;
        }
        self.left -= 1;
        Some(std::mem::take(&mut self.unlisted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_are_listed_at_once_and_then_one_a_minute_with_the_count_of_the_others() {
        let began = Instant::now();
        let mut budget = Budget { left: BURST, counted: began, unlisted: 0 };
        let listed = (0..1000).filter(|_| budget.take(began).is_some()).count();
        assert_eq!(listed, 30);
        assert_eq!(budget.take(began + Duration::from_secs(59)), None);
        assert_eq!(budget.take(began + Duration::from_secs(61)), Some(971), "and says how many were not");
        assert_eq!(budget.take(began + Duration::from_secs(62)), None);
        let later = began + Duration::from_secs(24 * 3600);
        assert_eq!((0..1000).filter(|_| budget.take(later).is_some()).count(), 30, "a quiet day earns no more than that");
    }

    #[test]
    fn reading_and_trying_are_no_attempts() {
        let attempt = |method: &str, target: &str| {
            let request = Request::builder().method(method).uri(target).body(()).expect("a request");
            Attempt::of(&request, SocketAddr::from(([127, 0, 0, 1], 1))).map(|attempt| attempt.path)
        };
        assert_eq!(attempt("GET", "/v1/routes"), None);
        assert_eq!(attempt("PUT", "/v1/routes/a?wait=1s&dry_run=true"), None);
        assert_eq!(attempt("PUT", "/v1/routes/a?wait=1s").as_deref(), Some("/v1/routes/a"));
        assert_eq!(attempt("DELETE", &format!("/{}", "a".repeat(9999))).map(|path| path.len()), Some(LONGEST));
    }
}
