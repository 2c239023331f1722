//! One issuer that is asked about tokens: what it said lately, the questions under way, and the breaker on its endpoint.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::{Duration, SystemTime},
};

use http::Uri;
use moka::sync::Cache;
use parking_lot::Mutex;
use tokio::{
    runtime::Handle,
    sync::{mpsc, watch},
    time::{Instant, timeout},
};
use tracing::{debug, info, warn};

use super::{
    Refusal, Settings,
    answer::{self, Active, NoAnswer},
    breaker::{Breaker, Pass},
};
use crate::identity::{
    Verified,
    address::{Address, AddressError, Endpoint},
    digest::{Digest, DigestHasher},
    fetch::{
        Fetch, FetchError,
        post::{Form, Post, Posted},
    },
    form,
};

/// What is known of a token.
pub type Outcome = Result<Arc<Verified>, Refusal>;

/// An issuer at work.
pub struct Introspector {
    settings: Settings,
    address: Arc<Address>,
    believed: Cache<Digest, Arc<Belief>, DigestHasher>,
    refused: Cache<Digest, (Refusal, Instant), DigestHasher>,
    traffic: Mutex<Traffic>,
    questions: mpsc::UnboundedSender<Question>,
    // Until somebody on the background takes it.
    inbox: Mutex<Option<mpsc::UnboundedReceiver<Question>>>,
}

// A token that the issuer called active.
struct Belief {
    verified: Arc<Verified>,
    fresh_until: Instant,
    // Its `exp`. Without one it is not believed any longer than it is fresh.
    expires: Option<SystemTime>,
    weight: u32,
}

#[derive(Default)]
struct Traffic {
    under_way: HashMap<Digest, watch::Receiver<Option<Outcome>>, DigestHasher>,
    breaker: Breaker,
}

// A token on its way to the issuer.
struct Question {
    digest: Digest,
    token: Box<str>,
    pass: Pass,
    answer: watch::Sender<Option<Outcome>>,
}

// === impl Introspector ===

impl Introspector {
    // About 50,000 tokens of the usual size, and as many that were refused.
    const BELIEF_BYTES: u64 = 64 << 20;
    const REFUSALS: u64 = 50_000;

    // Each holds an instance of a plugin while it waits; more than these are turned away at once.
    const MAX_UNDER_WAY: usize = 64;

    // While the issuer is down a token is believed up to its `exp`, and up to a day.
    const LONGEST_STALE: Duration = Duration::from_secs(24 * 3_600);

    pub(super) fn new(settings: Settings) -> Result<Self, AddressError> {
        let address = Arc::new(Address::new(settings.endpoint.clone(), Endpoint::Introspection)?);
        let kept = if settings.allow_stale { Self::LONGEST_STALE } else { settings.cache };
        let believed = Cache::builder().max_capacity(Self::BELIEF_BYTES).weigher(|_: &Digest, belief: &Arc<Belief>| belief.weight);
        let refused = Cache::builder().max_capacity(Self::REFUSALS).time_to_live(settings.negative_cache);
        let (questions, inbox) = mpsc::unbounded_channel();
        Ok(Self {
            address,
            believed: believed.time_to_live(kept).build_with_hasher(DigestHasher::default()),
            refused: refused.build_with_hasher(DigestHasher::default()),
            traffic: Mutex::default(),
            questions,
            inbox: Mutex::new(Some(inbox)),
            settings,
        })
    }

    /// Its settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What it said of this token lately, if it was asked.
    pub fn known(&self, digest: Digest) -> Option<Outcome> {
        let now = Instant::now();
        if let Some(belief) = self.believed.get(&digest).filter(|belief| now < belief.fresh_until) {
            return Some(Ok(Arc::clone(&belief.verified)));
        }
        self.refused.get(&digest).filter(|(_, until)| now < *until).map(|(refusal, _)| Err(refusal))
    }

    /// What it says of this token now. Everybody who asks about one token waits for the same answer.
    pub async fn ask(&self, digest: Digest, token: &str) -> Outcome {
        let outcome = match self.join(digest, token) {
            Joined::Known(outcome) => outcome,
            Joined::Refused => Err(Refusal::Unavailable),
            Joined::Waiting(mut answer) => answered(&mut answer).await,
        };
        match outcome {
            Err(Refusal::Unavailable) if self.settings.allow_stale => self.stale(digest).ok_or(Refusal::Unavailable),
            outcome => outcome,
        }
    }

    /// Sends what is asked here to the issuer, until it is dropped. Does nothing the second time.
    pub fn serve(self: &Arc<Self>, runtime: &Handle, http: &Arc<impl Post + Fetch>) {
        self.address.attend(runtime, http);
        if let Some(inbox) = self.inbox.lock().take() {
            runtime.spawn(serve(Arc::downgrade(self), inbox, Arc::clone(http)));
        }
    }

