//! Plugins of a document: which component each name stands for, and what it may do. Built-ins need no entry; an entry
//! of a built-in's name without a source changes its settings only. One that was only uploaded needs none either, and may do
//! nothing that takes a grant.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs;
use std::sync::Arc;

use crate::config::document::{self, Document};
use crate::config::units::Size;
use crate::config::{Code, Finding, KeyPath, Sources};
use crate::plugin::compile::Sha256Digest;
use crate::plugin::load::Artifact;
use crate::plugin::{Capability, Grants, HttpGrant, Isolation, Limits, Loader, OnError, Refusal, builtin};
use crate::registry::Component;
use crate::rollout::signature::{self, Signatures};
use crate::rollout::{Declared, Origin, Part, RolloutError, Share, Standing, Standings};

use super::Builder;

mod registry;

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
    /// Its environment, as JSON. None for a plugin of the contract.
    pub env: Option<Arc<str>>,
    /// What happens when it faults, unless the step says otherwise.
    pub on_error: OnError,
    /// The version before.
    pub previous: Option<Arc<Artifact>>,
    /// A version that is being tried, on whom, and how.
    pub candidate: Option<(Arc<Artifact>, Share, Part)>,
}

/// What plugins are loaded from.
pub struct Loading<'a> {
    /// What is declared.
    pub document: &'a Document,
    /// Where it stands.
    pub sources: &'a Sources,
    /// What loads, and knows versions.
    pub builder: &'a Builder,
    /// Whether a plugin that is to be uploaded has to have been. A check of files cannot know.
    pub unknown_is_wrong: bool,
}

/// A plugin's bytes, before anybody looked at them.
struct Wanted<'a> {
    name: &'a str,
    /// Of the version that serves.
    bytes: Cow<'static, [u8]>,
    is_builtin: bool,
    /// What the document says of it, and where; of one without an entry, where it is used first.
    entry: Entry<'a>,
    /// What the document declares; None where it leaves that to uploads.
    declared: Option<Declared>,
    standing: Standing,
}

/// What a document says of a plugin.
enum Entry<'a> {
    /// This, there.
    Declared(&'a document::Plugin, KeyPath),
    /// Nothing: it comes with the gateway.
    BuiltIn,
    /// Nothing: it was uploaded. A route uses it there.
    Uploaded(KeyPath),
}

impl<'a> Loading<'a> {
    /// Loads every plugin that the document declares, and those built-ins that it uses. What cannot be loaded is found at
    /// its entry; steps that use it are not looked at again.
    pub fn load(&self, findings: &mut Vec<Finding>) -> (HashMap<String, Source>, Standings) {
        let mut wanted = self.declared(findings);
        wanted.extend(self.used(findings));
        wanted.retain(|plugin| match plugin.standing.stable.map_or(Ok(()), |stable| self.check_version(plugin.name, stable)) {
            Ok(()) => true,
            Err(error) => {
                findings.push(plugin.unsigned(&error));
                false
            }
        });
        let loader = &self.builder.loader;
        let bytes: Vec<&[u8]> = wanted.iter().map(|plugin| &*plugin.bytes).collect();
        let artifacts = loader.artifacts(&bytes);
        let (mut loaded, mut standings) = (HashMap::new(), Standings::new());
        for (plugin, artifact) in wanted.into_iter().zip(artifacts) {
            match artifact.and_then(|artifact| plugin.source(artifact, loader)) {
                Ok(source) => match self.with_others(source, &plugin) {
                    Ok(source) => drop(loaded.insert(plugin.name.to_owned(), source)),
                    Err(error) => findings.push(plugin.unsigned(&error)),
                },
                Err(refusal) => findings.push(plugin.refused(&refusal)),
            }
            standings.insert(plugin.name.to_owned(), (plugin.standing, plugin.declared));
        }
        (loaded, standings)
    }

