//! What a chain would do, for people: the plugins of one route with their versions and whole configurations.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::config::{Finding, Loaded};
use crate::plugin::OnError;

use super::{Build, Builder, Schemas, at, plugins, spec};

/// A step of a chain as it would run.
pub struct ExplainedStep {
    /// Its name in logs, metrics and traces.
    pub name: String,
    /// Its plugin.
    pub plugin: String,
    /// The version: the first digits of the component's digest.
    pub version: Arc<str>,
    /// The reference in a registry that it was pulled by, with the digest of its manifest.
    pub reference: Option<String>,
    /// What happens when it faults.
    pub on_error: OnError,
    /// Its configuration, with the defaults that the plugin's schema names.
    pub config: Value,
}

impl Builder {
    /// The chain of one route, by its place in the document, or what keeps it from running. Blocks.
    pub fn explain(&self, loaded: &Loaded, place: usize) -> Result<Vec<ExplainedStep>, Vec<Finding>> {
        let mut build = Build::new(self, loaded, Schemas::OnRefusal);
        let (plugins, standings) = build.plugins(false);
        let route = &build.document.routes[place];
        let mut steps = Vec::new();
        for (step, configured) in route.chain.iter().enumerate() {
            let path = at("routes", place).key("chain").index(step);
            let Some(source) = plugins.get(&configured.plugin) else { continue };
            let spec = spec(source, configured);
            let Some(usage) = build.usage(source, &spec, configured, path) else { continue };
            let schema = build.schema(source, &spec);
            let config = match schema {
                Some(schema) => schema.with_defaults(&configured.config),
                None if configured.config.is_null() => Value::Object(Map::new()),
                None => configured.config.clone(),
            };
            steps.push(ExplainedStep {
                name: configured.name.clone().unwrap_or_else(|| configured.plugin.clone()),
                plugin: configured.plugin.clone(),
                version: Arc::clone(&usage.plugin.version),
                reference: standings.get(&configured.plugin).and_then(|(_, declared)| declared.as_ref()?.reference()),
                on_error: configured.on_error.map_or(source.on_error, plugins::on_error),
                config,
            });
        }
        if build.findings.is_empty() { Ok(steps) } else { Err(build.findings) }
    }
}
