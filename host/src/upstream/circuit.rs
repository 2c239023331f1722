//! The circuit breaker of an upstream: closed while its answers are good; open, which refuses every request, when too many
//! are not; half-open, which lets a few probes find out; and then a ramp back to all requests.
//!
//! Plain atomics while it is closed. Times are passed in. Which upstream it belongs to is in `siblings`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;
use parking_lot::{Mutex, MutexGuard};

mod admission;
mod rules;
mod term;
mod window;

pub use admission::Admission;
pub use rules::Rules;
pub use term::State;

use rules::Outcome;
use term::{Phase, Term};
use window::{Totals, Window, nanos};

/// The share of the requests that a ramp begins with.
const FIRST_SHARE: f64 = 0.1;
/// When to come back where nobody knows better.
const SOON: Duration = Duration::from_secs(1);

/// The circuit of one upstream.
pub struct Circuit {
    upstream: Arc<str>,
    born: Instant,
    now: CachePadded<Now>,
    window: Window,
    /// Held for a moment at a time, and never while the circuit is closed and stays so.
    trial: Mutex<Trial>,
    transitions: [AtomicU64; State::ALL.len()],
    refusals: AtomicU64,
}

/// What is asked for each request. Times are nanoseconds since birth.
struct Now {
    term: AtomicU64,
    /// Open: when it ends. Half-open: when the probes have taken too long. Ramping: when that began.
    turn: AtomicU64,
    /// The parts of requests that a ramp owes; a whole one is let through.
    owed: AtomicU32,
}

/// What half-open has come to, and how often in a row it opened.
#[derive(Default)]
struct Trial {
    probing: u32,
    successes: u32,
    times: u32,
}

// === impl Circuit ===

impl Circuit {
    /// Closed.
    pub fn new(upstream: Arc<str>, born: Instant) -> Self {
        let now = Now { term: AtomicU64::new(Term::FIRST.0), turn: AtomicU64::default(), owed: AtomicU32::default() };
        Self {
            upstream,
            born,
            now: CachePadded::new(now),
            window: Window::default(),
            trial: Mutex::default(),
            transitions: Default::default(),
            refusals: AtomicU64::default(),
        }
    }

    /// Whether requests are let through.
    pub fn state(&self) -> State {
        self.term().phase().state()
    }

    /// How long it stays open from now on; None where it is not.
    pub fn open_for(&self, now: Instant) -> Option<Duration> {
        let is_open = self.term().phase() == Phase::Open;
        is_open.then(|| Duration::from_nanos(self.turn().saturating_sub(self.age(now))))
    }

    /// How often it came into this state.
    pub fn transitions(&self, state: State) -> u64 {
        self.transitions[state as usize].load(Ordering::Relaxed)
    }

    /// Requests that it refused.
    pub fn refusals(&self) -> u64 {
        self.refusals.load(Ordering::Relaxed)
    }

    // === requests ===

    /// Lets a request through.
    ///
    /// # Errors
    /// How long not to come back.
    #[inline]
    pub fn admit(self: &Arc<Self>, rules: &Rules, now: Instant) -> Result<Admission, Duration> {
        let term = self.term();
        match term.phase() {
            Phase::Closed => Ok(Admission::in_term(term)),
            _ => self.admit_some(rules, term, self.age(now)),
        }
    }

    /// Learns what a try of an admitted request came to. The first one decides for a probe.
    #[inline]
    pub fn learn(&self, rules: &Rules, admission: &Admission, status: u16, took: Duration, now: Instant) {
        let outcome = rules.judge(status, took);
        if !admission.is_probe() {
            self.count(rules, admission.term, outcome, self.age(now));
        } else if admission.decides() {
            self.decide(rules, admission.term, outcome, self.age(now));
        }
    }

    /// Learns that an answer that was counted as a success broke off later: it was none, and no other request.
    #[cold]
    pub fn learn_broken(&self, rules: &Rules, now: Instant) {
        let (term, at) = (self.term(), self.age(now));
        match term.phase() {
            Phase::Closed | Phase::Ramping => {
                self.window.spoil(rules.window, at);
                self.review(rules, term, at);
            }
            Phase::HalfOpen => {
                let trial = self.trial.lock();
                if self.term() == term {
                    self.open(trial, rules, at, &Totals { requests: 1, failures: 1, slow: 0 });
                }
            }
            Phase::Open => {}
        }
    }

    #[cold]
    fn admit_some(self: &Arc<Self>, rules: &Rules, term: Term, at: u64) -> Result<Admission, Duration> {
        let turn = self.turn();
        let admitted = match term.phase() {
            Phase::Closed => Ok(Admission::in_term(term)),
            Phase::Open if at < turn => Err(Duration::from_nanos(turn - at)),
            Phase::Open | Phase::HalfOpen => self.probe(rules, at),
            Phase::Ramping => self.ramp(rules, term, at.saturating_sub(turn)),
        };
        if admitted.is_err() {
            self.refusals.fetch_add(1, Ordering::Relaxed);
        }
        admitted
    }

