//! A seat: one plugin with one configuration, as steps of chains point at it, and which version sits there. While it is
//! the one that the step was built with, finding that out costs one load of a flag.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::caller::Caller;
use crate::plugin::Usage;
use crate::plugin::load::UsageSpec;

use super::comparison::Comparison;

/// A million parts make a whole.
const MILLION: u64 = 1_000_000;

/// Where versions of a plugin take their turns, for one configuration.
pub struct Seat {
    /// What is the same for all versions; the digest in it is that of the version it was built with.
    pub spec: UsageSpec,
    /// The versions it was built with.
    built: Lineup,
    changed: AtomicBool,
    lineup: ArcSwapOption<Lineup>,
}

/// The versions of one seat.
#[derive(Clone)]
pub struct Lineup {
    /// Serves whoever the candidate does not.
    pub stable: Arc<Usage>,
    /// Was stable before.
    pub previous: Option<Arc<Usage>>,
    /// May become stable.
    pub candidate: Option<Candidate>,
}

/// A version that is being tried.
#[derive(Clone)]
pub struct Candidate {
    /// The version, configured.
    pub usage: Arc<Usage>,
    /// Whom it gets.
    pub share: Share,
    /// How it takes part.
    pub part: Part,
}

/// How a candidate takes part.
#[derive(Clone)]
pub enum Part {
    /// It serves requests.
    Serves,
    /// It sees copies of requests, and what it says of them is only compared.
    Shadows(Arc<Comparison>),
}

/// A share of all callers. Who is in a share stays in it while it grows, and is in it at every step and on every route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    millionths: u64,
    /// Tells rollouts apart, so that not always the same callers are tried on.
    salt: u64,
}

/// Who has to deal with one request.
pub struct Turn<'a> {
    /// The version that does.
    pub usage: &'a Arc<Usage>,
    /// The version that is asked when it faults, where `on_error` says so.
    pub previous: Option<&'a Arc<Usage>>,
    /// The version that sees a copy.
    pub shadow: Option<(&'a Arc<Usage>, &'a Arc<Comparison>)>,
}

// === impl Seat ===

impl Seat {
    /// With these versions; the specification is the stable one's.
    pub fn new(spec: UsageSpec, built: Lineup) -> Arc<Self> {
        let tried = built.candidate.is_some().then(|| Arc::new(built.clone()));
        Arc::new(Self { spec, changed: AtomicBool::new(tried.is_some()), lineup: ArcSwapOption::new(tried), built })
    }

    /// The versions.
    pub fn now(&self) -> Lineup {
        self.lineup().map_or_else(|| self.built.clone(), |lineup| (*lineup).clone())
    }

    /// The versions, unless it is just the one that the step was built with.
    #[inline]
    pub fn lineup(&self) -> Option<Arc<Lineup>> {
        match self.changed.load(Ordering::Acquire) {
            false => None,
            true => self.lineup.load_full(),
        }
    }

    /// Seats other versions. Requests that began keep theirs.
    pub fn set(&self, lineup: Lineup) {
        self.lineup.store(Some(Arc::new(lineup)));
        self.changed.store(true, Ordering::Release);
    }
}

impl Part {
    /// Whether it only sees copies.
    pub fn is_shadow(&self) -> bool {
        matches!(self, Part::Shadows(_))
    }
}

// === impl Lineup ===

impl Lineup {
    /// Who deals with a request of this caller.
    pub fn turn(&self, caller: Option<&Caller>, address: IpAddr) -> Turn<'_> {
        let stable = Turn { usage: &self.stable, previous: self.previous.as_ref(), shadow: None };
        match self.candidate.as_ref().filter(|candidate| candidate.share.has(caller, address)) {
            None => stable,
            Some(Candidate { usage, part: Part::Serves, .. }) => Turn { usage, previous: Some(&self.stable), shadow: None },
            Some(Candidate { usage, part: Part::Shadows(comparison), .. }) => Turn { shadow: Some((usage, comparison)), ..stable },
        }
    }

    /// The usages in it.
    pub fn usages(&self) -> impl Iterator<Item = &Arc<Usage>> {
        let candidate = self.candidate.as_ref().map(|candidate| &candidate.usage);
        [Some(&self.stable), self.previous.as_ref(), candidate].into_iter().flatten()
    }
}

// === impl Share ===

impl Share {
    /// A share of 0 to 1.
    pub fn new(share: f64, salt: u64) -> Self {
        Self { millionths: (share.clamp(0.0, 1.0) * MILLION as f64).round() as u64, salt }
    }

    /// Whether a caller is in it: by who it is, else by where it comes from.
    pub fn has(self, caller: Option<&Caller>, address: IpAddr) -> bool {
        let hash = match (caller, address.to_canonical()) {
            (Some(caller), _) => {
                let issuer = caller.issuer().map_or(0, |issuer| xxh3_64_with_seed(issuer.as_bytes(), self.salt));
                xxh3_64_with_seed(caller.name().as_bytes(), self.salt ^ issuer)
            }
            (None, IpAddr::V4(address)) => xxh3_64_with_seed(&address.octets(), self.salt),
            // One customer commonly has all of a /64.
            (None, IpAddr::V6(address)) => xxh3_64_with_seed(&address.octets()[..8], self.salt),
        };
        hash % MILLION < self.millionths
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn addresses() -> impl Iterator<Item = IpAddr> {
        (0..20_000_u32).map(|number| Ipv4Addr::from_bits(0x0a00_0000 + number).into())
    }

    #[test]
    fn a_share_is_that_large() {
        for share in [0.0, 0.01, 0.1, 0.5, 1.0] {
            let found = addresses().filter(|address| Share::new(share, 7).has(None, *address)).count() as f64 / 20_000.0;
            assert!((found - share).abs() < 0.01, "{found} is about {share}");
        }
        assert_eq!(addresses().filter(|address| Share::new(1.0, 7).has(None, *address)).count(), 20_000, "all is all");
        assert_eq!(addresses().filter(|address| Share::new(0.0, 7).has(None, *address)).count(), 0, "none is none");
    }

    #[test]
    fn who_is_in_a_share_stays_in_it_while_it_grows() {
        let (small, large) = (Share::new(0.1, 7), Share::new(0.3, 7));
        assert!(addresses().filter(|address| small.has(None, *address)).all(|address| large.has(None, address)));
    }

    #[test]
    fn another_rollout_tries_other_callers() {
        let both = addresses().filter(|address| Share::new(0.1, 1).has(None, *address) && Share::new(0.1, 2).has(None, *address));
        let both = both.count();
        assert!((100..400).contains(&both), "{both} of 20000 is about a hundredth");
    }

    #[test]
    fn addresses_of_one_network_are_one_caller() {
        let share = Share::new(0.5, 3);
        let of = |text: &str| share.has(None, text.parse().expect("an address"));
        for network in ["2001:db8:0:1", "2001:db8:0:2", "2001:db8:0:3"] {
            assert_eq!(of(&format!("{network}::1")), of(&format!("{network}:ffff::2")), "{network}");
        }
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"), "an IPv4 address is one however it is written");
    }
}
