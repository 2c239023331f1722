//! Bearer tokens of the admin API: the operator's own, and those that the store keeps by their digests.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Method};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use thiserror::Error;

use super::change::Wait;
use super::content::{Created, Json, NoContent};
use super::operation::{Call, Operation};
use super::problem::Problem;
use super::scope::Scope;
use crate::config::{rules, text};
use crate::identity::api_key::{ApiKey, Form};
use crate::store::{Record, Store, StoreError};

/// The fewest bytes of a token that the operator brings: a shorter one could be guessed.
const SHORTEST: usize = 16;
/// The name of the token that is made at the first start.
const FIRST: &str = "first";

/// A token, known by its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Token {
    /// Tells it apart; a part of the token itself.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created: text::Timestamp,
    /// From then on it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<text::Timestamp>,
}

/// A token with its digest, as the store keeps it.
#[derive(Clone, Serialize, Deserialize)]
struct Kept {
    #[serde(flatten)]
    token: Arc<Token>,
    sha256: text::Sha256,
}

/// All tokens that open something.
pub struct Tokens {
    /// The operator's own, from the environment or a file.
    given: Option<Kept>,
    stored: ArcSwap<Vec<Kept>>,
}

/// Why there are no tokens.
#[derive(Debug, Error)]
pub enum TokensError {
    /// The operator's own could be guessed.
    #[error("the admin token has {0} bytes, want {SHORTEST} or more")]
    Short(usize),
    /// Nothing to make a token of.
    #[error("no randomness: {0}")]
    Randomness(getrandom::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Record for Kept {
    const TABLE: &'static str = "admin-tokens";
}

/// What to make a token of.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// What it is for.
    #[schemars(regex(pattern = "^[A-Za-z0-9._~-]{1,128}$"))]
    name: String,
    /// What it may do.
    #[schemars(length(min = 1))]
    scopes: Vec<Scope>,
    /// From then on it is refused; left out, never.
    #[serde(default)]
    expires: Option<text::Timestamp>,
}

/// A token that was just made. It is shown this once.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ShownToken {
    /// What it is known by.
    #[serde(flatten)]
    shown: Token,
    /// The token itself.
    token: String,
}

/// All tokens.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TokenList {
    /// Without the tokens themselves, which nobody knows any more.
    items: Vec<Token>,
}

/// What the API does with tokens.
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/v1/tokens", Scope::Admin, "All tokens of this API, without the tokens themselves.", list),
        Operation::new(Method::POST, "/v1/tokens", Some(Scope::Admin), "Makes a token and shows it once.", create),
        Operation::new(Method::DELETE, "/v1/tokens/{id}", Some(Scope::Admin), "Revokes a token at once.", revoke),
    ]
}

async fn list(call: Call) -> Result<Json<TokenList>, Problem> {
    Ok(Json(TokenList { items: call.admin.tokens.list() }))
}

async fn create(call: Call<Wait, Json<NewToken>>) -> Result<Created<ShownToken>, Problem> {
    let (admin, by, wait, asked) = (Arc::clone(&call.admin), call.by(), call.query.clone(), Arc::clone(&call.admin));
    let Json(new) = call.body;
    rules::name(&new.name).map_err(|want| Problem::bad_request(format!("The name has to be {want}.")))?;
    if new.scopes.is_empty() {
        return Err(Problem::bad_request("A token without a scope opens nothing."));
    }
    let created = super::blocking(move || {
        let (kept, token) = make(&new.name, new.scopes, new.expires)?;
        admin.tokens.store(&admin.store, kept.clone(), &by)?;
        Ok(Created(ShownToken { shown: Token::clone(&kept.token), token }))
    });
    let created = created.await?;
    wait.for_workers(&asked).await;
    Ok(created)
}

async fn revoke(call: Call<Wait>) -> Result<NoContent, Problem> {
    let (admin, by, id) = (Arc::clone(&call.admin), call.by(), call.name().to_owned());
    let revoked = super::blocking(move || {
        if admin.tokens.is_last(&id) {
            return Err(Problem::conflict(
                "last_token",
                "It is the last token with the scope `admin`; without it nobody could make another.",
            ));
        }
        match admin.tokens.revoke(&admin.store, &id, &by)? {
            true => Ok(NoContent),
            false => Err(Problem::not_found(format!("There is no token {id:?}."))),
        }
    });
    let revoked = revoked.await?;
    call.query.for_workers(&call.admin).await;
    Ok(revoked)
}

// === impl Token ===

impl Token {
    /// Whether it may do this. Every scope includes `read`.
    pub fn may(&self, scope: Scope) -> bool {
        scope == Scope::Read && !self.scopes.is_empty() || self.scopes.contains(&scope)
    }

    fn is_good_at(&self, now: SystemTime) -> bool {
        self.expires.is_none_or(|expires| expires.0 > now)
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.id)
    }
}

// === impl Tokens ===

