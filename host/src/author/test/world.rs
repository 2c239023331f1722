//! What a case is played in: a gateway's snapshot of one route with the plugin on it, and beside it the tokens, clients and
//! values that the case gives.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Map, Value, json};

use crate::config::document::Grant;
use crate::config::text::Sha256;
use crate::config::{self, Sources};
use crate::identity::issuer::Secret;
use crate::identity::{Issuers, KeySource, Refresh, Settings};
use crate::limit::{Clock, Table};
use crate::plugin::capability::http::FetchSender;
use crate::plugin::capability::kv_store::KvStore;
use crate::plugin::compile::Sha256Digest;
use crate::plugin::{Services, builtin};
use crate::snapshot::{Builder, Snapshot};
use crate::telemetry::{Metrics, WorkerMetrics};

use super::Plan;
use super::cases::{Answer, Case, Cases, Client, Text, Token};

/// The upstream that requests go on to.
const UPSTREAM: &str = "upstream";
/// What the issuers of a case sign with.
const SECRET: &[u8] = b"a secret of test cases, and of nothing else";
const FORGERS_SECRET: &[u8] = b"another secret, which no issuer knows of..";

/// Everything around the plugin in one case.
pub struct World {
    /// The snapshot; its first route is the one.
    pub snapshot: Snapshot,
    /// Tokens by name.
    pub tokens: BTreeMap<String, String>,
    /// What upstreams answer to the plugin.
    pub answers: Vec<Answer>,
    /// The plugin's values.
    pub kv: Arc<KvStore>,
    /// The plugin's name in this case, which is also the label of its metrics.
    pub plugin: String,
    /// All counts.
    pub metrics: Metrics,
    /// Those of the worker.
    pub worker: WorkerMetrics,
    issuers: Arc<Issuers>,
    buckets: Arc<Table>,
}

impl World {
    /// Loads and configures the plugin, or says why the gateway would not take it so.
    pub fn make(plan: &Plan, cases: &Cases, case: &Case, place: usize, builder: &Builder) -> Result<Self, Vec<String>> {
        let given = |own: bool| if own { &case.given } else { &cases.given };
        let (tokens, kv) = (given(!case.given.tokens.is_empty()), given(!case.given.kv.is_empty()));
        let (clients, http) = (given(!case.given.clients.is_empty()), given(!case.given.http.is_empty()));
        // Stores, metrics and instances belong to a name, so no two cases share one.
        let plugin = format!("{}.{place}", plan.plugin);
        let store = builder.loader.store(&plugin.as_str().into(), cases.plugin.limits.kv.as_len());
        fill(&store, &kv.kv)?;
        let document = Document { plan, cases, case, plugin: &plugin, clients: &clients.clients, answers: &http.http };
        Ok(Self {
            snapshot: snapshot(&document.text(), builder)?,
            tokens: sign(&tokens.tokens)?,
            answers: http.http.clone(),
            kv: store,
            plugin,
            metrics: builder.metrics.clone(),
            worker: builder.metrics.worker(),
            issuers: issuers(&tokens.tokens)?,
            buckets: Arc::new(Table::new(1_000)),
        })
    }

    /// What capabilities work on, so long after the beginning.
    pub fn services(&self, clock: Clock, fetch: FetchSender) -> Arc<Services> {
        Arc::new(Services {
            issuers: Arc::clone(&self.issuers),
            introspection: Arc::clone(&self.snapshot.introspection),
            clients: Arc::clone(&self.snapshot.clients),
            buckets: Arc::clone(&self.buckets),
            clock,
            decisions: self.worker.decisions(),
            fetch,
        })
    }
}

fn fill(store: &KvStore, values: &BTreeMap<String, Text>) -> Result<(), Vec<String>> {
    for (key, value) in values {
        let set = store.set(key, value.to_string().as_bytes(), None, Instant::now());
        set.map_err(|error| vec![format!("given.kv.{key}: {error:?}")])?;
    }
    Ok(())
}

/// The document of a gateway with this one plugin.
struct Document<'a> {
    plan: &'a Plan,
    cases: &'a Cases,
    case: &'a Case,
    plugin: &'a str,
    clients: &'a [Client],
    answers: &'a [Answer],
}

