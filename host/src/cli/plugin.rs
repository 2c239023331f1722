//! `gatehouse plugin`: a plugin's way from nothing into a running gateway, and out of it again.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Map, Value, json};

use crate::admin::client::Content;
use crate::author::componentize::componentize;
use crate::config::units::{Percent, Period};
use crate::rollout::signature::{self, Signer};

use super::remote::{self, AdminArgs};

mod bench;
mod build;
mod inspect;
mod new;
mod push;
mod test;

/// What to do with plugins.
#[derive(Subcommand)]
pub enum PluginCommand {
    /// Write a project that builds, in one of the languages
    New(new::NewArgs),
    /// Make the component of a project, with its language's own toolchain
    Build(build::BuildArgs),
    /// Play cases through a component, in the gateway's own code; exit 0, 1 if any failed, 2 if they could not be played
    Test(test::TestArgs),
    /// Make a component of the core module that a compiler of C, Go or another language made
    Componentize {
        /// The module
        module: PathBuf,
        /// Where the component goes
        component: PathBuf,
    },
    /// Measure what calls, instances and memory of a component cost, and compare with another build
    Bench(bench::BenchArgs),
    /// Look at a component without a gateway: what it is, imports, asks to see, and takes
    Inspect(inspect::InspectArgs),
    /// Sign a component: the signature goes into FILE.sig, from where `push` and the gateway take it
    Sign(SignArgs),
    /// Bring a component in as a new version, which serves nobody yet; or into a registry
    Push(push::PushArgs),
    /// Show all plugins, or one with its versions
    List(ListArgs),
    /// Try a version on some callers or on copies of requests, or make it the stable one
    Rollout(RolloutArgs),
    /// Go back: withdraw the candidate, or return to the version before
    Rollback(NameArgs),
}

/// What to sign, and with what.
#[derive(Args)]
pub struct SignArgs {
    /// The component
    #[arg(required_unless_present = "new_key")]
    file: Option<PathBuf>,
    /// The file of the private key, PEM
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Make a key first, into this file
    #[arg(long, value_name = "FILE", conflicts_with = "key", required_unless_present = "key")]
    new_key: Option<PathBuf>,
}

/// What to show.
#[derive(Args)]
pub struct ListArgs {
    /// The plugin
    name: Option<String>,
    #[command(flatten)]
    admin: AdminArgs,
}

/// A plugin.
#[derive(Args)]
pub struct NameArgs {
    /// The plugin
    name: String,
    #[command(flatten)]
    admin: AdminArgs,
}

/// A version and its terms.
#[derive(Args)]
pub struct RolloutArgs {
    /// The plugin
    name: String,
    /// The number of the version
    #[arg(required_unless_present = "withdraw")]
    version: Option<u64>,
    /// The percentage of callers that get it; at 100 it becomes the stable one
    #[arg(long, default_value_t = 100.0)]
    weight: f64,
    /// Run it on copies of requests, and only compare what it says
    #[arg(long)]
    shadow: bool,
    /// Withdraw the version that is being tried
    #[arg(long, conflicts_with_all = ["version", "shadow"])]
    withdraw: bool,
    /// Abort when more of its calls than this come to no answer [2%]
    #[arg(long, value_name = "PERCENT")]
    fault_rate: Option<Percent>,
    /// Abort when its slowest hundredth of calls takes so much longer than that of the stable version
    #[arg(long, value_name = "TIME")]
    added_p99: Option<Period>,
    /// Abort when so much more of its calls than of the stable version's end with an error of the plugin's own
    #[arg(long, value_name = "PERCENT")]
    added_refusals: Option<Percent>,
    /// Abort when a shadow says something else more often than this [1%]
    #[arg(long, value_name = "PERCENT")]
    mismatch: Option<Percent>,
    /// Calls before it is judged [100]
    #[arg(long, value_name = "NUMBER")]
    min_requests: Option<u64>,
    /// The time that is looked back [10s]
    #[arg(long, value_name = "TIME")]
    window: Option<Period>,
    #[command(flatten)]
    admin: AdminArgs,
}