    fn declared(&self, findings: &mut Vec<Finding>) -> Vec<Wanted<'a>> {
        let mut wanted = Vec::new();
        let mut pulled = registry::pull(self, findings);
        for (place, plugin) in self.document.plugins.iter().enumerate() {
            let path = KeyPath::default().key("plugins").index(place);
            match self.wanted(plugin, &path, pulled.remove(&place)) {
                Ok(found) => wanted.extend(found),
                Err(finding) => findings.push(finding),
            }
        }
        wanted
    }

    /// Plugins that routes name and no entry is about: built-ins, and those that were only uploaded.
    fn used(&self, findings: &mut Vec<Finding>) -> Vec<Wanted<'a>> {
        let mut names: Vec<&str> = self.document.routes.iter().flat_map(|route| route.plugins()).collect();
        names.sort_unstable();
        names.dedup();
        names.retain(|name| !self.document.plugins.iter().any(|plugin| plugin.name == *name));
        let found = names.into_iter().map(|name| match builtin::find(name) {
            Some(bytes) => Ok(Some(self.standing(name, bytes.into(), (Origin::BuiltIn, None), Entry::BuiltIn))),
            None => self.uploaded(name, Entry::Uploaded(self.first_use(name))),
        });
        found
            .filter_map(|found| {
                found.unwrap_or_else(|finding| {
                    findings.push(finding);
                    None
                })
            })
            .collect()
    }

    /// Where a route names it first.
    fn first_use(&self, name: &str) -> KeyPath {
        let path = |(place, route): (usize, &document::Route)| {
            let path = KeyPath::default().key("routes").index(place);
            let step = route.chain.iter().position(|step| step.plugin == name);
            let step = step.map(|step| path.clone().key("chain").index(step).key("plugin"));
            step.or_else(|| (route.component.as_deref() == Some(name)).then(|| path.key("component")))
        };
        self.document.routes.iter().enumerate().find_map(path).unwrap_or_else(|| KeyPath::default().key("routes"))
    }

    /// None for one that is to be uploaded or pulled, where that is not known.
    fn wanted(&self, plugin: &'a document::Plugin, path: &KeyPath, pulled: Option<Component>) -> Result<Option<Wanted<'a>>, Finding> {
        let entry = Entry::Declared(plugin, path.clone());
        if plugin.source.as_ref().is_some_and(|source| source.uploaded) {
            return self.uploaded(&plugin.name, entry);
        }
        if plugin.source.as_ref().is_some_and(|source| source.oci.is_some()) {
            // What keeps one from being pulled was found with all the others.
            return pulled.map(|component| self.pulled(plugin, component, path)).transpose();
        }
        let (bytes, origin) = bytes(plugin, self.sources, path)?;
        let signature = self.signed(&plugin.name, &bytes, &origin, path)?;
        Ok(Some(self.standing(&plugin.name, bytes, (origin, signature), entry)))
    }

    fn pulled(&self, plugin: &'a document::Plugin, component: Component, path: &KeyPath) -> Result<Wanted<'a>, Finding> {
        let Component { bytes, pinned: reference, copy, signature } = component;
        let at = || (path.clone().key("source").key("oci"), reference.to_string());
        self.check_signature(&plugin.name, &bytes, signature.as_deref(), at)?;
        let origin = (Origin::Registry { reference, copy }, signature);
        Ok(self.standing(&plugin.name, bytes.into(), origin, Entry::Declared(plugin, path.clone())))
    }

    /// The signature of what comes from a file. It has to have a good one, if the plugin has to be signed.
    fn signed(&self, name: &str, bytes: &[u8], origin: &Origin, path: &KeyPath) -> Result<Option<String>, Finding> {
        let Origin::File(file) = origin else { return Ok(None) };
        let at = || (path.clone().key("source").key("file"), file.display().to_string());
        let signature = signature::read_beside(file).map_err(|error| unsigned(at(), &error.to_string()))?;
        self.check_signature(name, bytes, signature.as_deref(), at)?;
        Ok(signature)
    }

    /// A version that was chosen before has to be signed as the policies of this document say.
    fn check_version(&self, name: &str, digest: Sha256Digest) -> Result<(), RolloutError> {
        self.builder.rollouts.check_signed(&Signatures::new(&self.document.plugin_signatures), name, digest)
    }

    fn check_signature(
        &self,
        name: &str,
        bytes: &[u8],
        signature: Option<&str>,
        at: impl FnOnce() -> (KeyPath, String),
    ) -> Result<(), Finding> {
        let checked = Signatures::new(&self.document.plugin_signatures).check(name, bytes, signature);
        checked.map(drop).map_err(|error| unsigned(at(), &error.to_string()))
    }

    fn uploaded(&self, name: &'a str, entry: Entry<'a>) -> Result<Option<Wanted<'a>>, Finding> {
        let standing = self.builder.rollouts.standing(name, None);
        let bytes = standing.stable.map(|digest| self.builder.rollouts.component(digest));
        match bytes {
            Some(Ok(bytes)) => Ok(Some(Wanted { name, bytes: bytes.into(), is_builtin: false, entry, declared: None, standing })),
            Some(Err(error)) => Err(Finding::new(entry.source(), Code::Plugin, name, format!("a version that can be read, but {error}"))),
            // Whoever brings the first version in needs a gateway that runs.
            None if self.unknown_is_wrong && self.is_used(name) => {
                let want = format!("a version before a route uses it: `gatehouse plugin push {name} FILE`");
                let path = match &entry {
                    Entry::Declared(..) => entry.source().key("uploaded"),
                    Entry::BuiltIn | Entry::Uploaded(_) => entry.source(),
                };
                Err(Finding::new(path, Code::Missing, "no version", want))
            }
            None => Ok(None),
        }
    }

    fn is_used(&self, plugin: &str) -> bool {
        self.document.routes.iter().flat_map(document::Route::plugins).any(|name| name == plugin)
    }

    /// The version that serves: what is declared, unless another one was chosen.
    fn standing(
        &self,
        name: &'a str,
        bytes: Cow<'static, [u8]>,
        (origin, signature): (Origin, Option<String>),
        entry: Entry<'a>,
    ) -> Wanted<'a> {
        let is_builtin = origin == Origin::BuiltIn;
        let digest = Sha256Digest::of(&bytes);
        let rollouts = &self.builder.rollouts;
        let standing = rollouts.standing(name, Some(digest));
        let chosen = standing.stable.map(|stable| rollouts.component(stable)).and_then(|component| {
            component.inspect_err(|error| tracing::error!(plugin = name, %error, "the declared component serves instead")).ok()
        });
        let bytes = chosen.map_or(bytes, Cow::Owned);
        Wanted { name, bytes, is_builtin, entry, declared: Some(Declared { digest, origin, signature }), standing }
    }

    /// # Errors
    /// Where the candidate may not serve. The version before the stable one has no part then.
    fn with_others(&self, source: Source, plugin: &Wanted<'_>) -> Result<Source, RolloutError> {
        let (previous, candidate) = (plugin.standing.previous, plugin.standing.candidate.clone());
        candidate.as_ref().map_or(Ok(()), |(digest, ..)| self.check_version(plugin.name, *digest))?;
        let unsigned = |error: &RolloutError| tracing::warn!(plugin = plugin.name, %error, "version left out");
        let previous = previous.filter(|digest| self.check_version(plugin.name, *digest).inspect_err(unsigned).is_ok());
        Ok(Source {
            previous: previous.and_then(|digest| self.other(digest)),
            candidate: candidate.and_then(|(digest, share, part)| Some((self.other(digest)?, share, part))),
            ..source
        })
    }

    /// A version that does not serve alone. One that cannot be had has no part.
    fn other(&self, digest: Sha256Digest) -> Option<Arc<Artifact>> {
        if let Some(artifact) = self.builder.loader.known(digest) {
            return Some(artifact);
        }
        let bytes = self.builder.rollouts.component(digest).inspect_err(|error| tracing::warn!(%error, "version left out")).ok()?;
        self.builder.loader.artifact(&bytes).inspect_err(|error| tracing::warn!(%digest, %error, "version left out")).ok()
    }
}