impl Document<'_> {
    /// As JSON, which is YAML.
    fn text(&self) -> String {
        let config = self.case.config.as_ref().or(self.cases.config.as_ref()).cloned().unwrap_or_else(|| Value::Object(Map::new()));
        let upstreams: BTreeSet<&str> = self.upstreams().collect();
        let upstream = |name: &&str| json!({"name": name, "endpoints": [{"url": "http://127.0.0.1:9"}]});
        let document = json!({
            "clients": self.clients.iter().map(client).collect::<Vec<_>>(),
            "plugins": [self.declared()],
            "upstreams": upstreams.iter().map(upstream).collect::<Vec<_>>(),
            "routes": [{"name": "test", "chain": [{"plugin": self.plugin, "config": config}], "upstream": UPSTREAM}],
        });
        document.to_string()
    }

    fn upstreams(&self) -> impl Iterator<Item = &str> {
        let granted = self.cases.plugin.grants.iter().flatten().filter_map(|grant| match grant {
            Grant::Http(names) => Some(names),
            _ => None,
        });
        let granted = granted.flatten().map(String::as_str);
        self.answers.iter().map(|answer| &*answer.upstream).chain(granted).chain([UPSTREAM])
    }

    fn declared(&self) -> Value {
        let declared = &self.cases.plugin;
        let grants = declared.grants.as_ref().map_or_else(|| self.all_grants(), |grants| json!(grants));
        let mut plugin = json!({
            "name": self.plugin,
            "source": {"file": self.plan.component},
            "limits": declared.limits,
            "grants": grants,
            "on_error": declared.on_error,
        });
        if let Some(isolation) = declared.isolation {
            plugin["isolation"] = json!(isolation);
        }
        plugin
    }

    fn all_grants(&self) -> Value {
        let upstreams: BTreeSet<&str> = self.upstreams().collect();
        json!(["log", "kv", "jwt", "introspection", "keys", "rate-limit", "metrics", "identity", {"http": upstreams}])
    }
}

fn client(client: &Client) -> Value {
    let digest = |key: &String| json!({"sha256": Sha256::from(Sha256Digest::of(key.as_bytes()))});
    let keys: Vec<Value> = client.keys.iter().map(digest).collect();
    let mut value = json!({"name": client.name, "keys": keys, "scopes": client.scopes});
    if let Some(plan) = &client.plan {
        value["plan"] = json!(plan);
    }
    value
}

/// Everything that a `gatehouse check` of the document would find, by the plugin's own paths.
fn snapshot(document: &str, builder: &Builder) -> Result<Snapshot, Vec<String>> {
    let stock = config::Stock { built_ins: builtin::BUILTINS.iter().map(|(name, _)| *name).collect(), uploaded: None };
    let folder = std::env::current_dir().unwrap_or_else(|_| Path::new(".").to_owned());
    let sources = Sources::new(vec![config::Source::new("case", document)], folder);
    let said = |problems: Vec<config::Problem>| problems.iter().map(said).collect::<Vec<_>>();
    let loaded = config::load_sources(sources, &stock).map_err(|problems| said(problems.into_iter().collect()))?;
    let findings = builder.review(&loaded);
    if !findings.is_empty() {
        return Err(said(loaded.sources.locate(findings)));
    }
    builder.build(&loaded, None, 1).map_err(|findings| said(loaded.sources.locate(findings)))
}

fn said(problem: &config::Problem) -> String {
    let path = problem.path.strip_prefix("routes[0].chain[0].").unwrap_or(&problem.path);
    format!("{path}: got {}, want {}", problem.got, problem.want)
}

/// Each issuer that a token names, by its secret.
fn issuers(tokens: &BTreeMap<String, Token>) -> Result<Arc<Issuers>, Vec<String>> {
    let names: BTreeSet<&str> = tokens.values().map(|token| &*token.issuer).chain(["main"]).collect();
    let settings = |name: &str| Settings {
        name: name.to_owned(),
        issuer: url(name),
        audiences: Vec::new(),
        algorithms: vec!["HS256".into()],
        keys: KeySource::Secret(Secret(SECRET.to_vec())),
        leeway: Duration::from_secs(30),
        refresh: Refresh { ttl: Duration::from_secs(60), floor: Duration::from_secs(10) },
    };
    let built = Issuers::build(names.into_iter().map(settings).collect(), None);
    built.map(Arc::new).map_err(|errors| errors.into_iter().map(|(_, error)| error.to_string()).collect())
}

fn url(issuer: &str) -> String {
    format!("https://{issuer}.example")
}

fn sign(tokens: &BTreeMap<String, Token>) -> Result<BTreeMap<String, String>, Vec<String>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let signed = |(name, token): (&String, &Token)| {
        let key = EncodingKey::from_secret(if token.forged { FORGERS_SECRET } else { SECRET });
        let text = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims(token, now), &key);
        text.map(|text| (name.clone(), text)).map_err(|error| vec![format!("given.tokens.{name}: {error}")])
    };
    tokens.iter().map(signed).collect()
}

fn claims(token: &Token, now: u64) -> Map<String, Value> {
    let expires = if token.expired { now - 3_600 } else { now + 3_600 };
    let mut claims: Map<String, Value> = token.claims.clone().into_iter().collect();
    let mut say = |name: &str, value: Value| {
        claims.entry(name).or_insert(value);
    };
    say("iss", url(&token.issuer).into());
    say("sub", token.subject.as_str().into());
    say("iat", (now - 7_200).into());
    say("exp", expires.into());
    if let Some(scope) = &token.scope {
        say("scope", scope.as_str().into());
    }
    claims
}
