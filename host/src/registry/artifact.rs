//! What is to be pulled: a reference, and how its registry is spoken to.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::identity::issuer::Secret;

/// An artifact in a registry. Those that agree on all of this are one.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Artifact {
    /// `REGISTRY/NAME@sha256:…` or `REGISTRY/NAME:TAG`.
    pub reference: String,
    /// Who asks.
    pub credentials: Option<Credentials>,
    /// How often a tag is looked up again.
    pub refresh: Duration,
    /// Whether to speak plain HTTP; None for where the registry is on this machine.
    pub insecure: Option<bool>,
    /// The authorities to trust, in DER; None for the system's.
    pub authorities: Option<Arc<[Vec<u8>]>>,
}

/// A name and a password for a registry.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Credentials {
    /// The account.
    pub username: String,
    /// Its password.
    pub password: Secret,
}

impl Artifact {
    /// Whether it can never be another one.
    pub fn is_pinned(&self) -> bool {
        self.reference.contains('@')
    }

    /// The digest that its manifest has to have.
    pub fn digest(&self) -> Option<&str> {
        self.reference.split_once('@').map(|(_, digest)| digest)
    }

    /// The reference with the digest of a manifest.
    pub fn pinned(&self, manifest: &str) -> Arc<str> {
        if self.is_pinned() { self.reference.as_str().into() } else { format!("{}@{manifest}", self.reference).into() }
    }

    /// Whether its registry is spoken to in plain HTTP.
    pub fn speaks_plainly(&self) -> bool {
        self.insecure.unwrap_or_else(|| self.authorities.is_none() && is_here(self.registry()))
    }

    fn registry(&self) -> &str {
        self.reference.split('/').next().unwrap_or_default()
    }
}

fn is_here(registry: &str) -> bool {
    let host = registry.split(':').next().unwrap_or_default();
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(reference: &str, insecure: Option<bool>, speaks_plainly: bool) {
        let artifact = Artifact { reference: reference.into(), credentials: None, refresh: Duration::ZERO, insecure, authorities: None };
        assert_eq!(artifact.speaks_plainly(), speaks_plainly, "{reference} {insecure:?}");
        let trusting = Artifact { authorities: Some(Arc::new([vec![0]])), ..artifact };
        assert_eq!(trusting.speaks_plainly(), insecure == Some(true), "{reference} {insecure:?} with authorities");
    }

    #[test]
    fn plain_http_is_for_this_machine_unless_it_is_asked_for() {
        check("localhost:5000/acme:1", None, true);
        check("localhost/acme:1", None, true);
        check("127.0.0.1:5000/acme:1", None, true);
        check("127.0.0.1:5000/acme:1", Some(false), false);
        check("localhost.example/acme:1", None, false);
        check("192.0.2.1:5000/acme:1", None, false);
        check("registry.example/acme:1", None, false);
        check("registry.example/acme:1", Some(true), true);
    }
}