/// Does it. Exit 0, or 1 with the reason on the standard error.
pub fn run(command: PluginCommand) -> ExitCode {
    remote::finish(match command {
        PluginCommand::New(arguments) => new::run(&arguments),
        PluginCommand::Build(arguments) => build::run(&arguments),
        PluginCommand::Test(arguments) => return test::run(&arguments),
        PluginCommand::Componentize { module, component } => made(&module, &component),
        PluginCommand::Bench(arguments) => bench::run(&arguments),
        PluginCommand::Inspect(arguments) => inspect::run(&arguments),
        PluginCommand::Sign(arguments) => sign(&arguments),
        PluginCommand::Push(arguments) => push::run(&arguments),
        PluginCommand::List(arguments) => list(&arguments),
        PluginCommand::Rollout(arguments) => roll_out(&arguments),
        PluginCommand::Rollback(arguments) => send(&arguments.admin, Method::POST, &path(&arguments.name, "/rollback"), Content::None),
    })
}

fn made(module: &Path, component: &Path) -> Result<String, String> {
    let made = componentize(&read(module)?).map_err(|error| format!("{}: {error}", module.display()))?;
    fs::write(component, &made).map_err(|error| format!("{}: {error}", component.display()))?;
    Ok(format!("{}, {} bytes\n", component.display(), made.len()))
}

fn sign(arguments: &SignArgs) -> Result<String, String> {
    let signer = match (&arguments.key, &arguments.new_key) {
        (Some(path), _) => Signer::read(path)?,
        (None, Some(path)) => new_key(path)?,
        (None, None) => return Err("say --key or --new-key".into()),
    };
    let mut text = format!("public key {}\n", signer.public_key());
    if let Some(file) = &arguments.file {
        let (signature, path) = (signer.sign(&read(file)?)?, signature::beside(file));
        fs::write(&path, format!("{signature}\n")).map_err(|error| format!("{}: {error}", path.display()))?;
        text.push_str(&format!("signature in {}\n", path.display()));
    }
    Ok(text)
}

/// Readable by nobody else, and never in place of another key.
fn new_key(path: &Path) -> Result<Signer, String> {
    let (signer, pem) = Signer::generate()?;
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| file.write_all(pem.as_bytes()).and_then(|()| file.sync_all()));
    written.map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(signer)
}

fn list(arguments: &ListArgs) -> Result<String, String> {
    let client = arguments.admin.client()?;
    let get = |path: &str| client.send(Method::GET, path, Content::None).map_err(|error| error.to_string());
    match &arguments.name {
        Some(name) => Ok(plugin(&get(&path(name, ""))?)),
        None => Ok(get("/v1/plugins")?["plugins"].as_array().into_iter().flatten().map(summary).collect()),
    }
}

fn roll_out(arguments: &RolloutArgs) -> Result<String, String> {
    let path = path(&arguments.name, "/rollout");
    match arguments.withdraw {
        true => send(&arguments.admin, Method::DELETE, &path, Content::None),
        false => send(&arguments.admin, Method::PUT, &path, Content::Json(terms(arguments))),
    }
}

/// What is not said is left to the gateway.
fn terms(arguments: &RolloutArgs) -> Value {
    let mut abort_if = Map::new();
    let mut say = |key: &str, value: Option<Value>| abort_if.extend(value.map(|value| (key.to_owned(), value)));
    say("fault_rate", arguments.fault_rate.map(|share| share.to_string().into()));
    say("added_p99", arguments.added_p99.map(|time| time.to_string().into()));
    say("added_refusals", arguments.added_refusals.map(|share| share.to_string().into()));
    say("mismatch", arguments.mismatch.map(|share| share.to_string().into()));
    say("min_requests", arguments.min_requests.map(Value::from));
    say("window", arguments.window.map(|time| time.to_string().into()));
    json!({"version": arguments.version, "weight": arguments.weight, "shadow": arguments.shadow, "abort_if": abort_if})
}

