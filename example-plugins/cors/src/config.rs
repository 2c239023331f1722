//! The configuration of `cors`, joined into header values once.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use gatehouse_plugin::header::is_token;
use gatehouse_plugin::{Error, Result};
use serde::Deserialize;

use crate::Cors;
use crate::origin::Origins;

/// The configuration.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    origins: Vec<String>,
    #[serde(default = "default_methods")]
    methods: Vec<String>,
    #[serde(default)]
    headers: Vec<String>,
    #[serde(default)]
    expose: Vec<String>,
    #[serde(default)]
    credentials: bool,
    #[serde(default)]
    max_age: Option<u32>,
    #[serde(default)]
    private_network: bool,
}

impl Config {
    /// The plugin that this configures.
    pub fn build(mut self) -> Result<Cors> {
        let origins = Origins::parse(core::mem::take(&mut self.origins))?;
        if self.credentials {
            self.check_credentials(&origins)?;
        }
        // The Fetch standard takes a `*` for a name once there are credentials, and never lets it stand for `authorization`.
        let reflects = self.headers.iter().any(|name| name == "*");
        // Methods are compared to the letter, and browsers send these in capitals.
        self.methods.iter_mut().for_each(|method| method.make_ascii_uppercase());
        Ok(Cors {
            origins,
            methods: joined("methods", &self.methods)?,
            headers: if reflects { None } else { Some(joined("headers", &self.headers)?) },
            expose: Some(joined("expose", &self.expose)?).filter(|names| !names.is_empty()),
            credentials: self.credentials,
            max_age: self.max_age.map(|seconds| format!("{seconds}")),
            private_network: self.private_network,
        })
    }

    /// What browsers ignore together with credentials, or what would hand the user's cookies to anybody.
    fn check_credentials(&self, origins: &Origins) -> Result<()> {
        if origins.allow_all() {
            return Err("credentials: got true with the origin *, want origins by name".into());
        }
        // Every sandboxed frame and every file has the origin `null`.
        if origins.allow("null") {
            return Err("credentials: got true with the origin null, which any site can take on".into());
        }
        // The Fetch standard takes a `*` for a name once there are credentials.
        match [("methods", &self.methods), ("expose", &self.expose)].into_iter().find(|(_, names)| names.iter().any(|name| name == "*")) {
            Some((key, _)) => Err(Error::new(format!("{key}: got * with credentials, want names"))),
            None => Ok(()),
        }
    }
}

fn joined(key: &str, tokens: &[String]) -> Result<String> {
    match tokens.iter().find(|token| !is_token(token)) {
        Some(token) => Err(Error::new(format!("{key}: got {token:?}, want a name"))),
        None => Ok(tokens.join(", ")),
    }
}

fn default_methods() -> Vec<String> {
    ["GET", "HEAD", "POST"].map(str::to_owned).into()
}
