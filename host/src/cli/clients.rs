//! `gatehouse clients`: the API clients of a running gateway.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use crate::admin::client::Content;

use super::remote::{self, AdminArgs, encoded};

/// What to do with clients.
#[derive(Subcommand)]
pub enum ClientsCommand {
    /// Make a client, or change what it may do; its keys stay
    Put(PutArgs),
    /// Show all clients: name, where it is declared, keys, scopes, plan
    List(ListArgs),
    /// Delete a client with all its keys
    Delete(NameArgs),
}

/// A client.
#[derive(Args)]
pub struct PutArgs {
    /// Its name
    name: String,
    /// What it may do, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "SCOPE")]
    scopes: Vec<String>,
    /// The plan it is on
    #[arg(long)]
    plan: Option<String>,
    /// Its keys open nothing for now
    #[arg(long)]
    disabled: bool,
    #[command(flatten)]
    admin: AdminArgs,
}

/// All clients.
#[derive(Args)]
pub struct ListArgs {
    #[command(flatten)]
    admin: AdminArgs,
}

/// One client.
#[derive(Args)]
pub struct NameArgs {
    /// Its name
    name: String,
    #[command(flatten)]
    admin: AdminArgs,
}

/// Does it. Exit 0, or 1 with the reason on the standard error.
pub fn run(command: ClientsCommand) -> ExitCode {
    remote::finish(match command {
        ClientsCommand::Put(arguments) => put(&arguments),
        ClientsCommand::List(arguments) => list(&arguments.admin),
        ClientsCommand::Delete(arguments) => delete(&arguments),
    })
}

fn put(arguments: &PutArgs) -> Result<String, String> {
    let (client, path) = (arguments.admin.client()?, path(&arguments.name));
    let there = client.send(Method::GET, &path, Content::None).ok();
    let keys = there.as_ref().map_or(json!([]), |there| there["keys"].clone());
    let body = json!({"scopes": arguments.scopes, "plan": arguments.plan, "disabled": arguments.disabled, "keys": keys});
    // Keys that somebody else made or revoked since they were read are not to be lost.
    let content = match there {
        Some(there) => Content::JsonIf(body, format!("\"{}\"", crate::config::tag(&there))),
        None => Content::JsonIfAbsent(body),
    };
    let outcome = client.send(Method::PUT, &path, content).map_err(|error| error.to_string())?;
    Ok(format!("{} is there since revision {}", arguments.name, outcome["revision"]))
}

fn list(admin: &AdminArgs) -> Result<String, String> {
    let (client, mut lines, mut after) = (admin.client()?, Vec::new(), None::<String>);
    loop {
        let after_it = after.as_deref().map(|after| format!("&after={}", encoded(after))).unwrap_or_default();
        let page =
            client.send(Method::GET, &format!("/v1/clients?limit=1000{after_it}"), Content::None).map_err(|error| error.to_string())?;
        lines.extend(page["items"].as_array().into_iter().flatten().map(line));
        after = page["next"].as_str().map(str::to_owned);
        if after.is_none() {
            return Ok(lines.join("\n"));
        }
    }
}

fn line(item: &Value) -> String {
    let client = &item["value"];
    let scopes = client["scopes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(",");
    let plan = client["plan"].as_str().map(|plan| format!(" plan {plan}")).unwrap_or_default();
    let disabled = if client["disabled"] == true { " disabled" } else { "" };
    let keys = client["keys"].as_array().map_or(0, Vec::len);
    let (name, place) = (item["name"].as_str().unwrap_or_default(), item["file"].as_str().unwrap_or("api"));
    format!("{name} {place} keys {keys} scopes [{scopes}]{plan}{disabled}")
}

fn delete(arguments: &NameArgs) -> Result<String, String> {
    let outcome = arguments.admin.client()?.send(Method::DELETE, &path(&arguments.name), Content::None);
    outcome.map(|outcome| format!("{} is gone since revision {}", arguments.name, outcome["revision"])).map_err(|error| error.to_string())
}

fn path(name: &str) -> String {
    format!("/v1/clients/{}", encoded(name))
}
