//! What a circuit does with requests, and a term of it: from the transition that began it to the one that ends it.

/// Whether requests are let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// They are, or a growing share of them.
    Closed,
    /// Some are, to find out.
    HalfOpen,
    /// None is.
    Open,
}

/// The same, and whether a growing share is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Closed,
    Open,
    HalfOpen,
    Ramping,
}

/// A phase and its number. What was admitted in one term says nothing of a later one; closed goes on with the number of
/// the ramp before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Term(pub(super) u64);

impl State {
    /// All there are.
    pub const ALL: [State; 3] = [State::Closed, State::HalfOpen, State::Open];

    /// Its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            State::Closed => "closed",
            State::HalfOpen => "half_open",
            State::Open => "open",
        }
    }
}

impl Phase {
    pub(super) fn state(self) -> State {
        match self {
            Phase::Closed | Phase::Ramping => State::Closed,
            Phase::HalfOpen => State::HalfOpen,
            Phase::Open => State::Open,
        }
    }
}

impl Term {
    /// Closed, and nothing has happened yet.
    pub(super) const FIRST: Self = Self(0);

    #[inline]
    pub(super) fn phase(self) -> Phase {
        match self.0 & 3 {
            0 => Phase::Closed,
            1 => Phase::Open,
            2 => Phase::HalfOpen,
            _ => Phase::Ramping,
        }
    }

    #[inline]
    pub(super) fn number(self) -> u64 {
        self.0 >> 2
    }

    pub(super) fn next(self, phase: Phase) -> Self {
        Self((self.number() + 1) << 2 | phase as u64)
    }

    /// The ramp is over.
    pub(super) fn closed(self) -> Self {
        Self(self.number() << 2 | Phase::Closed as u64)
    }
}
