//! The limits that a configuration comes to: checked, named as the headers name them, their fixed parts written out.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use gatehouse_plugin::rate_limit::{self, Charge, Decision, Policy};
use gatehouse_plugin::{Error, Request, Result};

use crate::config::{By, Config, PlanConfig, PolicyConfig};
use crate::rate::{Rate, rounded_up};

/// Policies that one request may meet.
const MAX_POLICIES: usize = 8;

/// What holds for a request.
pub struct Limits {
    /// The policies, all of which have to allow it.
    pub limits: Vec<Limit>,
    /// How many requests of one key may be under way.
    pub concurrency: Option<u32>,
    /// The value of `RateLimit-Policy`.
    pub policy_header: String,
}

/// One policy.
pub struct Limit {
    /// Its name in headers and problems.
    pub label: String,
    /// What the bucket holds.
    pub burst: u32,
    /// Whose bucket.
    pub by: By,
    /// The seconds in which an empty bucket fills.
    window: u64,
    policy: Policy,
    cost: u32,
}

impl Limits {
    /// What holds for clients without a plan of their own.
    pub fn of_all(config: &Config) -> Result<Self> {
        check_shape(config)?;
        let strict = config.strict;
        let limits: Vec<Limit> = match config.rate {
            Some(rate) => {
                let name = config.name.as_ref().map(|name| name.as_str());
                let label = name.unwrap_or("default").into();
                alloc::vec![Limit::new(label, name, rate, config.burst, config.key.clone(), config.cost, strict)?]
            }
            None => {
                config.policies.iter().enumerate().map(|(place, policy)| Limit::of_several(config, policy, place)).collect::<Result<_>>()?
            }
        };
        check_labels(&limits)?;
        Self::new(limits, config.concurrency)
    }

    /// What holds for the clients of a plan.
    pub fn of_plan(config: &Config, plan: &str, own: &PlanConfig) -> Result<Self> {
        let name = config.name.as_ref().map(|name| name.as_str());
        let label = name.unwrap_or(plan).into();
        let limit = Limit::new(label, name, own.rate, own.burst, config.key.clone(), config.cost, config.strict)
            .map_err(|error| Error::new(format!("plans.{plan}.{error}")))?;
        Self::new(alloc::vec![limit], own.concurrency.or(config.concurrency))
    }

    fn new(limits: Vec<Limit>, concurrency: Option<u32>) -> Result<Self> {
        if concurrency == Some(0) {
            return Err("concurrency: got 0, want > 0".into());
        }
        let crowd = concurrency.map(|places| format!("\"concurrency\";q={places};qu=\"concurrent-requests\""));
        let described: Vec<String> = limits.iter().map(Limit::description).chain(crowd).collect();
        Ok(Self { limits, concurrency, policy_header: described.join(", ") })
    }

    /// Takes what the request costs from all the buckets, or from none.
    pub fn take(&self, request: &Request) -> Vec<Decision> {
        match &self.limits[..] {
            [] => Vec::new(),
            [limit] => alloc::vec![rate_limit::take(&limit.policy, limit.by.key(request), limit.cost)],
            several => {
                let charges: Vec<_> = several.iter().map(|limit| limit.charge(request)).collect();
                rate_limit::take_all(&charges)
            }
        }
    }
}

impl Limit {
    fn new(label: String, name: Option<&str>, rate: Rate, burst: Option<u32>, by: By, cost: u32, strict: bool) -> Result<Self> {
        let burst = burst.unwrap_or(rate.burst());
        if burst < 1 {
            return Err("burst: got 0, want > 0".into());
        }
        if !(1..=burst).contains(&cost) {
            return Err(Error::new(format!("cost: got {cost}, want 1 to {burst}, what the bucket holds")));
        }
        let policy = Policy::new(rate.per_second(), burst).strict(strict);
        let policy = match name {
            Some(name) => policy.named(name),
            None => policy,
        };
        let window = rounded_up(f64::from(burst) / rate.per_second()).max(1);
        Ok(Self { label, burst, by, window, policy, cost })
    }

    fn of_several(config: &Config, own: &PolicyConfig, place: usize) -> Result<Self> {
        let name = own.name.as_ref().map(|name| name.as_str());
        let label = match (name, place) {
            (Some(name), _) => name.to_string(),
            (None, 0) => "default".into(),
            (None, place) => format!("default-{}", place + 1),
        };
        let by = own.key.as_ref().unwrap_or(&config.key).clone();
        Self::new(label, name, own.rate, own.burst, by, own.cost.unwrap_or(config.cost), config.strict)
            .map_err(|error| Error::new(format!("policies[{place}].{error}")))
    }

    fn charge<'a>(&'a self, request: &'a Request) -> Charge<'a> {
        Charge { policy: &self.policy, key: self.by.key(request), cost: self.cost }
    }

    /// Its member of `RateLimit-Policy`.
    fn description(&self) -> String {
        format!("\"{}\";q={};w={}", self.label, self.burst, self.window)
    }
}

/// What no single key can tell: which of them go together.
fn check_shape(config: &Config) -> Result<()> {
    let several = !config.policies.is_empty();
    if config.rate.is_none() && !several && config.concurrency.is_none() {
        return Err("rate: got nothing, want a rate, policies or concurrency".into());
    }
    if several && (config.rate.is_some() || config.burst.is_some() || config.name.is_some()) {
        return Err("policies: rate, burst and name stand in each of them, not beside them".into());
    }
    if config.policies.len() > MAX_POLICIES {
        return Err(Error::new(format!("policies: got {}, want {MAX_POLICIES} at most", config.policies.len())));
    }
    if config.rate.is_none() && (config.burst.is_some() || !config.plans.is_empty()) {
        return Err("rate: got nothing, want what holds for clients without a plan".into());
    }
    if !config.plans.is_empty() && !config.key.is_of_one_client() {
        return Err("plans: the key has to be client or api-key, since a plan is a client's".into());
    }
    Ok(())
}

fn check_labels(limits: &[Limit]) -> Result<()> {
    for (place, limit) in limits.iter().enumerate() {
        if limits[..place].iter().any(|other| other.label == limit.label) {
            return Err(Error::new(format!("policies[{place}].name: got {:?} a second time", limit.label)));
        }
    }
    Ok(())
}
