//! `ip-allow`: lets in requests by the address they come from, as the gateway has it after `trusted_proxies`.

#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

mod networks;

use gatehouse_plugin::{Needs, Plugin, Reply, Request, Result, Verdict, next};
use serde::Deserialize;

use crate::networks::Networks;

struct IpAllow {
    config: Config,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default)]
    allow: Option<Networks>,
    #[serde(default)]
    deny: Networks,
}

impl Plugin for IpAllow {
    type Config = Config;

    fn new(config: Config) -> Result<Self> {
        let allow = config.allow.filter(|networks| !networks.is_empty());
        match allow.is_none() && config.deny.is_empty() {
            true => Err("got no network, want some to allow or to deny".into()),
            false => Ok(Self { config: Config { allow, ..config } }),
        }
    }

    fn config_schema() -> Option<&'static str> {
        Some(include_str!("../schema.json"))
    }

    fn needs(&self) -> Needs {
        Needs::new()
    }

    fn on_request(&self, request: Request) -> Result<Verdict> {
        let address = request.address();
        let denied = self.config.deny.contain(address);
        match !denied && self.config.allow.as_ref().is_none_or(|allowed| allowed.contain(address)) {
            true => Ok(next().into()),
            false => Ok(Reply::problem(403, "Forbidden", "Requests from this address are not accepted.").into()),
        }
    }
}

gatehouse_plugin::export!(IpAllow, bare);

#[cfg(test)]
mod tests {
    use core::net::IpAddr;

    use gatehouse_plugin::testing::{self, Request};

    use super::IpAllow;

    #[track_caller]
    fn check(config: &str, passes: &[&str], refused: &[&str]) {
        let plugin = testing::configure::<IpAllow>(config).unwrap();
        let request = |address: &&str| Request::get("/").address(address.parse::<IpAddr>().unwrap());
        for address in passes {
            let _ = plugin.send(request(address)).forwarded();
        }
        for address in refused {
            assert_eq!(plugin.send(request(address)).answered().status(), 403, "{address} by {config}");
        }
    }

    #[test]
    fn only_what_is_allowed_passes() {
        let config = r#"{"allow": ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"]}"#;
        let passes = ["10.0.0.0", "10.255.255.255", "192.0.2.7", "2001:db8:ffff::1"];
        check(config, &passes, &["9.255.255.255", "11.0.0.0", "192.0.2.8", "2001:db9::", "::1"]);
    }

    #[test]
    fn all_but_what_is_denied_pass_where_nothing_is_allowed_in_particular() {
        check(r#"{"deny": ["192.0.2.0/24"]}"#, &["192.0.3.0", "::1"], &["192.0.2.0", "192.0.2.255"]);
        check(r#"{"deny": ["::/0"], "allow": []}"#, &["192.0.2.1"], &["::1", "2001:db8::1"]);
    }

    #[test]
    fn deny_wins() {
        check(r#"{"allow": ["10.0.0.0/8"], "deny": ["10.1.0.0/16"]}"#, &["10.0.0.1"], &["10.1.2.3", "192.0.2.1"]);
    }

    #[test]
    fn an_ipv4_address_written_as_ipv6_is_the_same_address() {
        check(r#"{"allow": ["::ffff:10.0.0.0/104"]}"#, &["10.1.2.3", "::ffff:10.1.2.3"], &["11.0.0.1", "::ffff:11.0.0.1"]);
        check(r#"{"deny": ["10.0.0.0/8"]}"#, &["::ffff:11.0.0.1"], &["::ffff:10.0.0.1"]);
    }

    #[track_caller]
    fn check_refused(config: &str, reason: &str) {
        let refusal = testing::configure::<IpAllow>(config).unwrap_err().to_string();
        assert!(refusal.contains(reason), "{config}: {refusal}");
    }

    #[test]
    fn what_is_no_network_is_refused() {
        check_refused("{}", "got no network");
        check_refused(r#"{"allow": [], "deny": []}"#, "got no network");
        check_refused(r#"{"allow": ["10.0.0.0/33"]}"#, r#"got "10.0.0.0/33", want a network"#);
        check_refused(r#"{"allow": ["example.com"]}"#, r#"got "example.com", want a network"#);
        check_refused(r#"{"deny": ["10.0.0.1/8"]}"#, r#"got "10.0.0.1/8", want 10.0.0.0/8 or the address alone"#);
        check_refused(r#"{"alow": []}"#, "unknown field `alow`");
    }
}
