//! A set of networks, kept as ranges in order: a list of thousands costs a dozen comparisons.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;

/// Networks of either family.
#[derive(Default, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct Networks {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
}

/// Ranges from a first to a last address, none touching another.
#[derive(Default)]
struct Ranges<T>(Vec<(T, T)>);

impl Networks {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.v4.0.is_empty() && self.v6.0.is_empty()
    }

    /// Whether one of them has this address. IPv4 written as IPv6 (`::ffff:a.b.c.d`) counts as IPv4.
    pub fn contain(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => self.v4.contain(address.to_bits()),
            IpAddr::V6(address) => self.v6.contain(address.to_bits()),
        }
    }
}

impl TryFrom<Vec<String>> for Networks {
    type Error = String;

    fn try_from(texts: Vec<String>) -> Result<Self, String> {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for text in &texts {
            let network = parse(text)?;
            match (network.network().to_canonical(), network.broadcast().to_canonical()) {
                (IpAddr::V4(first), IpAddr::V4(last)) => v4.push((first.to_bits(), last.to_bits())),
                _ => v6.push(v6_range(&network)),
            }
        }
        Ok(Self { v4: Ranges::new(v4), v6: Ranges::new(v6) })
    }
}

fn parse(text: &str) -> Result<IpNet, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.into());
    }
    let network: IpNet = text.parse().map_err(|_| format!("got {text:?}, want a network such as 10.0.0.0/8 or an address"))?;
    match network == network.trunc() {
        true => Ok(network),
        false => Err(format!("got {text:?}, want {} or the address alone", network.trunc())),
    }
}

fn v6_range(network: &IpNet) -> (u128, u128) {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    };
    (bits(network.network()), bits(network.broadcast()))
}

impl<T: Copy + Ord> Ranges<T> {
    fn new(mut ranges: Vec<(T, T)>) -> Self {
        ranges.sort_unstable();
        let mut merged: Vec<(T, T)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match merged.last_mut() {
                Some((_, end)) if first <= *end => *end = last.max(*end),
                _ => merged.push((first, last)),
            }
        }
        Self(merged)
    }

    fn contain(&self, address: T) -> bool {
        let after = self.0.partition_point(|(first, _)| *first <= address);
        after.checked_sub(1).is_some_and(|before| address <= self.0[before].1)
    }
}
