//! `gatehouse plugin push`: a component into a running gateway, or into a registry from where gateways take it.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use http::Method;
use serde_json::Value;

use crate::admin::client::Content;
use crate::cli::remote::AdminArgs;
use crate::identity::issuer::Secret;
use crate::registry::{self, Artifact, Credentials};
use crate::rollout::signature;

/// A component to be brought in.
#[derive(Args)]
pub struct PushArgs {
    /// The plugin
    name: String,
    /// The component
    file: PathBuf,
    /// A registry instead of a gateway
    #[arg(long, value_name = "oci://HOST/NAME:TAG", value_parser = reference)]
    to: Option<String>,
    /// Speak plain HTTP to the registry, as to one on this machine anyway
    #[arg(long, requires = "to")]
    insecure: bool,
    /// Who pushes to the registry; the password is in GATEHOUSE_REGISTRY_PASSWORD
    #[arg(long, value_name = "NAME", requires = "to")]
    username: Option<String>,
    #[command(flatten)]
    admin: AdminArgs,
}

fn reference(text: &str) -> Result<String, &'static str> {
    let reference = text.strip_prefix("oci://").filter(|reference| reference.contains('/') && !reference.contains('@'));
    reference.map(str::to_owned).ok_or("want oci://HOST/NAME:TAG")
}

/// Does it.
pub fn run(arguments: &PushArgs) -> Result<String, String> {
    let signature = signature::read_beside(&arguments.file).map_err(|error| error.to_string())?;
    let component = super::read(&arguments.file)?;
    match &arguments.to {
        Some(reference) => to_registry(arguments, reference, component, signature),
        None => to_gateway(arguments, component, signature),
    }
}

fn to_gateway(arguments: &PushArgs, component: Vec<u8>, signature: Option<String>) -> Result<String, String> {
    let content = Content::Component(component, signature);
    let version = arguments.admin.client()?.send(Method::POST, &super::path(&arguments.name, "/versions"), content);
    let version = version.map_err(|error| error.to_string())?;
    let imports = texts(&version["imports"]);
    let serves = serving_now(&arguments.admin, &arguments.name) == version["version"].as_u64();
    let next = match serves {
        true => "serves already",
        false => "is ready; it serves nobody until it is rolled out:",
    };
    let command =
        if serves { String::new() } else { format!("  gatehouse plugin rollout {} {} --weight 5\n", arguments.name, version["version"]) };
    Ok(format!(
        "{name} version {number} {next}\n{command}sha256 {sha256}\nimports {imports}",
        name = arguments.name,
        number = version["version"],
        sha256 = version["sha256"].as_str().unwrap_or_default(),
        imports = if imports.is_empty() { "nothing".to_owned() } else { imports.join(", ") },
    ))
}

/// The version that serves, if that can be had.
fn serving_now(admin: &AdminArgs, name: &str) -> Option<u64> {
    let view = admin.client().ok()?.send(Method::GET, &super::path(name, ""), Content::None).ok()?;
    view["stable"]["version"].as_u64()
}

fn to_registry(arguments: &PushArgs, reference: &str, component: Vec<u8>, signature: Option<String>) -> Result<String, String> {
    let artifact = Artifact {
        reference: reference.to_owned(),
        credentials: credentials(arguments)?,
        refresh: Duration::ZERO,
        insecure: arguments.insecure.then_some(true),
        authorities: None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let digest = runtime.block_on(registry::push(&artifact, component, signature)).map_err(|error| error.to_string())?;
    Ok(format!(
        "{reference} is {digest}; a gateway takes it as\n  plugins: [{{name: {name}, source: {{oci: \"{base}@{digest}\"}}}}]",
        name = arguments.name,
        base = untagged(reference),
    ))
}

fn credentials(arguments: &PushArgs) -> Result<Option<Credentials>, String> {
    let Some(username) = &arguments.username else { return Ok(None) };
    let password = std::env::var("GATEHOUSE_REGISTRY_PASSWORD").map_err(|_| "set GATEHOUSE_REGISTRY_PASSWORD")?;
    Ok(Some(Credentials { username: username.clone(), password: Secret(password.into_bytes()) }))
}

/// A colon before the last slash is that of a port.
fn untagged(reference: &str) -> &str {
    match (reference.rfind(':'), reference.rfind('/')) {
        (Some(colon), Some(slash)) if colon > slash => &reference[..colon],
        _ => reference,
    }
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_what_follows_the_last_slash() {
        assert_eq!(untagged("registry:5000/acme/plugin:v1"), "registry:5000/acme/plugin");
        assert_eq!(untagged("registry:5000/acme/plugin"), "registry:5000/acme/plugin");
    }

    #[test]
    fn a_place_to_push_to_is_a_tag_in_a_registry() {
        assert_eq!(reference("oci://localhost:5000/a:b"), Ok("localhost:5000/a:b".to_owned()));
        for bad in ["localhost:5000/a:b", "oci://a", "oci://a/b@sha256:00", "https://a/b"] {
            assert!(reference(bad).is_err(), "{bad}");
        }
    }
}
