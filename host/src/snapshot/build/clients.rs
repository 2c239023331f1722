//! From the clients of a document to those that requests are held against.

use std::sync::Arc;

use super::{Build, at};
use crate::config::document::{self, ClientKey};
use crate::config::{Code, Finding, KeyPath};
use crate::identity::Clients;
use crate::identity::client::{ClientError, ClientSettings, KeyDigest, KeySettings};
use crate::identity::digest::{Digest, Pepper};
use crate::snapshot::Snapshot;

impl Build<'_> {
    pub(super) fn clients(&mut self, previous: Option<&Snapshot>) -> Arc<Clients> {
        let Ok(pepper) = self.pepper() else { return Arc::default() };
        let settings = self.document.clients.iter().map(client_settings);
        Clients::build(settings, pepper, previous.map(|snapshot| &*snapshot.clients)).map(Arc::new).unwrap_or_else(|errors| {
            self.findings.extend(errors.iter().map(finding));
            Arc::default()
        })
    }

    /// The pepper, if one is configured. What is wrong with it is found here.
    fn pepper(&mut self) -> Result<Option<Pepper>, ()> {
        let Some(configured) = &self.document.identity.pepper else { return Ok(None) };
        let want = || format!("a secret of at least {} bytes", Pepper::SHORTEST);
        let secret = match self.secret(configured) {
            Ok(secret) if secret.0.len() >= Pepper::SHORTEST => return Ok(Some(Pepper::new(&secret.0))),
            Ok(secret) => Err((format!("{} bytes", secret.0.len()), want())),
            Err(problem) => Err(problem),
        };
        secret.map_err(|(got, want)| self.found(KeyPath::default().key("identity").key("pepper"), Code::Value, got, want))
    }
}

pub(super) fn client_settings(client: &document::Client) -> ClientSettings {
    ClientSettings {
        name: client.name.clone(),
        keys: client.keys.iter().filter_map(key_settings).collect(),
        scopes: client.scopes.clone(),
        plan: client.plan.clone(),
        disabled: client.disabled,
    }
}

/// None for a key without a digest, which the check of the document has found.
fn key_settings(key: &ClientKey) -> Option<KeySettings> {
    let plain = key.sha256.map(|digest| KeyDigest::Plain(Digest::from_bytes(digest.0)));
    let peppered = key.hmac.map(|digest| KeyDigest::Peppered(Digest::from_bytes(digest.0)));
    Some(KeySettings {
        digest: peppered.or(plain)?,
        expires: key.expires.map(|time| time.0),
        scopes: key.scopes.clone(),
        id: key.id.clone(),
    })
}

pub(super) fn finding(error: &ClientError) -> Finding {
    let key = |client: usize, key: usize| at("clients", client).key("keys").index(key);
    match error {
        ClientError::SharedKey { client, key: index, .. } => {
            Finding::new(key(*client, *index), Code::Conflict, error.to_string(), "a key of its own")
        }
        ClientError::NoPepper { client, key: index } => {
            Finding::new(key(*client, *index).key("hmac"), Code::Reference, error.to_string(), "sha256, or identity.pepper")
        }
    }
}
