//! Endpoints by DNS: when a name is looked up, and what becomes of the answer. How it is asked for is in `lookup`, what
//! answers mean is in `answers`.

use std::net::SocketAddr;
use std::sync::Weak;
use std::time::Duration;

use thiserror::Error;

use super::{Source, Target};

mod answers;
mod lookup;

use lookup::Lookups;

/// The first wait after a failure; it doubles from there, up to the longest time between two lookups.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// A name, and how it is looked up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Settings {
    /// The name.
    pub name: String,
    /// What is asked for.
    pub record: Record,
    /// Whether the endpoints speak TLS.
    pub tls: bool,
    /// Who is asked; nobody for the system's resolvers.
    pub servers: Vec<SocketAddr>,
    /// The shortest time between two lookups.
    pub least: Duration,
    /// The longest.
    pub most: Duration,
}

/// A kind of record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Record {
    /// A and AAAA, with the port of each address.
    Address(u16),
    /// SRV.
    Srv,
}

/// What came of a lookup, to be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Endpoints.
    Ok,
    /// No such name, or no such records.
    Empty,
    /// No answer, or only a part of one.
    Failed,
}

/// Why a lookup gave nothing new, or not all of it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Trouble {
    /// There is no such name, or it has no such records.
    #[error("the name has no such records")]
    Empty,
    /// A resolver could not be asked, or did not know.
    #[error("{0}")]
    Failed(String),
}

/// An answer, of which parts may be older than the rest.
#[derive(Debug)]
struct Answered {
    targets: Vec<Target>,
    /// How long it is good for.
    ttl: Duration,
    /// Why a part is older.
    trouble: Option<Trouble>,
}

impl Outcome {
    /// Each of them.
    pub const ALL: [Outcome; 3] = [Outcome::Ok, Outcome::Empty, Outcome::Failed];

    /// As metrics have it.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Empty => "empty",
            Outcome::Failed => "failed",
        }
    }
}

/// Looks the name up for as long as the source is in use.
pub(super) async fn watch(source: Weak<Source>, settings: Settings) {
    let mut lookups = Lookups::new(settings.clone());
    let mut failures = 0;
    while source.strong_count() > 0 {
        let answered = lookups.ask().await;
        let Some(source) = source.upgrade() else { return };
        let wait = take(&source, &settings, answered, &mut failures);
        drop(source);
        tokio::time::sleep(wait).await;
    }
}

/// Takes an answer over, and says when the next one is to be had.
///
/// Where there is none, the last one stays, even if the resolver says that the name is gone: names that vanish are nearly
/// always somebody's mistake, and endpoints that are really gone are found out by their failures. An upstream without any
/// endpoint could serve nobody.
fn take(source: &Source, settings: &Settings, answered: Result<Answered, Trouble>, failures: &mut u32) -> Duration {
    let (targets, ttl, trouble) = match answered {
        Ok(Answered { targets, ttl, trouble }) => (Some(targets), ttl, trouble),
        Err(trouble) => (None, settings.most, Some(trouble)),
    };
    if let Some(targets) = targets {
        source.publish(targets);
    }
    let wait = ttl.clamp(settings.least, settings.most);
    let Some(trouble) = trouble else {
        if *failures > 0 {
            tracing::info!(name = %settings.name, "name resolved again");
        }
        *failures = 0;
        source.confirm();
        source.count(Outcome::Ok);
        return wait;
    };
    source.count(match trouble {
        Trouble::Empty => Outcome::Empty,
        Trouble::Failed(_) => Outcome::Failed,
    });
    // Once for each time that it begins: a resolver may be away for hours.
    if *failures == 0 {
        let endpoints = source.found().targets.len();
        tracing::warn!(name = %settings.name, %trouble, endpoints, "name not resolved; the last answer stays");
    }
    *failures += 1;
    wait.min(back_off(settings, *failures))
}

fn back_off(settings: &Settings, failures: u32) -> Duration {
    let first = FIRST_WAIT.min(settings.least);
    let wait = first.saturating_mul(1 << (failures - 1).min(10)).min(settings.most);
    // Sources that failed together do not ask again together.
    wait.mul_f64(0.8 + 0.4 * fastrand::f64())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use super::super::{Discovery, Settings as Which};
    use super::*;
    use crate::upstream::endpoint::Origin;

    fn settings() -> Settings {
        let (least, most) = (Duration::from_secs(5), Duration::from_secs(60));
        Settings { name: "orders.test".into(), record: Record::Address(80), tls: false, servers: Vec::new(), least, most }
    }

    fn source() -> Arc<Source> {
        Discovery::default().get(Which::Dns(settings()))
    }

    fn answered(hosts: &[u8], ttl: u64) -> Result<Answered, Trouble> {
        let target = |host: &u8| {
            let address = SocketAddr::from(([10, 0, 0, *host], 80));
            let origin = Origin::parse(&format!("http://{address}")).expect("a good URL");
            Target { origin, addresses: vec![address], weight: 1, priority: 0 }
        };
        Ok(Answered { targets: hosts.iter().map(target).collect(), ttl: Duration::from_secs(ttl), trouble: None })
    }

    #[test]
    fn the_time_to_live_is_obeyed_within_its_limits() {
        let (source, mut failures) = (source(), 0);
        for (ttl, wait) in [(0, 5), (5, 5), (17, 17), (60, 60), (86_400, 60)] {
            assert_eq!(take(&source, &settings(), answered(&[1], ttl), &mut failures), Duration::from_secs(wait), "of {ttl} s");
        }
    }

    #[test]
    fn the_last_answer_is_kept_when_there_is_no_new_one() {
        let (source, mut failures) = (source(), 0);
        take(&source, &settings(), answered(&[1, 2], 30), &mut failures);
        for trouble in [Trouble::Empty, Trouble::Failed("timed out".into())] {
            take(&source, &settings(), Err(trouble), &mut failures);
            assert_eq!(source.found().targets.len(), 2, "both are still there");
        }
        take(&source, &settings(), answered(&[3], 30), &mut failures);
        assert_eq!(&*source.found().targets[0].origin.host, "10.0.0.3", "until there is one");
        assert_eq!(failures, 0);
        assert_eq!(Outcome::ALL.map(|outcome| source.lookups(outcome)), [2, 1, 1]);
    }

    #[test]
    fn the_same_answer_is_no_change() {
        let (source, mut failures) = (source(), 0);
        take(&source, &settings(), answered(&[1, 2], 30), &mut failures);
        let version = source.found().version;
        take(&source, &settings(), answered(&[2, 1], 30), &mut failures);
        assert_eq!(source.found().version, version, "the order of records means nothing");
        assert!(source.age(Instant::now()).is_some_and(|age| age < Duration::from_secs(60)));
    }

    #[test]
    fn failures_are_followed_by_longer_and_longer_waits() {
        let (source, mut failures) = (source(), 0);
        for wanted in [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0] {
            let wait = take(&source, &settings(), Err(Trouble::Empty), &mut failures).as_secs_f64();
            assert!((wanted * 0.8..=wanted * 1.2).contains(&wait), "{wait} s, {wanted} s wanted");
        }
    }
}
