//! What answers mean: which addresses a name has, when only one of two questions was answered, and what the weights and
//! priorities of SRV records come to. Asks nobody.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use crate::upstream::endpoint::Origin;

use super::super::Target;
use super::Trouble;

/// The answer to one question.
#[derive(Debug, Clone)]
pub enum Answer<T> {
    /// These.
    Records(Vec<T>),
    /// None: there is no such name, or it has no such records.
    Nothing,
    /// Nobody knows.
    Failed(String),
}

/// The addresses of a name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    v4: Vec<IpAddr>,
    v6: Vec<IpAddr>,
}

/// What an SRV record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Those of the lowest number come first.
    pub priority: u16,
    /// Its share.
    pub weight: u16,
    /// Its port.
    pub port: u16,
    /// Its host, without a dot at the end.
    pub host: String,
}

/// The shares of a record are counted in twelfths, so that up to four, or six, addresses can share it.
const PARTS: u32 = 12;

impl Addresses {
    /// What is known after both questions. A question that nobody answered leaves what was known; a name that has no record
    /// of one kind has lost those of that kind, unless it has no record at all.
    pub fn learn(&mut self, v4: Answer<IpAddr>, v6: Answer<IpAddr>) -> Result<(), Trouble> {
        let mut failure = None;
        let mut settle = |answer, last: &Vec<IpAddr>| match answer {
            Answer::Records(addresses) => addresses,
            Answer::Nothing => Vec::new(),
            Answer::Failed(cause) => {
                failure = Some(Trouble::Failed(cause));
                last.clone()
            }
        };
        let new = Self { v4: settle(v4, &self.v4), v6: settle(v6, &self.v6) };
        let any = new.all().next().is_some();
        if any {
            *self = new;
        }
        match failure {
            Some(failure) => Err(failure),
            None if any => Ok(()),
            None => Err(Trouble::Empty),
        }
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = IpAddr> {
        self.v4.iter().chain(&self.v6).copied()
    }
}

/// One endpoint for each address.
pub fn at_addresses(name: &str, addresses: &Addresses, port: u16, tls: bool) -> Vec<Target> {
    let host = name.strip_suffix('.').unwrap_or(name);
    addresses.all().map(|address| target(address, port, host, tls, 1, 0)).collect()
}

/// One endpoint for each address of each record's host. They share the record's weight (RFC 2782). A weight of 0, a very
/// small chance there, is a twelfth of 1 here, and alone among its like as good as any.
pub fn at_services(services: &[Service], addresses: &HashMap<String, Addresses>, tls: bool) -> Vec<Target> {
    let mut targets = Vec::new();
    for service in services {
        let Some(addresses) = addresses.get(&service.host) else { continue };
        let weight = u32::from(service.weight) * PARTS / addresses.all().count().max(1) as u32;
        targets.extend(addresses.all().map(|address| target(address, service.port, &service.host, tls, weight.max(1), service.priority)));
    }
    // In whole numbers where they are whole, since endpoints of the configuration may stand beside them.
    let common = targets.iter().fold(PARTS, |common, target| gcd(common, target.weight));
    targets.iter_mut().for_each(|target| target.weight /= common);
    targets
}

fn gcd(one: u32, other: u32) -> u32 {
    if other == 0 { one } else { gcd(other, one % other) }
}

fn target(address: IpAddr, port: u16, host: &str, tls: bool, weight: u32, priority: u16) -> Target {
    let address = SocketAddr::new(address, port);
    let origin = Origin { authority: address.to_string().into(), host: host.into(), tls };
    Target { origin, addresses: vec![address], weight, priority }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn some(texts: &[&str]) -> Answer<IpAddr> {
        Answer::Records(texts.iter().map(|text| ip(text)).collect())
    }

    fn failed() -> Answer<IpAddr> {
        Answer::Failed("timed out".into())
    }

    #[track_caller]
    fn check(v4: Answer<IpAddr>, v6: Answer<IpAddr>, expected: &[&str], trouble: Option<Trouble>) {
        let mut addresses = Addresses { v4: vec![ip("10.0.0.1")], v6: vec![ip("fd00::1")] };
        assert_eq!(addresses.learn(v4, v6).err(), trouble);
        assert_eq!(addresses.all().collect::<Vec<_>>(), expected.iter().map(|text| ip(text)).collect::<Vec<_>>());
    }

    #[test]
    fn each_question_that_is_answered_counts_and_one_that_is_not_leaves_what_was_known() {
        let timed_out = || Some(Trouble::Failed("timed out".into()));
        check(some(&["10.0.0.2", "10.0.0.3"]), some(&["fd00::2"]), &["10.0.0.2", "10.0.0.3", "fd00::2"], None);
        check(some(&["10.0.0.2"]), Answer::Nothing, &["10.0.0.2"], None);
        check(some(&["10.0.0.2"]), failed(), &["10.0.0.2", "fd00::1"], timed_out());
        check(failed(), failed(), &["10.0.0.1", "fd00::1"], timed_out());
        check(Answer::Nothing, failed(), &["fd00::1"], timed_out());
        check(Answer::Nothing, Answer::Nothing, &["10.0.0.1", "fd00::1"], Some(Trouble::Empty));
    }

    fn services(records: &[(u16, u16, &str)]) -> Vec<(u16, u32, String)> {
        let addresses = HashMap::from([
            ("one".to_owned(), Addresses { v4: vec![ip("10.0.0.1")], v6: Vec::new() }),
            ("two".to_owned(), Addresses { v4: vec![ip("10.0.0.2"), ip("10.0.0.3")], v6: Vec::new() }),
        ]);
        let service = |(priority, weight, host): &(u16, u16, &str)| Service {
            priority: *priority,
            weight: *weight,
            port: 80,
            host: (*host).to_owned(),
        };
        let records: Vec<Service> = records.iter().map(service).collect();
        let targets = at_services(&records, &addresses, true);
        targets.into_iter().map(|target| (target.priority, target.weight, target.origin.authority.into())).collect()
    }

    #[track_caller]
    fn check_services(records: &[(u16, u16, &str)], expected: &[(u16, u32, &str)]) {
        let expected: Vec<(u16, u32, String)> = expected.iter().map(|(priority, weight, at)| (*priority, *weight, (*at).into())).collect();
        assert_eq!(services(records), expected, "of {records:?}");
    }

    #[test]
    fn the_addresses_of_a_record_share_its_weight() {
        check_services(&[(0, 30, "one")], &[(0, 30, "10.0.0.1:80")]);
        check_services(&[(0, 10, "one"), (0, 20, "two")], &[(0, 10, "10.0.0.1:80"), (0, 10, "10.0.0.2:80"), (0, 10, "10.0.0.3:80")]);
        check_services(&[(0, 1, "one"), (0, 1, "two")], &[(0, 2, "10.0.0.1:80"), (0, 1, "10.0.0.2:80"), (0, 1, "10.0.0.3:80")]);
        check_services(&[(1, 0, "one"), (2, 5, "nobody")], &[(1, 1, "10.0.0.1:80")]);
        check_services(&[(0, 0, "one"), (0, 2, "two")], &[(0, 1, "10.0.0.1:80"), (0, 12, "10.0.0.2:80"), (0, 12, "10.0.0.3:80")]);
    }

    #[test]
    fn the_name_for_tls_is_the_one_that_was_looked_up() {
        let addresses = Addresses { v4: Vec::new(), v6: vec![ip("fd00::1")] };
        let targets = at_addresses("orders.test.", &addresses, 443, true);
        assert_eq!((&*targets[0].origin.authority, &*targets[0].origin.host), ("[fd00::1]:443", "orders.test"));
    }
}