    /// Takes a place among the probes.
    fn probe(self: &Arc<Self>, rules: &Rules, at: u64) -> Result<Admission, Duration> {
        let mut trial = self.trial.lock();
        let (term, turn) = (self.term(), self.turn());
        match term.phase() {
            // What was read before the lock was taken is history.
            Phase::Closed | Phase::Ramping => return Ok(Admission::in_term(term)),
            Phase::Open if at < turn => return Err(Duration::from_nanos(turn - at)),
            Phase::HalfOpen if at < turn => {}
            // Probes that come to no end, such as uploads of slow clients, must not keep it half-open for ever.
            Phase::Open | Phase::HalfOpen => self.begin_trial(&mut trial, rules, at),
        }
        if trial.probing + trial.successes >= rules.probes {
            return Err(SOON);
        }
        trial.probing += 1;
        Ok(Admission::of_probe(Arc::clone(self), self.term()))
    }

    /// Lets a share of the requests through, evenly.
    fn ramp(&self, rules: &Rules, term: Term, since: u64) -> Result<Admission, Duration> {
        let whole = nanos(rules.ramp);
        if since >= whole {
            self.end_ramp(term);
            return Ok(Admission::in_term(term));
        }
        let share = (since as f64 / whole as f64).max(FIRST_SHARE);
        let part = (share * f64::from(u32::MAX)) as u32;
        let (_, is_whole) = self.now.owed.fetch_add(part, Ordering::Relaxed).overflowing_add(part);
        is_whole.then(|| Admission::in_term(term)).ok_or(SOON)
    }

    /// Counts an outcome of the term, and opens where that is one failure too many. A success never opens.
    #[inline]
    fn count(&self, rules: &Rules, term: Term, outcome: Outcome, at: u64) {
        if self.term().number() != term.number() {
            return;
        }
        self.window.count(rules.window, at, outcome);
        if outcome.is_bad() {
            self.review(rules, term, at);
        }
    }

    #[cold]
    fn review(&self, rules: &Rules, term: Term, at: u64) {
        let totals = self.window.totals(rules.window, at);
        if !rules.are_broken(&totals) {
            return;
        }
        let trial = self.trial.lock();
        // Others may have found out, too.
        if self.term().number() == term.number() {
            self.open(trial, rules, at, &totals);
        }
    }

    #[cold]
    fn decide(&self, rules: &Rules, term: Term, outcome: Outcome, at: u64) {
        let mut trial = self.trial.lock();
        if self.term() != term {
            return;
        }
        trial.probing -= 1;
        if outcome.is_bad() {
            return self.open(trial, rules, at, &Totals::of(outcome));
        }
        trial.successes += 1;
        if trial.successes >= rules.probes {
            self.close(trial, rules, at);
        }
    }

    fn give_back(&self, term: Term) {
        let mut trial = self.trial.lock();
        if self.term() == term {
            trial.probing -= 1;
        }
    }

    // === transitions, for who holds the trial's lock ===

    fn open(&self, mut trial: MutexGuard<'_, Trial>, rules: &Rules, at: u64, totals: &Totals) {
        let during = rules.rest(trial.times, fastrand::f64());
        trial.times = trial.times.saturating_add(1);
        self.begin(Phase::Open, at.saturating_add(nanos(during)));
        // Nobody is to wait for the log.
        drop(trial);
        let Totals { requests, failures, slow } = totals;
        tracing::warn!(upstream = %self.upstream, requests, failures, slow, ?during, "circuit opened");
    }

    fn begin_trial(&self, trial: &mut Trial, rules: &Rules, at: u64) {
        (trial.probing, trial.successes) = (0, 0);
        self.begin(Phase::HalfOpen, at.saturating_add(nanos(rules.max_open.max(rules.open))));
    }

    fn close(&self, mut trial: MutexGuard<'_, Trial>, rules: &Rules, at: u64) {
        self.window.clear();
        // So that the first request of the ramp is let through.
        self.now.owed.store(u32::MAX, Ordering::Relaxed);
        let phase = if rules.ramp.is_zero() { Phase::Closed } else { Phase::Ramping };
        if phase == Phase::Closed {
            trial.times = 0;
        }
        self.begin(phase, at);
        drop(trial);
        tracing::info!(upstream = %self.upstream, ramp = ?rules.ramp, "circuit closed");
    }

    fn begin(&self, phase: Phase, turn: u64) {
        self.now.turn.store(turn, Ordering::Relaxed);
        // Whoever sees the term sees its turn.
        self.now.term.store(self.term().next(phase).0, Ordering::Release);
        self.transitions[phase.state() as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// All requests are let through again; only now is the next failure the first one.
    fn end_ramp(&self, term: Term) {
        let mut trial = self.trial.lock();
        if self.term() == term {
            trial.times = 0;
            self.now.term.store(term.closed().0, Ordering::Release);
        }
    }

    // === times ===

    #[inline]
    fn term(&self) -> Term {
        Term(self.now.term.load(Ordering::Acquire))
    }

    fn turn(&self) -> u64 {
        self.now.turn.load(Ordering::Relaxed)
    }

    #[inline]
    fn age(&self, now: Instant) -> u64 {
        nanos(now.saturating_duration_since(self.born))
    }
}

#[cfg(test)]
mod tests;
