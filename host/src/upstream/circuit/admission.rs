//! The right to be sent to an upstream, once for all tries of a request.

use std::cell::Cell;
use std::sync::Arc;

use super::Circuit;
use super::term::Term;

/// A request that was let through.
pub struct Admission {
    /// When that was.
    pub(super) term: Term,
    probe: Option<Probe>,
}

/// A place among the probes, given back when this is dropped before an answer decided anything.
struct Probe {
    circuit: Arc<Circuit>,
    term: Term,
    is_decided: Cell<bool>,
}

// === impl Admission ===

impl Admission {
    /// Where nothing is ever refused.
    pub fn free() -> Self {
        Self { term: Term::FIRST, probe: None }
    }

    /// One of many.
    #[inline]
    pub(super) fn in_term(term: Term) -> Self {
        Self { term, probe: None }
    }

    /// One of the probes, whose place was counted.
    pub(super) fn of_probe(circuit: Arc<Circuit>, term: Term) -> Self {
        Self { term, probe: Some(Probe { circuit, term, is_decided: Cell::new(false) }) }
    }

    /// Whether it is one of the probes of a half-open circuit.
    #[inline]
    pub fn is_probe(&self) -> bool {
        self.probe.is_some()
    }

    /// Whether an answer decides for this probe: the first one does, and its place is no longer its own.
    pub(super) fn decides(&self) -> bool {
        self.probe.as_ref().is_some_and(|probe| !probe.is_decided.replace(true))
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        if !self.is_decided.get() {
            self.circuit.give_back(self.term);
        }
    }
}
