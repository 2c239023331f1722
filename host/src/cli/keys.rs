//! `gatehouse keys`: API keys. A key is shown once, as it is made; what is kept is its digest, by the configuration (here) or
//! by a running gateway (`online`).

mod online;

use std::fmt::Write as _;
use std::io::{self, Read};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};

use crate::config::document::Secret;
use crate::config::text::{Sha256, Timestamp};
use crate::config::{self, Sources, rules};
use crate::identity::api_key::{ApiKey, Env, Form};
use crate::identity::client::LONGEST_KEY;
use crate::identity::digest::{Digest, Pepper};
use crate::snapshot::build::read_secret;

use super::check::BAD_CONFIG;
use super::remote::AdminArgs;
use super::stock;

/// What to do with keys.
#[derive(Subcommand)]
pub enum KeysCommand {
    /// Make a key and show it once: for a CLIENT of a running gateway, or else with what to put into a configuration
    Create(CreateArgs),
    /// Show the keys of a client of a running gateway, without the keys themselves
    List(online::ListArgs),
    /// Revoke a key of a client of a running gateway, at once
    Revoke(online::RevokeArgs),
    /// Make a key in place of another of a running gateway, and show it once
    Rotate(online::RotateArgs),
    /// Print what to put into the configuration for a key that exists, read from the standard input
    Hash(HashArgs),
}

/// A key to be made.
#[derive(Args)]
pub struct CreateArgs {
    /// A client of a running gateway, which then keeps the key; without one, nothing is asked and nothing kept
    #[arg(value_name = "CLIENT", conflicts_with_all = ["client", "config", "pepper_file", "pepper_env"])]
    of: Option<String>,
    /// What the key is for: 1 to 16 lower-case letters and digits, the second part of its text
    #[arg(long, default_value = "live")]
    env: Env,
    #[command(flatten)]
    entry: EntryArgs,
    #[command(flatten)]
    admin: AdminArgs,
}

/// A key that exists.
#[derive(Args)]
pub struct HashArgs {
    #[command(flatten)]
    entry: EntryArgs,
}

/// What the configuration says of a key beside its digest.
#[derive(Args)]
struct EntryArgs {
    /// Write the whole client and not the key alone
    #[arg(long, value_name = "NAME", value_parser = fitting(rules::name))]
    client: Option<String>,
    /// How long the key works, such as 90d
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    expires: Option<Duration>,
    /// What the key may do, if that is less than its client may, or with `--client` what the client may do; separated by commas
    #[arg(long, value_delimiter = ',', value_name = "SCOPE", value_parser = fitting(rules::scope))]
    scopes: Option<Vec<String>>,
    #[command(flatten)]
    pepper: PepperArgs,
}

/// Where the pepper is; without one the digest is a plain SHA-256.
#[derive(Args)]
#[group(multiple = false)]
struct PepperArgs {
    /// Use the pepper of this configuration, if it has one
    #[arg(long, value_name = "PATH")]
    config: Option<PathBuf>,
    /// Use the pepper in this file
    #[arg(long, value_name = "FILE")]
    pepper_file: Option<PathBuf>,
    /// Use the pepper in this environment variable
    #[arg(long, value_name = "NAME")]
    pepper_env: Option<String>,
}

/// Why there is no entry, and the exit code that says so.
struct Failure(String, u8);

/// Runs one of the commands. Exit 0, 78 for a configuration that cannot be used, 1 for anything else.
pub fn run(command: KeysCommand) -> ExitCode {
    let done = match command {
        KeysCommand::Create(arguments) => match &arguments.of {
            Some(client) => online::create(client, &arguments).map_err(unreached),
            None => create(&arguments),
        },
        KeysCommand::List(arguments) => online::list(&arguments).map_err(unreached),
        KeysCommand::Revoke(arguments) => online::revoke(&arguments).map_err(unreached),
        KeysCommand::Rotate(arguments) => online::rotate(&arguments).map_err(unreached),
        KeysCommand::Hash(arguments) => hash(&arguments),
    };
    match done {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(Failure(error, code)) => {
            eprintln!("gatehouse: {error}");
            ExitCode::from(code)
        }
    }
}

fn unreached(reason: String) -> Failure {
    Failure(reason, 1)
}

/// The key on the first line, for scripts; what is to be kept below, for people.
fn create(arguments: &CreateArgs) -> Result<String, Failure> {
    let entry = Entry::read(&arguments.entry)?;
    let key = ApiKey::generate(&arguments.env, getrandom::fill).map_err(|error| Failure(format!("no randomness: {error}"), 1))?;
    Ok(format!("{}\n\n# Shown once: only its digest is kept. {}\n{}", key.reveal(), entry.advice(), entry.yaml(key.reveal())))
}

