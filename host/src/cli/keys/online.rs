//! Keys of clients of a running gateway.

use std::time::SystemTime;

use clap::Args;
use http::Method;
use serde_json::{Map, Value};

use crate::admin::client::Content;
use crate::cli::remote::{AdminArgs, encoded};
use crate::config::units::Period;

use super::{CreateArgs, end_after};

/// The keys of a client.
#[derive(Args)]
pub struct ListArgs {
    /// The client
    client: String,
    #[command(flatten)]
    admin: AdminArgs,
}

/// A key of a client.
#[derive(Args)]
pub struct RevokeArgs {
    /// The client
    client: String,
    /// The id of the key, as `list` shows it
    id: String,
    #[command(flatten)]
    admin: AdminArgs,
}

/// A key that is to be replaced.
#[derive(Args)]
pub struct RotateArgs {
    /// The client
    client: String,
    /// The id of the key, as `list` shows it
    id: String,
    /// How long the old key still works
    #[arg(long, value_name = "TIME", default_value = "0s")]
    grace: Period,
    #[command(flatten)]
    admin: AdminArgs,
}

/// Makes a key for a client: on the first line, for scripts.
pub fn create(client: &str, arguments: &CreateArgs) -> Result<String, String> {
    let mut body = Map::new();
    body.insert("env".into(), arguments.env.as_str().into());
    if let Some(duration) = arguments.entry.expires {
        let expires = end_after(duration, SystemTime::now()).map_err(|failure| failure.0)?;
        body.insert("expires".into(), expires.to_string().into());
    }
    if let Some(scopes) = &arguments.entry.scopes {
        body.insert("scopes".into(), scopes.clone().into());
    }
    let made = send(&arguments.admin, Method::POST, &path(client, ""), Content::Json(body.into()))?;
    Ok(shown(&made))
}

/// Shows the keys of a client, a line for each.
pub fn list(arguments: &ListArgs) -> Result<String, String> {
    let keys = send(&arguments.admin, Method::GET, &path(&arguments.client, ""), Content::None)?;
    Ok(keys["items"].as_array().into_iter().flatten().map(line).collect())
}

/// Revokes a key.
pub fn revoke(arguments: &RevokeArgs) -> Result<String, String> {
    let path = path(&arguments.client, &format!("/{}", encoded(&arguments.id)));
    let outcome = send(&arguments.admin, Method::DELETE, &path, Content::None)?;
    Ok(format!("{} is revoked since revision {}\n", arguments.id, outcome["revision"]))
}

/// Makes a key in place of another.
pub fn rotate(arguments: &RotateArgs) -> Result<String, String> {
    let path = path(&arguments.client, &format!("/{}/rotate", encoded(&arguments.id)));
    let body = serde_json::json!({"grace": arguments.grace});
    Ok(shown(&send(&arguments.admin, Method::POST, &path, Content::Json(body))?))
}

fn shown(made: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    format!(
        "{}\n\n# Shown once: only its digest is kept. Its id is {}; it works since revision {}.\n",
        text(&made["key"]),
        text(&made["id"]),
        made["revision"]
    )
}

fn line(key: &Value) -> String {
    let id = key["id"].as_str().unwrap_or_default();
    let last4 = key["last4"].as_str().map(|last4| format!(" …{last4}")).unwrap_or_default();
    let end = match (key["expires"].as_str(), key["expired"] == true) {
        (None, _) => String::new(),
        (Some(end), false) => format!(" until {end}"),
        (Some(end), true) => format!(" expired {end}"),
    };
    let scopes = key["scopes"].as_array().map(|scopes| scopes.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","));
    format!("{id}{last4}{end}{}\n", scopes.map(|scopes| format!(" scopes [{scopes}]")).unwrap_or_default())
}

fn send(admin: &AdminArgs, method: Method, path: &str, content: Content) -> Result<Value, String> {
    admin.client()?.send(method, path, content).map_err(|error| error.to_string())
}

fn path(client: &str, rest: &str) -> String {
    format!("/v1/clients/{}/keys{rest}", encoded(client))
}
