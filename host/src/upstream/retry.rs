//! When a request is tried again, and how long it waits before: the settings, and what they make of an outcome. How often
//! it may be is in `budget`; how it is done, in `tries`.

use std::time::Duration;

use http::Method;

use super::{SendError, Sent};

pub mod budget;
pub mod hedge;

use hedge::Hedge;

/// When a request is tried again. Upstreams that have every request tried once have none of this.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// Tries in all, the first included; at least 2.
    pub attempts: u32,
    /// Retries as a share of the requests of the last ten seconds, 1 for as many.
    pub budget: f64,
    /// Retries a second that are made whatever the share.
    pub min_per_second: u32,
    /// The longest wait before the second try; it doubles from there.
    pub backoff: Duration,
    /// The longest wait before any.
    pub max_backoff: Duration,
    /// The largest body on its way that is kept for another try, in bytes.
    pub buffer: usize,
    /// After no connection.
    pub on_connect: bool,
    /// After a connection that broke, or a request that was refused, before there was a head.
    pub on_reset: bool,
    /// After no head in time.
    pub on_timeout: bool,
    /// After an answer with one of these.
    pub statuses: Box<[u16]>,
    /// When a second endpoint is asked besides; None for never.
    pub hedge: Option<Hedge>,
}

/// Why a request was tried again, or was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// There was no connection.
    Connect,
    /// The endpoint did nothing about it.
    Refused,
    /// The connection broke before there was a head.
    Reset,
    /// There was no head in time.
    Timeout,
    /// The status of the answer.
    Status,
    /// It was not answered for longer than most are.
    Hedge,
    /// Its endpoint answered nothing at all, while others did.
    Silence,
    /// It was not: the budget was spent.
    Budget,
}

impl Retry {
    /// Why a request whose try came to this may be tried again; None where that is its end. What may have reached the
    /// endpoint is sent again only where twice is no more than once (RFC 9110 §9.2.2).
    pub fn reason(&self, sent: &Result<Sent, SendError>, method: &Method) -> Option<Reason> {
        let (reason, wanted, untouched) = match sent {
            Ok(sent) => (Reason::Status, self.statuses.contains(&sent.response.status().as_u16()), false),
            Err(SendError::Connect(_)) => (Reason::Connect, self.on_connect, true),
            Err(SendError::Refused(_)) => (Reason::Refused, self.on_reset, true),
            Err(SendError::Broken(_)) => (Reason::Reset, self.on_reset, false),
            Err(SendError::Timeout(_)) => (Reason::Timeout, self.on_timeout, false),
            Err(SendError::NoToken(_) | SendError::NoRoom(_)) => return None,
        };
        (wanted && (untouched || is_idempotent(method))).then_some(reason)
    }

    /// Whether a request may be asked of a second endpoint while the first one keeps silent: where it would be after a
    /// time-out.
    pub fn may_double(&self, method: &Method) -> bool {
        self.on_timeout && is_idempotent(method)
    }

    /// How long to wait before that retry, counted from 1; `chance` is between 0 and 1. All of the wait is chance, so that
    /// those who failed together do not come back together.
    pub fn wait(&self, retry: u32, chance: f64) -> Duration {
        let longest = self.backoff.saturating_mul(2u32.saturating_pow(retry.saturating_sub(1)));
        longest.min(self.max_backoff).mul_f64(chance)
    }
}

impl Reason {
    /// All there are.
    pub const ALL: [Reason; 8] =
        [Reason::Connect, Reason::Refused, Reason::Reset, Reason::Timeout, Reason::Status, Reason::Hedge, Reason::Silence, Reason::Budget];

    /// Its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Connect => "connect",
            Reason::Refused => "refused",
            Reason::Reset => "reset",
            Reason::Timeout => "timeout",
            Reason::Status => "status",
            Reason::Hedge => "hedge",
            Reason::Silence => "silence",
            Reason::Budget => "budget",
        }
    }
}

fn is_idempotent(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE | Method::TRACE)
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use http::Response;

    use crate::body::Body;

    use super::*;

    fn retry() -> Retry {
        Retry {
            attempts: 2,
            budget: 0.2,
            min_per_second: 10,
            backoff: Duration::from_millis(25),
            max_backoff: Duration::from_millis(250),
            buffer: 64 << 10,
            on_connect: true,
            on_reset: true,
            on_timeout: true,
            statuses: [502, 503, 504].into(),
            hedge: None,
        }
    }

    fn answer(status: u16) -> Result<Sent, SendError> {
        let response = Response::builder().status(status).body(Body::Empty).expect("a status");
        Ok(Sent { response, passage: Rc::default() })
    }

    #[track_caller]
    fn check(sent: &Result<Sent, SendError>, for_get: Option<Reason>, for_post: Option<Reason>) {
        assert_eq!(retry().reason(sent, &Method::GET), for_get, "GET");
        assert_eq!(retry().reason(sent, &Method::PUT), for_get, "PUT");
        assert_eq!(retry().reason(sent, &Method::POST), for_post, "POST");
        assert_eq!(retry().reason(sent, &Method::PATCH), for_post, "PATCH");
    }

    #[test]
    fn what_may_have_been_acted_on_is_repeated_only_where_that_does_no_harm() {
        check(&answer(200), None, None);
        check(&answer(404), None, None);
        check(&answer(500), None, None);
        check(&answer(503), Some(Reason::Status), None);
        check(&Err(SendError::Timeout(Duration::ZERO)), Some(Reason::Timeout), None);
        check(&Err(SendError::Broken(String::new())), Some(Reason::Reset), None);
        check(&Err(SendError::Refused(String::new())), Some(Reason::Refused), Some(Reason::Refused));
        check(&Err(SendError::Connect(String::new())), Some(Reason::Connect), Some(Reason::Connect));
    }

    #[test]
    fn what_is_not_asked_for_is_not_repeated() {
        let never = Retry { on_connect: false, on_reset: false, on_timeout: false, statuses: [500].into(), ..retry() };
        let get = |sent: Result<Sent, SendError>| never.reason(&sent, &Method::GET);
        assert_eq!(get(answer(503)), None);
        assert_eq!(get(answer(500)), Some(Reason::Status));
        assert_eq!(get(Err(SendError::Connect(String::new()))), None);
        assert_eq!(get(Err(SendError::Broken(String::new()))), None);
        assert_eq!(get(Err(SendError::Timeout(Duration::ZERO))), None);
    }

    #[test]
    fn waits_double_up_to_the_longest_and_are_all_chance() {
        let longest: Vec<u128> = (1..=6).map(|number| retry().wait(number, 1.0).as_millis()).collect();
        assert_eq!(longest, [25, 50, 100, 200, 250, 250]);
        assert_eq!(retry().wait(3, 0.0), Duration::ZERO);
        assert_eq!(retry().wait(3, 0.5), Duration::from_millis(50));
        assert_eq!(retry().wait(u32::MAX, 1.0), Duration::from_millis(250), "and never overflow");
    }
}