fn hash(arguments: &HashArgs) -> Result<String, Failure> {
    let entry = Entry::read(&arguments.entry)?;
    let mut text = String::new();
    io::stdin().lock().read_to_string(&mut text).map_err(|error| Failure(format!("standard input: {error}"), 1))?;
    let key = text.trim_end_matches(['\r', '\n']);
    if key.is_empty() || key.chars().any(|letter| letter.is_whitespace() || letter.is_control()) {
        return Err(Failure("standard input: want one key, without blanks".into(), 1));
    }
    if key.len() > LONGEST_KEY {
        return Err(Failure(format!("standard input: got {} bytes, want {LONGEST_KEY} or fewer", key.len()), 1));
    }
    if Form::of(key.as_bytes()) == Form::Broken {
        return Err(Failure("standard input: this begins like a key of Gatehouse, but its checksum is not that of the rest".into(), 1));
    }
    Ok(format!("# {}\n{}", entry.advice(), entry.yaml(key)))
}

/// What to write of a key.
struct Entry<'a> {
    arguments: &'a EntryArgs,
    pepper: Option<Pepper>,
    expires: Option<Timestamp>,
}

impl<'a> Entry<'a> {
    fn read(arguments: &'a EntryArgs) -> Result<Self, Failure> {
        let pepper = arguments.pepper.read()?.map(|secret| Pepper::new(&secret));
        let expires = arguments.expires.map(|duration| end_after(duration, SystemTime::now())).transpose()?;
        Ok(Self { arguments, pepper, expires })
    }

    fn advice(&self) -> &'static str {
        match self.arguments.client {
            Some(_) => "Paste this under `clients:`.",
            None => "Paste this under the `keys:` of a client.",
        }
    }

    fn yaml(&self, key: &str) -> String {
        let (item, scopes) = (self.key(key), self.scopes());
        // A key may do what its client may, so a new client's scopes are said once.
        match (&self.arguments.client, scopes) {
            (Some(name), Some(scopes)) => format!("- name: {}\n  scopes: {scopes}\n  keys:\n    - {{{item}}}\n", quoted(name)),
            (Some(name), None) => format!("- name: {}\n  keys:\n    - {{{item}}}\n", quoted(name)),
            (None, Some(scopes)) => format!("- {{{item}, scopes: {scopes}}}\n"),
            (None, None) => format!("- {{{item}}}\n"),
        }
    }

    fn scopes(&self) -> Option<String> {
        let scopes = self.arguments.scopes.as_ref()?;
        let scopes: Vec<String> = scopes.iter().map(|scope| quoted(scope)).collect();
        Some(format!("[{}]", scopes.join(", ")))
    }

    fn key(&self, key: &str) -> String {
        let mut item = String::new();
        if let Form::Ours { id } = Form::of(key.as_bytes()) {
            let _ = write!(item, "id: {}, last4: {}, ", quoted(id), quoted(&key[key.len() - 4..]));
        }
        let _ = match &self.pepper {
            Some(pepper) => write!(item, "hmac: \"{}\"", Sha256(*pepper.digest(key.as_bytes()).as_bytes())),
            None => write!(item, "sha256: \"{}\"", Sha256(*Digest::of(key.as_bytes()).as_bytes())),
        };
        if let Some(expires) = self.expires {
            let _ = write!(item, ", expires: \"{expires}\"");
        }
        item
    }
}

// What the configuration would refuse is refused before there is a key to show once.
fn fitting(rule: fn(&str) -> Result<(), String>) -> impl Fn(&str) -> Result<String, String> + Clone {
    move |text| rule(text).map(|()| text.to_owned()).map_err(|want| format!("want {want}"))
}

// An id may be eight digits, and a name may be `null`: quotes keep both texts. JSON's quotes are YAML's, too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// To the second: nobody wants to read more of it.
fn end_after(duration: Duration, now: SystemTime) -> Result<Timestamp, Failure> {
    // RFC 3339 has years of four digits.
    const LAST: Duration = Duration::from_secs(253_402_300_799);
    let end = now.duration_since(SystemTime::UNIX_EPOCH).ok().and_then(|since| since.checked_add(duration)).filter(|end| *end <= LAST);
    let end = end.ok_or_else(|| Failure("--expires: want a time before the year 10000".into(), 1))?;
    Ok(Timestamp(SystemTime::UNIX_EPOCH + Duration::from_secs(end.as_secs())))
}

// === impl PepperArgs ===

impl PepperArgs {
    fn read(&self) -> Result<Option<Vec<u8>>, Failure> {
        if let Some(path) = &self.config {
            let loaded = config::load(path, &stock()).map_err(|problems| Failure(problems.to_string(), BAD_CONFIG))?;
            return loaded.document.identity.pepper.as_ref().map(|pepper| secret(pepper, &loaded.sources)).transpose();
        }
        let given = Secret { file: self.pepper_file.clone(), env: self.pepper_env.clone() };
        if given == Secret::default() { Ok(None) } else { secret(&given, &Sources::default()).map(Some) }
    }
}

fn secret(secret: &Secret, sources: &Sources) -> Result<Vec<u8>, Failure> {
    let read = read_secret(secret, sources).map_err(|(got, want)| Failure(format!("pepper: got {got}, want {want}"), 1))?;
    match read.0.len() >= Pepper::SHORTEST {
        true => Ok(read.0),
        false => Err(Failure(format!("pepper: got {} bytes, want at least {}", read.0.len(), Pepper::SHORTEST), 1)),
    }
}
