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
}

impl Config {
    /// The plugin that this configures.
    pub fn build(self) -> Result<Cors> {
        let origins = Origins::parse(self.origins)?;
        if self.credentials && origins.allow_all() {
            // The browser would ignore the answer; echoing any origin would hand every site the user's cookies.
            return Err("credentials: got true with the origin *, want origins by name".into());
        }
        let reflects = self.headers == ["*"];
        Ok(Cors {
            origins,
            methods: joined("methods", &self.methods)?,
            headers: if reflects { None } else { Some(joined("headers", &self.headers)?) },
            expose: Some(joined("expose", &self.expose)?).filter(|names| !names.is_empty()),
            credentials: self.credentials,
            max_age: self.max_age.map(|seconds| format!("{seconds}")),
        })
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
