//! What an issuer publishes about itself (OpenID Connect Discovery 1.0, RFC 8414), of which we need addresses only.
//! One look at a time; who looks again, and when, is decided elsewhere.

use http::{Uri, uri::Scheme};
use serde_json::Value;
use thiserror::Error;

use crate::identity::{
    fetch::{Fetch, FetchError},
    json,
};

/// The addresses that an issuer's metadata name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// Its key set.
    pub jwks_uri: Uri,
    /// Where opaque tokens are asked about (RFC 7662). None where it is missing or not safe to use.
    pub introspection_endpoint: Option<Uri>,
    /// Where tokens are issued. None likewise.
    pub token_endpoint: Option<Uri>,
}

/// Why an issuer's metadata are not known.
#[derive(Debug, Error)]
pub enum DiscoveryError {
    /// The issuer is no address to fetch from.
    #[error("{0:?} is not an https address, nor an http address of this machine, without query and user")]
    Issuer(String),
    /// Nothing came.
    #[error("the metadata could not be fetched")]
    Fetch(#[from] FetchError),
    /// What came is no JSON object.
    #[error("the metadata are not a JSON object: {0}")]
    NotAnObject(String),
    /// Metadata of somebody else (RFC 8414 §3.3).
    #[error("the metadata are of the issuer {0:?}")]
    OtherIssuer(String),
    /// No key set, or not at an address that we would fetch it from.
    #[error("the metadata name no jwks_uri at an https address, nor at an http address of this machine")]
    Keys,
}

const MAX_DEPTH: usize = 8;

/// Fetches the metadata of an issuer: first where OpenID Connect has them, then where RFC 8414 §3 has them.
pub async fn discover(issuer: &str, fetch: &impl Fetch) -> Result<Metadata, DiscoveryError> {
    let [openid, oauth] = addresses(issuer)?;
    let missing = match fetch.get(&openid).await {
        Ok(fetched) => return read(&fetched.body, issuer),
        Err(missing @ FetchError::Status(_)) => missing,
        // A host that cannot be reached is not asked twice.
        Err(error) => return Err(error.into()),
    };
    match fetch.get(&oauth).await {
        Ok(fetched) => read(&fetched.body, issuer),
        Err(_) => Err(missing.into()),
    }
}

/// An address that may be fetched from in an issuer's name: https, or http where nobody can listen in.
pub fn endpoint(text: &str) -> Option<Uri> {
    let uri: Uri = text.parse().ok()?;
    let authority = uri.authority()?.as_str();
    let secure = match uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTPS => true,
        Some(scheme) if *scheme == Scheme::HTTP => uri.host().is_some_and(is_loopback),
        _ => false,
    };
    (secure && !authority.contains('@')).then_some(uri)
}

/// Where the metadata of an issuer may be.
pub fn addresses(issuer: &str) -> Result<[Uri; 2], DiscoveryError> {
    let wrong = || DiscoveryError::Issuer(issuer.to_owned());
    let uri = endpoint(issuer).filter(|uri| uri.query().is_none() && !issuer.contains('#')).ok_or_else(wrong)?;
    let path = uri.path().trim_end_matches('/');
    let at = |path: String| {
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = Some(path.parse().ok()?);
        Uri::from_parts(parts).ok()
    };
    let openid = at(format!("{path}/.well-known/openid-configuration")).ok_or_else(wrong)?;
    let oauth = at(format!("/.well-known/oauth-authorization-server{path}")).ok_or_else(wrong)?;
    Ok([openid, oauth])
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

fn read(text: &[u8], issuer: &str) -> Result<Metadata, DiscoveryError> {
    let members = json::object(text, MAX_DEPTH).map_err(|error| DiscoveryError::NotAnObject(error.to_string()))?;
    match members.get("issuer") {
        Some(Value::String(named)) if named == issuer => {}
        named => return Err(DiscoveryError::OtherIssuer(named.map_or_else(String::new, Value::to_string))),
    }
    let address = |name| members.get(name).and_then(Value::as_str).and_then(endpoint);
    Ok(Metadata {
        jwks_uri: address("jwks_uri").ok_or(DiscoveryError::Keys)?,
        introspection_endpoint: address("introspection_endpoint"),
        token_endpoint: address("token_endpoint"),
    })
}

#[cfg(test)]
mod tests;
