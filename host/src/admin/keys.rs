//! `/v1/clients/{name}/keys`: the API keys of clients that this API made. A key is shown once, as it is made; what is
//! kept is its digest.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::change::{How, Order, Outcome};
use super::content::{Created, Json};
use super::operation::{Call, Operation};
use super::problem::Problem;
use super::scope::Scope;
use crate::config::document::{Client, ClientKey};
use crate::config::text::{Sha256, Timestamp};
use crate::config::units::Period;
use crate::config::{Change, Item, Kind};
use crate::gateway::apply::State;
use crate::identity::api_key::{ApiKey, Env, Form};
use crate::identity::digest::{Digest, Pepper};
use crate::snapshot::build::read_secret;
use crate::store::revisions::REVOKE;

/// The longest that a replaced key still works.
const LONGEST_GRACE: Duration = Duration::from_secs(366 * 24 * 3600);

/// What to make a key of.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NewKey {
    /// What the key is for: 1 to 16 lower-case letters and digits, the second part of its text [live].
    env: Option<String>,
    /// From then on it is refused; left out, never.
    expires: Option<Timestamp>,
    /// What it may do, if that is less than its client may.
    scopes: Option<Vec<String>>,
}

/// How to replace a key.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Rotation {
    /// How long the old key still works [0s], a year at most.
    grace: Option<Period>,
}

/// What may be changed of a key.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KeySettings {
    /// From then on it is refused; left out, never.
    expires: Option<Timestamp>,
    /// What it may do, if that is less than its client may.
    scopes: Option<Vec<String>>,
}

/// A key as it is known.
#[derive(Debug, Serialize, JsonSchema)]
pub struct KnownKey {
    /// What it is called here: its public part, or the first digits of its digest.
    id: String,
    /// Its last four characters, where they are known.
    last4: Option<String>,
    /// From then on it is refused; null for never.
    expires: Option<Timestamp>,
    /// Whether that is over.
    expired: bool,
    /// What it may do, where that is less than its client may.
    scopes: Option<Vec<String>>,
}

/// A key that was just made. It is shown this once.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ShownKey {
    /// What it is called here.
    id: String,
    /// The key itself; null with a dry run.
    key: Option<String>,
    /// What came of it.
    #[serde(flatten)]
    outcome: Outcome,
}

/// The keys of a client.
#[derive(Debug, Serialize, JsonSchema)]
pub struct KeyList {
    /// In the order they were made.
    items: Vec<KnownKey>,
}

/// What the API does with keys.
pub fn operations() -> Vec<Operation> {
    let (all, one) = ("/v1/clients/{name}/keys", "/v1/clients/{name}/keys/{id}");
    let rotate = "/v1/clients/{name}/keys/{id}/rotate";
    let write = Some(Scope::Write);
    vec![
        Operation::get(all, Scope::Read, "The keys of a client, without the keys themselves.", list),
        Operation::new(Method::POST, all, write, "Makes a key and shows it once.", create),
        Operation::new(Method::PUT, one, write, "Changes when a key ends and what it may do.", change),
        Operation::new(Method::DELETE, one, write, "Revokes a key: the next request with it is refused.", revoke),
        Operation::new(Method::POST, rotate, write, "Makes a key in place of another and shows it once.", replace),
    ]
}

async fn list(call: Call) -> Result<Json<KeyList>, Problem> {
    let (resources, name) = (Arc::clone(&call.admin.resources), call.name().to_owned());
    super::blocking(move || match resources.find(Kind::Clients, &name).map_err(Problem::unavailable)? {
        Some((Item::Client(client), _)) => Ok(Json(KeyList { items: client.keys.iter().map(known).collect() })),
        _ => Err(Problem::not_found(format!("There is no client {name:?}."))),
    })
    .await
}

async fn create(call: Call<How, Json<NewKey>>) -> Result<Created<ShownKey>, Problem> {
    let name = call.name().to_owned();
    let order = Order::of(&call, format!("make a key for client {name}"));
    let Json(NewKey { env, expires, scopes }) = call.body;
    let fresh = Fresh::generate(env.as_deref().unwrap_or("live"))?;
    let shown = fresh.clone();
    let outcome = order.carry_out(move |state| {
        let mut client = client(state, &name)?;
        client.keys.push(ClientKey { expires, scopes, ..fresh.entry(state)? });
        Ok(vec![put(client)])
    });
    shown.show(outcome.await?)
}

async fn change(call: Call<How, Json<KeySettings>>) -> Result<Json<Outcome>, Problem> {
    let (name, id) = (call.name().to_owned(), call.parameter(1).to_owned());
    let order = Order::of(&call, format!("change key {id} of client {name}"));
    let Json(KeySettings { expires, scopes }) = call.body;
    let outcome = order.carry_out(move |state| {
        let mut client = client(state, &name)?;
        let key = find(&mut client, &id)?;
        (key.expires, key.scopes) = (expires, scopes);
        Ok(vec![put(client)])
    });
    outcome.await.map(Json)
}