    fn join(&self, digest: Digest, token: &str) -> Joined {
        let mut traffic = self.traffic.lock();
        if let Some(answer) = traffic.under_way.get(&digest) {
            return Joined::Waiting(answer.clone());
        }
        // An answer is written down before its question leaves the list, so none is missed between the two.
        if let Some(outcome) = self.known(digest) {
            return Joined::Known(outcome);
        }
        if traffic.under_way.len() >= Self::MAX_UNDER_WAY {
            return Joined::Refused;
        }
        let Some(pass) = traffic.breaker.admit(Instant::now()) else { return Joined::Refused };
        let (answer, waiting) = watch::channel(None);
        traffic.under_way.insert(digest, waiting.clone());
        // The receiver is gone only with the runtime, and then the answer's channel closes at once.
        let _ = self.questions.send(Question { digest, token: token.into(), pass, answer });
        Joined::Waiting(waiting)
    }

    fn stale(&self, digest: Digest) -> Option<Arc<Verified>> {
        let belief = self.believed.get(&digest)?;
        belief.expires.is_some_and(|expires| SystemTime::now() < expires).then(|| Arc::clone(&belief.verified))
    }

    async fn settle(&self, question: Question, http: &impl Post) {
        // Whatever happens here, nobody finds the question in the list afterwards.
        let _leaving = Leaving { introspector: self, digest: question.digest };
        let asked = self.send(&question.token, http).await.map_err(NoAnswer::from);
        let now = SystemTime::now();
        let answer = asked.and_then(|posted| answer::read(&posted, &self.settings, now));
        self.tell_breaker(question.pass, &answer);
        let outcome = match answer {
            Ok(Ok(active)) => self.believe(question.digest, active, question.token.len(), now),
            Ok(Err(refusal)) => self.refuse(question.digest, refusal),
            Err(_) => Err(Refusal::Unavailable),
        };
        let _ = question.answer.send(Some(outcome));
    }

    // In time, even where it is not known yet whom to ask.
    async fn send(&self, token: &str, http: &impl Post) -> Result<Posted, FetchError> {
        let (limit, began) = (self.settings.timeout, Instant::now());
        let url = timeout(limit, self.address.find()).await.map_err(|_| FetchError::Late(limit))?;
        http.post(&self.form(url, token), limit.saturating_sub(began.elapsed())).await
    }

    fn form(&self, url: Uri, token: &str) -> Form {
        Form {
            url,
            authorization: form::basic(&self.settings.client_id, &self.settings.client_secret),
            fields: form::fields(&[("token", token), ("token_type_hint", "access_token")]),
        }
    }

    fn believe(&self, digest: Digest, active: Active, length: usize, now: SystemTime) -> Outcome {
        let fresh_until = Instant::now() + answer::lifetime(&active, &self.settings, now);
        let verified = Arc::new(active.verified);
        // The claims as a tree; their text is at least as long as the token is, most often.
        let weight = u32::try_from(1_024 + length * 2).unwrap_or(u32::MAX);
        let belief = Belief { verified: Arc::clone(&verified), fresh_until, expires: active.expires, weight };
        self.refused.invalidate(&digest);
        self.believed.insert(digest, Arc::new(belief));
        Ok(verified)
    }

    fn refuse(&self, digest: Digest, refusal: Refusal) -> Outcome {
        // What was revoked must not come back as stale.
        self.believed.invalidate(&digest);
        self.refused.insert(digest, (refusal, Instant::now() + self.settings.negative_cache));
        Err(refusal)
    }

    fn tell_breaker<T>(&self, pass: Pass, answer: &Result<T, NoAnswer>) {
        let issuer = &self.settings.name;
        let mut traffic = self.traffic.lock();
        let breaker = &mut traffic.breaker;
        let error = match answer {
            Err(error) if error.is_failure() => error,
            answered => {
                if let Err(error) = answered {
                    debug!(issuer, %error, "the introspection endpoint did not take a token");
                }
                if breaker.succeeded() {
                    info!(issuer, "the introspection endpoint answers again");
                }
                return;
            }
        };
        let rest = breaker.failed(pass, Instant::now());
        let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
        match rest {
            Some(rest) => warn!(issuer, %error, cause, ?rest, "the introspection endpoint keeps failing and is left alone for a while"),
            None if breaker.failures() == 1 => warn!(issuer, %error, cause, "a token could not be introspected"),
            None => debug!(issuer, %error, cause, "a token could not be introspected"),
        }
    }
}

enum Joined {
    Waiting(watch::Receiver<Option<Outcome>>),
    Known(Outcome),
    Refused,
}

struct Leaving<'a> {
    introspector: &'a Introspector,
    digest: Digest,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.introspector.traffic.lock().under_way.remove(&self.digest);
    }
}

async fn serve(introspector: Weak<Introspector>, mut inbox: mpsc::UnboundedReceiver<Question>, http: Arc<impl Post>) {
    while let Some(question) = inbox.recv().await {
        let Some(introspector) = introspector.upgrade() else { return };
        let http = Arc::clone(&http);
        tokio::spawn(async move { introspector.settle(question, &*http).await });
    }
}

// The channel closes without an answer only when the background is gone.
async fn answered(answer: &mut watch::Receiver<Option<Outcome>>) -> Outcome {
    let outcome = answer.wait_for(Option::is_some).await;
    outcome.ok().and_then(|outcome| outcome.clone()).unwrap_or(Err(Refusal::Unavailable))
}
