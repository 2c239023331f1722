//! Keys asked for out of turn: who may ask, when, and how those who wait learn that the fetch is over.
//! One for each issuer whose keys are fetched. The fetching itself is the work of `jwks`.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout},
};

use crate::identity::{Refusal, fetch::Http};

/// What one issuer's callers ask of the loop that fetches its keys.
#[derive(Debug)]
pub struct Demand {
    floor: Duration,
    state: Mutex<State>,
    wake: Notify,
    over: watch::Sender<()>,
}

/// The end of a fetch that is under way.
#[derive(Debug)]
pub struct Awaited(watch::Receiver<()>);

/// Why a token is refused for now, and what might still change that.
#[derive(Debug)]
pub struct Setback {
    /// What stands if nobody waits.
    pub refusal: Refusal,
    /// Keys that may come with the next fetch. None if waiting is no use or not granted.
    pub awaited: Option<Awaited>,
}

#[derive(Debug)]
struct State {
    // A fetch is wanted or under way.
    busy: bool,
    // Nobody may ask before.
    from: Instant,
    // When the last good fetch ended.
    good: Option<Instant>,
    closed: bool,
}

// === impl Demand ===

impl Demand {
    /// Grants a fetch out of turn once in `floor`. The first fetch is under way, since there are no keys at all.
    pub fn new(floor: Duration) -> Self {
        let state = State { busy: true, from: Instant::now(), good: None, closed: false };
        Self { floor, state: Mutex::new(state), wake: Notify::new(), over: watch::Sender::new(()) }
    }

    /// Asks for keys because a token names one that is not here. None if it is too early to ask again.
    ///
    /// Names are free to invent, so all who ask share one fetch, and the next is granted only after the floor.
    pub fn ask(&self) -> Option<Awaited> {
        self.ask_if(|_, _| true)
    }

    /// The same for a token that names no key. Anybody can make one that does not verify, so the keys must have reached
    /// a certain age as well.
    pub fn ask_nameless(&self) -> Option<Awaited> {
        self.ask_if(|good, now| good.is_none_or(|good| now >= good + self.floor))
    }

    /// Waits until somebody asks, or nobody can any more.
    pub async fn wanted(&self) {
        loop {
            self.wake.notified().await;
            let state = self.state.lock();
            if state.busy || state.closed {
                return;
            }
        }
    }

    /// A fetch begins in its turn; whoever asks from now on waits for it.
    pub fn begin(&self) {
        self.state.lock().busy = true;
    }

    /// A fetch brought keys.
    pub fn succeed(&self) {
        self.end(|state, now| state.good = Some(now));
    }

    /// A fetch brought none. The issuer is left in peace for `pause`, or for the floor if that is shorter.
    pub fn fail(&self, pause: Duration) {
        self.end(|state, now| state.from = state.from.max(now + pause.min(self.floor)));
    }

    /// The issuer is gone; its loop is to end.
    pub fn close(&self) {
        self.state.lock().closed = true;
        self.wake.notify_one();
    }

    fn ask_if(&self, old_enough: impl FnOnce(Option<Instant>, Instant) -> bool) -> Option<Awaited> {
        let mut state = self.state.lock();
        if !state.busy {
            let now = Instant::now();
            if now < state.from || !old_enough(state.good, now) {
                return None;
            }
            state.busy = true;
            state.from = now + self.floor;
            self.wake.notify_one();
        }
        // Under the lock: the fetch cannot end before we listen.
        Some(Awaited(self.over.subscribe()))
    }

    fn end(&self, note: impl FnOnce(&mut State, Instant)) {
        let mut state = self.state.lock();
        state.busy = false;
        note(&mut state, Instant::now());
        self.over.send_replace(());
    }
}

// === impl Awaited ===

impl Awaited {
    /// Waits for the end of the fetch, good or bad, as long as one document may take.
    pub async fn over(mut self) {
        // An error is the time-out or an issuer that is gone; asking again tells what holds then.
        let _ = timeout(Http::TIMEOUT, self.0.changed()).await;
    }
}

// === impl Setback ===

impl From<Refusal> for Setback {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, awaited: None }
    }
}