impl Wanted<'_> {
    fn source(&self, artifact: Arc<Artifact>, loader: &Loader) -> Result<Source, Refusal> {
        match &self.entry {
            Entry::BuiltIn => Ok(built_in(self.name, artifact)),
            Entry::Uploaded(_) => only_uploaded(artifact, loader),
            Entry::Declared(plugin, _) => self.declared(plugin, artifact, loader),
        }
    }

    fn declared(&self, plugin: &document::Plugin, artifact: Arc<Artifact>, loader: &Loader) -> Result<Source, Refusal> {
        let grants = granted(plugin, self.is_builtin, Grants::of(artifact.kind));
        loader.link(&artifact, &grants)?;
        let env = environment(plugin, &artifact)?;
        let plain = if self.is_builtin { builtin::limits(self.name) } else { Limits::of(artifact.kind) };
        Ok(Source {
            isolation: isolation(plugin.isolation, self.is_builtin, artifact.size),
            artifact,
            limits: Arc::new(limits(&plugin.limits, plain)),
            grants: Arc::new(grants),
            env,
            on_error: on_error(plugin.on_error),
            previous: None,
            candidate: None,
        })
    }

    /// A version was chosen that may not serve.
    fn unsigned(&self, error: &RolloutError) -> Finding {
        let path = match &self.entry {
            Entry::BuiltIn => KeyPath::default().key("plugin_signatures"),
            Entry::Declared(..) | Entry::Uploaded(_) => self.entry.source(),
        };
        Finding::new(path, Code::Plugin, self.name, format!("a version that is signed as plugin_signatures asks, but {error}"))
    }

    fn refused(&self, refusal: &Refusal) -> Finding {
        let (place, want) = match &self.entry {
            Entry::BuiltIn => (KeyPath::default().key("routes"), "a built-in that loads:"),
            Entry::Declared(_, path) if self.is_builtin => (path.clone(), "a component that can be loaded, but"),
            Entry::Uploaded(path) if matches!(refusal, Refusal::NotGranted { .. }) => {
                (path.clone(), "a plugin that is declared with its grants, since one that was only uploaded has none, but")
            }
            Entry::Declared(..) | Entry::Uploaded(_) => (self.entry.source(), "a component that can be loaded, but"),
        };
        Finding::new(place, Code::Plugin, self.name, format!("{want} {refusal}"))
    }
}