async fn revoke(call: Call<How>) -> Result<Json<Outcome>, Problem> {
    let (name, id) = (call.name().to_owned(), call.parameter(1).to_owned());
    let order = Order::of(&call, format!("{REVOKE}{id} of client {name}"));
    let outcome = order.carry_out(move |state| {
        let mut client = client(state, &name)?;
        find(&mut client, &id)?;
        client.keys.retain(|key| key_id(key) != id);
        Ok(vec![put(client)])
    });
    outcome.await.map(Json)
}

async fn replace(call: Call<How, Json<Rotation>>) -> Result<Created<ShownKey>, Problem> {
    let (name, id) = (call.name().to_owned(), call.parameter(1).to_owned());
    let order = Order::of(&call, format!("rotate key {id} of client {name}"));
    let grace = call.body.0.grace.unwrap_or(Period::secs(0));
    let fresh = Fresh::generate("live")?;
    let shown = fresh.clone();
    let outcome = order.carry_out(move |state| {
        let mut client = client(state, &name)?;
        let old = find(&mut client, &id)?;
        let scopes = old.scopes.clone();
        let end = Timestamp(SystemTime::now() + Duration::from(grace).min(LONGEST_GRACE));
        old.expires = Some(old.expires.map_or(end, |expires| expires.min(end)));
        if grace.is_zero() {
            client.keys.retain(|key| key_id(key) != id);
        }
        client.keys.push(ClientKey { scopes, ..fresh.entry(state)? });
        Ok(vec![put(client)])
    });
    shown.show(outcome.await?)
}

/// A key that was just made.
#[derive(Clone)]
struct Fresh(ApiKey);

impl Fresh {
    fn generate(env: &str) -> Result<Self, Problem> {
        let env: Env = env.parse().map_err(|want| Problem::bad_request(format!("{env:?} is no env: {want}.")))?;
        ApiKey::generate(&env, getrandom::fill).map(Self).map_err(|error| Problem::internal(format!("No randomness: {error}.")))
    }

    fn id(&self) -> &str {
        match Form::of(self.0.reveal().as_bytes()) {
            Form::Ours { id } => id,
            Form::Broken | Form::Foreign => unreachable!("a new key has the form of ours"),
        }
    }

    /// What is kept of it: its digest, with the pepper if there is one.
    fn entry(&self, state: &State) -> Result<ClientKey, Problem> {
        let text = self.0.reveal();
        let key = ClientKey { id: Some(self.id().to_owned()), last4: Some(text[text.len() - 4..].to_owned()), ..ClientKey::default() };
        let Some(pepper) = state.declared.pepper() else {
            return Ok(ClientKey { sha256: Some(Sha256(*Digest::of(text.as_bytes()).as_bytes())), ..key });
        };
        let secret = read_secret(pepper, state.declared.sources());
        let secret = secret.map_err(|(got, want)| Problem::unavailable(format!("The pepper cannot be read: got {got}, want {want}.")))?;
        Ok(ClientKey { hmac: Some(Sha256(*Pepper::new(&secret.0).digest(text.as_bytes()).as_bytes())), ..key })
    }

    fn show(self, outcome: Outcome) -> Result<Created<ShownKey>, Problem> {
        let key = (!outcome.dry_run).then(|| self.0.reveal().to_owned());
        Ok(Created(ShownKey { id: self.id().to_owned(), key, outcome }))
    }
}

fn client(state: &State, name: &str) -> Result<Client, Problem> {
    match state.made(Kind::Clients, name)? {
        Item::Client(client) => Ok(Client::clone(client)),
        _ => unreachable!("clients are kept among clients"),
    }
}

fn put(client: Client) -> Change {
    Change::Put(Item::Client(Arc::new(client)))
}

fn find<'a>(client: &'a mut Client, id: &str) -> Result<&'a mut ClientKey, Problem> {
    let name = client.name.clone();
    let key = client.keys.iter_mut().find(|key| key_id(key) == id);
    key.ok_or_else(|| Problem::not_found(format!("The client {name:?} has no key {id:?}.")))
}

/// The public part of a key of ours; of any other, the first digits of its digest.
fn key_id(key: &ClientKey) -> String {
    let digest = || key.hmac.or(key.sha256).map(|digest| digest.to_string().chars().take(16).collect());
    key.id.clone().or_else(digest).unwrap_or_default()
}

fn known(key: &ClientKey) -> KnownKey {
    KnownKey {
        id: key_id(key),
        last4: key.last4.clone(),
        expires: key.expires,
        expired: key.expires.is_some_and(|expires| expires.0 <= SystemTime::now()),
        scopes: key.scopes.clone(),
    }
}