impl Tokens {
    /// The operator's token, if there is one, and those of the store. Where that makes none at all, one is made: it is
    /// the second value, and nothing keeps it. Blocks.
    pub fn open(given: Option<&str>, store: &Store) -> Result<(Self, Option<String>), TokensError> {
        let given = given.map(own).transpose()?;
        let stored: Vec<Kept> = store.read()?.all::<Kept>()?.into_iter().map(|(_, kept)| kept).collect();
        let tokens = Self { given, stored: ArcSwap::from_pointee(stored) };
        if tokens.given.is_some() || !tokens.stored.load().is_empty() {
            return Ok((tokens, None));
        }
        let (kept, token) = generate(FIRST, Scope::ALL.to_vec(), None).map_err(TokensError::Randomness)?;
        tokens.store(store, kept, "the first start")?;
        Ok((tokens, Some(token)))
    }

    /// Whose request this is.
    pub fn find(&self, headers: &HeaderMap, now: SystemTime) -> Result<Arc<Token>, Problem> {
        let Some(token) = bearer(headers) else {
            return Err(Problem::unauthorized("This needs a token: `Authorization: Bearer …`."));
        };
        let found = self.look_up(token).filter(|token| token.is_good_at(now));
        found.ok_or_else(|| Problem::unauthorized("This token is unknown, revoked or expired."))
    }

    /// Compares with all of them in a time that does not depend on where they differ.
    fn look_up(&self, token: &[u8]) -> Option<Arc<Token>> {
        let digest: [u8; 32] = Sha256::digest(token).into();
        let mut found = None;
        for kept in self.stored.load().iter().chain(&self.given) {
            let same: Choice = kept.sha256.0.ct_eq(&digest);
            if same.into() {
                found = Some(Arc::clone(&kept.token));
            }
        }
        found
    }

    fn list(&self) -> Vec<Token> {
        self.given.iter().chain(self.stored.load().iter()).map(|kept| Token::clone(&kept.token)).collect()
    }

    /// Whether it is the only one that can make others.
    fn is_last(&self, id: &str) -> bool {
        let stored = self.stored.load();
        let mut able = stored.iter().filter(|kept| kept.token.may(Scope::Admin) && kept.token.expires.is_none());
        self.given.is_none() && able.next().is_some_and(|kept| kept.token.id == id) && able.next().is_none()
    }

    /// Kept before it is shown.
    fn store(&self, store: &Store, kept: Kept, by: &str) -> Result<(), StoreError> {
        store.write(|writing| {
            writing.put(&kept.token.id, &kept)?;
            writing.audit(by, &format!("make token {}", kept.token), None, None)
        })?;
        self.stored.rcu(|stored| stored.iter().cloned().chain([kept.clone()]).collect::<Vec<_>>());
        Ok(())
    }

    fn revoke(&self, store: &Store, id: &str, by: &str) -> Result<bool, StoreError> {
        let was_there = store.write(|writing| match writing.get::<Kept>(id)? {
            None => Ok::<_, StoreError>(false),
            Some(kept) => {
                writing.audit(by, &format!("revoke token {}", kept.token), None, None)?;
                writing.delete::<Kept>(id)
            }
        })?;
        self.stored.rcu(|stored| stored.iter().filter(|kept| kept.token.id != id).cloned().collect::<Vec<_>>());
        Ok(was_there)
    }
}

/// The token of a file, without the end of its line.
pub fn read_token_file(path: &Path) -> std::io::Result<String> {
    std::fs::read_to_string(path).map(|text| text.trim().to_owned())
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// A token that the operator brought.
fn own(token: &str) -> Result<Kept, TokensError> {
    if token.len() < SHORTEST {
        return Err(TokensError::Short(token.len()));
    }
    let created = text::Timestamp::now();
    let shown = Token { id: "given".into(), name: "operator".into(), scopes: Scope::ALL.to_vec(), created, expires: None };
    Ok(Kept { token: Arc::new(shown), sha256: text::Sha256(Sha256::digest(token).into()) })
}

fn make(name: &str, scopes: Vec<Scope>, expires: Option<text::Timestamp>) -> Result<(Kept, String), Problem> {
    generate(name, scopes, expires).map_err(|error| Problem::internal(format!("No randomness: {error}.")))
}

fn generate(name: &str, mut scopes: Vec<Scope>, expires: Option<text::Timestamp>) -> Result<(Kept, String), getrandom::Error> {
    let key = ApiKey::generate(&"admin".parse().expect("a word"), getrandom::fill)?;
    let token = key.reveal().to_owned();
    let id = match Form::of(token.as_bytes()) {
        Form::Ours { id } => id.to_owned(),
        Form::Broken | Form::Foreign => unreachable!("a new key has the form of ours"),
    };
    scopes.sort();
    scopes.dedup();
    let shown = Token { id, name: name.into(), scopes, created: text::Timestamp::now(), expires };
    Ok((Kept { token: Arc::new(shown), sha256: text::Sha256(Sha256::digest(&token).into()) }, token))
}