impl Entry<'_> {
    /// Where something that is wrong with its component is shown.
    fn source(&self) -> KeyPath {
        match self {
            Entry::Declared(_, path) => path.clone().key("source"),
            Entry::BuiltIn => KeyPath::default().key("routes"),
            Entry::Uploaded(path) => path.clone(),
        }
    }
}

fn unsigned((path, got): (KeyPath, String), reason: &str) -> Finding {
    Finding::new(path, Code::Plugin, got, format!("a component that is signed, but {reason}"))
}

fn built_in(name: &str, artifact: Arc<Artifact>) -> Source {
    Source {
        artifact,
        isolation: Isolation::Reuse,
        limits: Arc::new(builtin::limits(name)),
        grants: Arc::new(Grants::all()),
        env: None,
        on_error: OnError::Closed,
        previous: None,
        candidate: None,
    }
}

/// Grants, limits and isolation are the operator's to give: without an entry there are no grants, and the rest is as an
/// entry that says nothing of it has it.
fn only_uploaded(artifact: Arc<Artifact>, loader: &Loader) -> Result<Source, Refusal> {
    let grants = Grants::of(artifact.kind);
    loader.link(&artifact, &grants)?;
    Ok(Source {
        isolation: isolation(None, false, artifact.size),
        limits: Arc::new(limits(&document::PluginLimits::default(), Limits::of(artifact.kind))),
        artifact,
        grants: Arc::new(grants),
        env: None,
        on_error: OnError::Closed,
        previous: None,
        candidate: None,
    })
}

/// What the plugins that a document declares may call, by name.
pub fn declared_grants(document: &Document) -> HashMap<String, Grants> {
    document.plugins.iter().map(|plugin| (plugin.name.clone(), granted(plugin, plugin.source.is_none(), Grants::none()))).collect()
}

fn granted(plugin: &document::Plugin, is_builtin: bool, plain: Grants) -> Grants {
    match &plugin.grants {
        None if is_builtin => Grants::all(),
        None => plain,
        Some(listed) => grants(listed),
    }
}

fn bytes(plugin: &document::Plugin, sources: &Sources, path: &KeyPath) -> Result<(Cow<'static, [u8]>, Origin), Finding> {
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
        return fs::read(&file).map(|bytes| (bytes.into(), Origin::File(file.clone()))).map_err(unreadable);
    }
    match builtin::find(&plugin.name) {
        Some(bytes) => Ok((bytes.into(), Origin::BuiltIn)),
        None => Err(Finding::new(path.clone(), Code::Missing, "no source", "source: {file: …}")),
    }
}

fn environment(plugin: &document::Plugin, artifact: &Artifact) -> Result<Option<Arc<str>>, Refusal> {
    match artifact.kind.has_environment() {
        true => Ok(Some(serde_json::json!(plugin.env).to_string().into())),
        false if plugin.env.is_empty() => Ok(None),
        false => Err(Refusal::NoEnvironment),
    }
}

fn isolation(configured: Option<document::Isolation>, is_builtin: bool, component_bytes: usize) -> Isolation {
    match configured {
        Some(document::Isolation::Request) => Isolation::Request,
        Some(document::Isolation::Reuse) => Isolation::Reuse,
        None if is_builtin => Isolation::Reuse,
        None => Isolation::default_for(component_bytes),
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
        table_elements: configured.table.map_or(plain.table_elements, |table| table as usize),
        cpu: configured.cpu.map_or(plain.cpu, Into::into),
        wall: configured.wall.map_or(plain.wall, Into::into),
        host_calls: configured.host_calls,
        log_bytes: configured.log.as_len(),
        reply_bytes: bytes(configured.reply, plain.reply_bytes),
        kv_bytes: configured.kv.as_len(),
        fetch_bytes: bytes(configured.fetch, plain.fetch_bytes),
        held_bytes: bytes(configured.body, plain.held_bytes),
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