/// Sends a change and shows the plugin as it is then.
fn send(admin: &AdminArgs, method: Method, path: &str, content: Content) -> Result<String, String> {
    admin.client()?.send(method, path, content).map(|view| plugin(&view)).map_err(|error| error.to_string())
}

fn path(name: &str, rest: &str) -> String {
    let name = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
    format!("/v1/plugins/{name}{rest}")
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    fs::read(file).map_err(|error| format!("{}: {error}", file.display()))
}

// === what people read ===

fn summary(plugin: &Value) -> String {
    let candidate = plugin["candidate"].as_u64().map(|version| format!(", trying version {version}")).unwrap_or_default();
    format!("{} {}{candidate}\n", plugin["name"].as_str().unwrap_or_default(), serving(&plugin["stable"]))
}

fn serving(stable: &Value) -> String {
    if let Some(reference) = stable["reference"].as_str() {
        return format!("from {reference}");
    }
    match (stable["version"].as_u64(), stable["source"].as_str()) {
        (Some(version), _) => format!("version {version}"),
        (None, Some(source)) => format!("from {}", source.replace('_', "-")),
        (None, None) => "serves nobody".to_owned(),
    }
}

fn plugin(view: &Value) -> String {
    let mut text = summary(&json!({"name": view["name"], "stable": view["stable"]}));
    if view["candidate"].is_object() {
        text.push_str(&candidate(&view["candidate"]));
    }
    if view["watched"].is_object() {
        text.push_str(&watched(&view["watched"]));
    }
    let list = |key: &str| view[key].as_array().cloned().unwrap_or_default();
    list("versions").iter().for_each(|one| text.push_str(&version(one)));
    list("ended").iter().rev().for_each(|one| text.push_str(&ended(one)));
    text
}

fn watched(terms: &Value) -> String {
    let rule = |key: &str| terms["abort_if"][key].to_string().replace('"', "");
    let (version, share, window, calls) = (&terms["version"], rule("fault_rate"), rule("window"), rule("min_requests"));
    format!("  version {version} is watched for {window} and {calls} calls: with more than {share} faults the one before serves again\n")
}

fn candidate(candidate: &Value) -> String {
    let how = if candidate["shadow"] == true { "shadows" } else { "serves" };
    let side = |side: &Value| {
        format!("{} calls, {} faults, {} refusals, p99 {}", side["calls"], side["faults"], side["refusals"], millis(&side["p99_ms"]))
    };
    let weight = candidate["weight"].as_f64().unwrap_or_default();
    let mut text = format!("  version {} {how} {weight}%, in the last {} s:\n", candidate["version"], candidate["seconds"]);
    text.push_str(&format!("    stable    {}\n    candidate {}\n", side(&candidate["stable"]), side(&candidate["candidate"])));
    if let Some(compared) = candidate["compared"].as_object() {
        text.push_str(&format!("    {} verdicts the same, {} others\n", compared["matched"], compared["mismatched"]));
        if let Some(example) = compared["example"].as_str() {
            text.push_str(&format!("    the last difference: {example}\n"));
        }
    }
    text
}

fn version(version: &Value) -> String {
    let sha256: String = version["sha256"].as_str().unwrap_or_default().chars().take(12).collect();
    let (source, created) = (version["source"].as_str().unwrap_or_default(), version["created"].as_str().unwrap_or_default());
    format!("  version {} {sha256} {} bytes, {} {created}\n", version["version"], version["size"], source.replace('_', "-"))
}

fn ended(ended: &Value) -> String {
    let text = |key: &str| ended[key].as_str().unwrap_or_default().replace('_', " ");
    format!("  {} version {} {}: {}\n", text("at"), ended["version"], text("outcome"), ended["reason"].as_str().unwrap_or_default())
}

fn millis(value: &Value) -> String {
    value.as_f64().map_or_else(|| "unknown".to_owned(), |millis| format!("{millis:.1} ms"))
}
