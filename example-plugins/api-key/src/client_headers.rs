//! Headers that tell the upstream who is calling. A client's own copy of one never gets through.

use alloc::string::String;

use gatehouse_plugin::header::HeaderName;
use gatehouse_plugin::keys::Holder;
use gatehouse_plugin::{Changes, Result};
use serde::Deserialize;

/// The header of each thing that is known of a client.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClientHeaders {
    name: Option<HeaderName>,
    plan: Option<HeaderName>,
    scopes: Option<HeaderName>,
    key_id: Option<HeaderName>,
}

impl ClientHeaders {
    /// Whether this header is one of them.
    pub fn has(&self, header: &HeaderName) -> bool {
        self.headers().any(|own| own == header)
    }

    /// Finds a header that is to hold two things.
    ///
    /// # Errors
    /// That there is one.
    pub fn check(&self) -> Result<()> {
        let twice = self.headers().enumerate().any(|(at, header)| self.headers().take(at).any(|other| other == header));
        if twice { Err("client_to_headers: two of them have the same header".into()) } else { Ok(()) }
    }

    /// Tells of a client.
    pub fn of(&self, holder: &Holder, changes: Changes) -> Changes {
        let changes = set(changes, self.name.as_ref(), || Some(holder.name.clone()));
        let changes = set(changes, self.plan.as_ref(), || holder.plan.clone());
        let changes = set(changes, self.scopes.as_ref(), || Some(holder.scopes.join(" ")).filter(|scopes| !scopes.is_empty()));
        set(changes, self.key_id.as_ref(), || holder.key_id.clone())
    }

    /// Tells of nobody.
    pub fn without_client(&self, changes: Changes) -> Changes {
        self.headers().fold(changes, Changes::remove_header)
    }

    fn headers(&self) -> impl Iterator<Item = &HeaderName> {
        [&self.name, &self.plan, &self.scopes, &self.key_id].into_iter().flatten()
    }
}

/// What is not known of this client is not there, whatever the client sent.
fn set(changes: Changes, header: Option<&HeaderName>, value: impl FnOnce() -> Option<String>) -> Changes {
    let Some(header) = header else { return changes };
    match value() {
        Some(value) => changes.set_header(header, value),
        None => changes.remove_header(header),
    }
}
