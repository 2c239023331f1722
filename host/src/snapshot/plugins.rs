//! Plugins of a document: which component each name stands for, and what it may do. Built-ins need no entry; an entry
//! of a built-in's name without a source changes its settings only.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs;
use std::sync::Arc;

use crate::config::document::{self, Document};
use crate::config::units::Size;
use crate::config::{Code, Finding, KeyPath, Sources};
use crate::plugin::load::Artifact;
use crate::plugin::{Capability, Grants, HttpGrant, Isolation, Limits, Loader, OnError, Refusal, builtin};

/// A plugin by name, before it meets a configuration.
#[derive(Clone)]
pub struct Source {
    /// Its component.
    pub artifact: Arc<Artifact>,
    /// How long its instances live.
    pub isolation: Isolation,
    /// What it may consume.
    pub limits: Arc<Limits>,
    /// What it may call.
    pub grants: Arc<Grants>,
    /// What happens when it faults, unless the step says otherwise.
    pub on_error: OnError,
}

/// A plugin's bytes, before anybody looked at them.
struct Wanted<'a> {
    name: &'a str,
    bytes: Cow<'static, [u8]>,
    is_builtin: bool,
    /// What the document says of it, and where.
    entry: Option<(&'a document::Plugin, KeyPath)>,
}

/// Loads every plugin that the document declares, and those built-ins that it uses. What cannot be loaded is found at
/// its entry; steps that use it are not looked at again.
pub fn load(document: &Document, sources: &Sources, loader: &Loader, findings: &mut Vec<Finding>) -> HashMap<String, Source> {
    let mut wanted = declared(document, sources, findings);
    wanted.extend(used(document));
    let bytes: Vec<&[u8]> = wanted.iter().map(|plugin| &*plugin.bytes).collect();
    let artifacts = loader.artifacts(&bytes);
    let mut loaded = HashMap::new();
    for (plugin, artifact) in wanted.iter().zip(artifacts) {
        match artifact.and_then(|artifact| plugin.source(artifact, loader)) {
            Ok(source) => drop(loaded.insert(plugin.name.to_owned(), source)),
            Err(refusal) => findings.push(plugin.refused(&refusal)),
        }
    }
    loaded
}

fn declared<'a>(document: &'a Document, sources: &Sources, findings: &mut Vec<Finding>) -> Vec<Wanted<'a>> {
    let mut wanted = Vec::new();
    for (place, plugin) in document.plugins.iter().enumerate() {
        let path = KeyPath::default().key("plugins").index(place);
        match bytes(plugin, sources, &path) {
            Ok((bytes, is_builtin)) => wanted.push(Wanted { name: &plugin.name, bytes, is_builtin, entry: Some((plugin, path)) }),
            Err(finding) => findings.push(finding),
        }
    }
    wanted
}

/// Built-ins that chains name and no entry is about.
fn used(document: &Document) -> Vec<Wanted<'_>> {
    let mut names: Vec<&str> = document.routes.iter().flat_map(|route| route.chain.iter()).map(|step| &*step.plugin).collect();
    names.sort_unstable();
    names.dedup();
    names.retain(|name| !document.plugins.iter().any(|plugin| plugin.name == *name));
    let built_in = |name| Some(Wanted { name, bytes: builtin::find(name)?.into(), is_builtin: true, entry: None });
    names.into_iter().filter_map(built_in).collect()
}

impl Wanted<'_> {
    fn source(&self, artifact: Arc<Artifact>, loader: &Loader) -> Result<Source, Refusal> {
        let Some((plugin, _)) = &self.entry else { return Ok(built_in(self.name, artifact)) };
        let grants = match &plugin.grants {
            None if self.is_builtin => Grants::all(),
            None => Grants::none(),
            Some(listed) => grants(listed),
        };
        loader.link(&artifact, &grants)?;
        Ok(Source {
            artifact,
            isolation: isolation(plugin.isolation, self.is_builtin),
            limits: Arc::new(limits(&plugin.limits, if self.is_builtin { builtin::limits(self.name) } else { Limits::default() })),
            grants: Arc::new(grants),
            on_error: on_error(plugin.on_error),
        })
    }

    fn refused(&self, refusal: &Refusal) -> Finding {
        let (place, want) = match &self.entry {
            None => (KeyPath::default().key("routes"), "a built-in that loads:"),
            Some((_, path)) if self.is_builtin => (path.clone(), "a component that can be loaded, but"),
            Some((_, path)) => (path.clone().key("source"), "a component that can be loaded, but"),
        };
        Finding::new(place, Code::Plugin, self.name, format!("{want} {refusal}"))
    }
}

