//! Layout: which place of which block counts what. The one page that counting and publishing must agree on.

use super::buckets::Buckets;
use super::labels::{
    AuthMethod, AuthResult, Break, FaultReason, InstanceState, LimitResult, LimitSource, Method, MirrorResult, Phase, StatusClass,
};
use super::members::Part;

/// A route's block: methods by status classes.
pub const ROUTE: usize = Method::COUNT * StatusClass::COUNT;

/// Where copies of requests begin in an upstream's block, which begins with status classes.
pub const MIRRORED: usize = StatusClass::COUNT;

/// Where requests that broke off begin in an upstream's block.
pub const BROKEN: usize = MIRRORED + MirrorResult::COUNT;

/// An upstream's block.
pub const UPSTREAM: usize = BROKEN + Break::COUNT;

/// Places of one phase's histogram in a plugin's block, which begins with these.
pub const PHASE_WIDTH: usize = Buckets::<20>::WIDTH;

/// Where faults begin in a plugin's block.
pub const FAULTS: usize = Phase::COUNT * PHASE_WIDTH;

/// Where instances by state begin in a plugin's block.
pub const INSTANCES: usize = FAULTS + FaultReason::COUNT;

/// Where dropped log lines are counted in a plugin's block.
pub const LOG_DROPPED: usize = INSTANCES + InstanceState::COUNT;

/// A plugin's block.
pub const PLUGIN: usize = LOG_DROPPED + 1;

/// Where the overhead begins in a worker's block, which begins with whole requests.
pub const OVERHEAD: usize = Buckets::<14>::WIDTH;

/// Where the tries of upstreams begin in a worker's block.
pub const TRIES: usize = OVERHEAD + Buckets::<20>::WIDTH;

/// A worker's block of histograms.
pub const TIMINGS: usize = TRIES + Buckets::<14>::WIDTH;

/// Where authentication begins among the decisions, which begin with limits.
pub const AUTH: usize = LimitResult::COUNT * LimitSource::COUNT;

/// A worker's block of decisions.
pub const DECISIONS: usize = AUTH + AuthMethod::COUNT * AuthResult::COUNT;

/// The place of a request in a route's block.
#[inline]
pub const fn request(method: Method, class: StatusClass) -> usize {
    method as usize * StatusClass::COUNT + class as usize
}

/// The place of a limit decision.
#[inline]
pub const fn limit(result: LimitResult, source: LimitSource) -> usize {
    result as usize * LimitSource::COUNT + source as usize
}

/// The place of an authentication.
#[inline]
pub const fn auth(method: AuthMethod, result: AuthResult) -> usize {
    AUTH + method as usize * AuthResult::COUNT + result as usize
}

/// One part for each of the first `places` places, each a counter.
pub fn counters(places: usize) -> Vec<Part> {
    (0..places).map(|place| part(place, 1, 1)).collect()
}

/// The parts of a plugin's block: phases, faults, instances, dropped log lines.
pub fn plugin_parts() -> Vec<Part> {
    let mut parts: Vec<Part> = (0..Phase::COUNT)
        // One published line for each place of the histogram, and the count.
        .map(|phase| part(phase * PHASE_WIDTH, PHASE_WIDTH, PHASE_WIDTH + 1))
        .collect();
    parts.extend((FAULTS..PLUGIN).map(|place| part(place, 1, 1)));
    for gauge in &mut parts[plugin_part(INSTANCES)..plugin_part(LOG_DROPPED)] {
        gauge.gauge = true;
    }
    parts
}

/// The number of the part that a place after the histograms of a plugin's block belongs to.
pub const fn plugin_part(place: usize) -> usize {
    Phase::COUNT + place - FAULTS
}

fn part(place: usize, width: usize, series: usize) -> Part {
    Part { places: place..place + width, series, gauge: false }
}
