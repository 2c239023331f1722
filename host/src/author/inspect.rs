//! What a component is, before any gateway has it: its kind, its imports and what has to be granted for them, what it asks
//! to see, what its instances take, and the default limits that it would hit.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::config::text::Sha256;
use crate::plugin::engine::{MAX_MEMORY, MAX_TABLE_ELEMENTS};
use crate::plugin::kind::Kind;
use crate::plugin::load::{Artifact, UsageSpec};
use crate::plugin::usage::Birth;
use crate::plugin::{Capability, Grants, Isolation, Limits, Loader, Refusal};
use crate::rollout::upload::Needed;

/// An instance that takes longer to be made is better kept: a request would wait for it.
const SLOW: Duration = Duration::from_millis(1);

/// What a component is.
#[derive(Debug, Serialize)]
pub struct Inspected {
    /// What it is, in words.
    pub kind: &'static str,
    /// Its digest.
    pub sha256: Sha256,
    /// Its size in bytes.
    pub size: usize,
    /// The capabilities and other interfaces that it imports.
    pub imports: Vec<String>,
    /// What a gateway has to grant it.
    pub grants: Vec<&'static str>,
    /// What it asks to see; none if it does not take the configuration.
    pub needs: Option<Needed>,
    /// Why it does not take the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// What an instance takes.
    pub instance: Option<InstanceCost>,
    /// Default limits that it would hit.
    pub exceeds: Vec<String>,
    /// What to say in its entry of `plugins`.
    pub advice: Vec<String>,
    /// The JSON Schema of its configuration.
    pub config_schema: Option<Value>,
}

/// What an instance takes, instantiated and configured.
#[derive(Debug, Serialize)]
pub struct InstanceCost {
    /// Microseconds until it is ready.
    pub made_in_us: u64,
    /// Microseconds of CPU time for that.
    pub cpu_us: u64,
    /// Bytes of linear memory.
    pub memory: usize,
    /// Elements of tables.
    pub table_elements: usize,
}

/// Looks at a component with a configuration, and keeps nothing. Blocks.
///
/// # Errors
/// When no gateway would take it, whatever its limits and grants.
pub fn inspect(loader: &Loader, bytes: &[u8], config: &str) -> Result<Inspected, Refusal> {
    let artifact = loader.artifact(bytes)?;
    loader.link(&artifact, &Grants::all())?;
    let spec = spec(&artifact, config);
    let (usage, refused) = match loader.usage(&artifact, &spec) {
        Ok(usage) => (Some(usage), None),
        Err(Refusal::Config(message)) => (None, Some(message)),
        Err(refusal) => return Err(refusal),
    };
    let usage = usage.filter(|_| artifact.kind == Kind::Plugin);
    // The second one: the first also pays for what is touched for the first time.
    let birth = usage.as_ref().map(|usage| loader.birth(usage).and_then(|_| loader.birth(usage))).transpose()?;
    let schema = loader.config_schema(&artifact, &spec)?;
    let grants: Vec<&str> =
        Capability::ALL.into_iter().filter(|capability| imports(&artifact, *capability)).map(Capability::name).collect();
    Ok(Inspected {
        kind: artifact.kind.describe(),
        sha256: artifact.digest.into(),
        size: artifact.size,
        imports: artifact.imports.clone(),
        needs: usage.as_ref().map(|usage| Needed::from(&usage.needs)),
        refused,
        instance: birth.as_ref().map(InstanceCost::of),
        exceeds: birth.as_ref().map(exceeds).unwrap_or_default(),
        advice: advice(&grants, birth.as_ref()),
        grants,
        config_schema: schema.and_then(|schema| serde_json::from_str(&schema).ok()),
    })
}

/// As a shadow, so that what it may do when it is configured has no effect; with the largest limits there are, to see what
/// it takes.
fn spec(artifact: &Artifact, config: &str) -> UsageSpec {
    let limits = Limits {
        memory: MAX_MEMORY,
        table_elements: MAX_TABLE_ELEMENTS,
        cpu: Duration::from_secs(10),
        wall: Duration::from_secs(30),
        host_calls: u32::MAX,
        ..Limits::default()
    };
    UsageSpec {
        plugin: "inspected".into(),
        digest: artifact.digest,
        config: config.into(),
        isolation: Isolation::Reuse,
        limits: Arc::new(limits),
        grants: Arc::new(Grants::all()),
        shadow: true,
    }
}

fn imports(artifact: &Artifact, capability: Capability) -> bool {
    let prefix = format!("gatehouse:plugin/{}@", capability.name());
    artifact.imports.iter().any(|import| import.starts_with(&prefix))
}

fn exceeds(birth: &Birth) -> Vec<String> {
    let limits = Limits::default();
    let mut exceeded = Vec::new();
    if birth.memory > limits.memory {
        exceeded.push(format!("memory: an instance has {} once it is configured, {} are allowed", mib(birth.memory), mib(limits.memory)));
    }
    if birth.table_elements > limits.table_elements {
        exceeded.push(format!("table: an instance has {} elements, {} are allowed", birth.table_elements, limits.table_elements));
    }
    if birth.cpu > limits.cpu {
        exceeded.push(format!("cpu: making an instance takes {:?}, {:?} are allowed", birth.cpu, limits.cpu));
    }
    exceeded
}

fn advice(grants: &[&str], birth: Option<&Birth>) -> Vec<String> {
    let mut advice = Vec::new();
    if !grants.is_empty() {
        let grants: Vec<String> =
            grants.iter().map(|name| if *name == "http" { "http: [UPSTREAM, …]".into() } else { (*name).to_owned() }).collect();
        advice.push(format!("grants: [{}]", grants.join(", ")));
    }
    let Some(birth) = birth else { return advice };
    if birth.took > SLOW {
        advice
            .push(format!("isolation: reuse, since making an instance takes {:?} and each request would need one of its own", birth.took));
    }
    if birth.memory > Limits::default().memory {
        advice.push(format!("limits: {{memory: {}}}, which leaves it as much again", mib(2 * birth.memory)));
    }
    advice
}

fn mib(bytes: usize) -> String {
    format!("{}MiB", bytes.div_ceil(1 << 20))
}

impl InstanceCost {
    fn of(birth: &Birth) -> Self {
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Self { made_in_us: micros(birth.took), cpu_us: micros(birth.cpu), memory: birth.memory, table_elements: birth.table_elements }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn birth(millis: u64, memory: usize) -> Birth {
        Birth { took: Duration::from_millis(millis), cpu: Duration::from_millis(millis), memory, table_elements: 10 }
    }

    #[test]
    fn a_slow_starter_is_told_what_it_costs() {
        let slow = birth(60, 40 << 20);
        assert_eq!(
            exceeds(&slow),
            [
                "memory: an instance has 40MiB once it is configured, 32MiB are allowed",
                "cpu: making an instance takes 60ms, 10ms are allowed",
            ]
        );
        assert_eq!(
            advice(&["log", "http"], Some(&slow)),
            [
                "grants: [log, http: [UPSTREAM, …]]",
                "isolation: reuse, since making an instance takes 60ms and each request would need one of its own",
                "limits: {memory: 80MiB}, which leaves it as much again",
            ]
        );
        assert_eq!((exceeds(&birth(0, 1 << 20)).len(), advice(&[], Some(&birth(0, 1 << 20))).len()), (0, 0));
    }
}