fn built_in(name: &str, artifact: Arc<Artifact>) -> Source {
    Source {
        artifact,
        isolation: Isolation::Reuse,
        limits: Arc::new(builtin::limits(name)),
        grants: Arc::new(Grants::all()),
        on_error: OnError::Closed,
    }
}

fn bytes(plugin: &document::Plugin, sources: &Sources, path: &KeyPath) -> Result<(Cow<'static, [u8]>, bool), Finding> {
    let source = plugin.source.as_ref();
    if let Some(file) = source.and_then(|source| source.file.as_ref()) {
        let file = sources.resolve(file);
        let unreadable = |error| {
            Finding::new(
                path.clone().key("source").key("file"),
                Code::Unreadable,
                file.display().to_string(),
                format!("a file that can be read: {error}"),
            )
        };
        return fs::read(&file).map(|bytes| (bytes.into(), false)).map_err(unreadable);
    }
    if source.is_some_and(|source| source.oci.is_some()) {
        return Err(Finding::new(
            path.clone().key("source").key("oci"),
            Code::Value,
            "an OCI reference",
            "a file: registries come in a later version",
        ));
    }
    match builtin::find(&plugin.name) {
        Some(bytes) => Ok((bytes.into(), true)),
        None => Err(Finding::new(path.clone(), Code::Missing, "no source", "source: {file: …}")),
    }
}

fn isolation(configured: Option<document::Isolation>, is_builtin: bool) -> Isolation {
    match configured {
        Some(document::Isolation::Request) => Isolation::Request,
        Some(document::Isolation::Reuse) => Isolation::Reuse,
        None if is_builtin => Isolation::Reuse,
        None => Isolation::Request,
    }
}

/// The runtime's word for it.
pub fn on_error(configured: document::OnError) -> OnError {
    match configured {
        document::OnError::Closed => OnError::Closed,
        document::OnError::Skip => OnError::Skip,
        document::OnError::Previous => OnError::Previous,
    }
}

/// What is configured, over the plugin's own defaults.
fn limits(configured: &document::PluginLimits, plain: Limits) -> Limits {
    let bytes = |configured: Option<Size>, plain| configured.map_or(plain, Size::as_len);
    Limits {
        memory: bytes(configured.memory, plain.memory),
        table_elements: configured.table as usize,
        cpu: configured.cpu.map_or(plain.cpu, Into::into),
        wall: configured.wall.map_or(plain.wall, Into::into),
        host_calls: configured.host_calls,
        log_bytes: configured.log.as_len(),
        reply_bytes: bytes(configured.reply, plain.reply_bytes),
        kv_bytes: configured.kv.as_len(),
        fetch_bytes: bytes(configured.fetch, plain.fetch_bytes),
        instances: configured.instances as usize,
    }
}

fn grants(listed: &[document::Grant]) -> Grants {
    let interfaces = listed.iter().filter_map(interface).collect();
    let upstreams = listed.iter().find_map(|grant| match grant {
        document::Grant::Http(upstreams) => Some(upstreams.clone()),
        _ => None,
    });
    Grants {
        interfaces,
        http: upstreams.map_or(HttpGrant::Denied, |upstreams| HttpGrant::Named(upstreams.into())),
        identity: listed.contains(&document::Grant::Identity),
    }
}

fn interface(grant: &document::Grant) -> Option<Capability> {
    match grant {
        document::Grant::Log => Some(Capability::Log),
        document::Grant::Kv => Some(Capability::Kv),
        document::Grant::Jwt => Some(Capability::Jwt),
        document::Grant::Introspection => Some(Capability::Introspection),
        document::Grant::Keys => Some(Capability::Keys),
        document::Grant::RateLimit => Some(Capability::RateLimit),
        document::Grant::Metrics => Some(Capability::Metrics),
        document::Grant::Http(_) | document::Grant::Identity => None,
    }
}
