//! What the files of a configuration declare, read and not checked yet: the part that stays while other resources are
//! made and unmade beside it.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::draft::{Draft, Named, Slot};
use super::{read, review_broken, review_draft, shape, yaml};
use crate::config::document::{Admin, Document, Route, Secret};
use crate::config::made::{Item, Kind, Made};
use crate::config::place::{KeyPath, MADE, Spot};
use crate::config::problem::{Code, Problem, Problems};
use crate::config::source::{self, Sources};
use crate::config::stock::Stock;
use crate::config::text;
use crate::config::{Finding, Loaded, Reviewed};

/// What files declare, part by part: by section and name, which is empty where the section is one thing.
pub type Parts = BTreeMap<(String, String), Value>;

/// What files declare.
#[derive(Debug)]
pub struct Declared {
    draft: Draft,
    sources: Sources,
}

impl Declared {
    /// Reads a file, or every `*.yaml` and `*.yml` of a folder. `made` and `stock` are what else there is, to judge
    /// what cannot be read by.
    ///
    /// # Errors
    /// Everything that is wrong, at once, if anything cannot be read.
    pub fn read(path: &Path, made: &Arc<Made>, stock: &Stock) -> Result<Self, Problems> {
        Self::of_sources(source::read_path(path)?, made, stock)
    }

    /// Reads texts from elsewhere, as `read` does.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn of_sources(sources: Sources, made: &Arc<Made>, stock: &Stock) -> Result<Self, Problems> {
        match Draft::read_texts(sources.files.iter().map(|source| source.text.as_str())) {
            Some(draft) => Ok(Self { draft, sources }),
            None => Err(review_broken(sources, made, stock).problems),
        }
    }

    /// A document that came from no file.
    pub fn of_document(document: &Document) -> Self {
        let mut value = serde_json::to_value(document).expect("a document is plain data");
        super::drop_empty_sections(&mut value);
        Self { draft: Draft::read([Some(&value)].into_iter()), sources: Sources::default() }
    }

    /// One document of this and what was made, checked as a whole. This part stays for the next time.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once.
    pub fn with(&self, made: &Arc<Made>, stock: &Stock) -> Result<Loaded, Problems> {
        review_draft(self.draft.clone(), self.sources.clone(), made, stock).whole()
    }

    /// The same, where this part is not asked for again.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once.
    pub fn into_loaded(self, made: &Arc<Made>, stock: &Stock) -> Result<Loaded, Problems> {
        self.into_reviewed(made, stock).whole()
    }

    fn into_reviewed(self, made: &Arc<Made>, stock: &Stock) -> Reviewed {
        review_draft(self.draft, self.sources, made, stock)
    }

    /// What it declares, as resources to be made.
    ///
    /// # Errors
    /// Everything that can be declared by the gateway's own files only, and names that stand twice.
    pub fn to_made(&self) -> Result<Made, Problems> {
        let findings: Vec<Finding> = self.draft.places_beside(&Kind::ALL.map(Kind::section)).into_iter().map(fixed).collect();
        let mut items: Vec<Item> = self.items(Kind::Routes);
        Kind::ALL[1..].iter().for_each(|kind| items.extend(self.items(*kind)));
        let (count, made) = (items.len(), items.into_iter().collect::<Made>());
        let mut problems = self.sources.locate(findings);
        if made.iter().count() < count {
            problems.push(Problem::with_file("", Code::DuplicateName, "a name that stands twice", "a name of its own for each"));
        }
        if problems.is_empty() { Ok(made) } else { Err(Problems::new(problems)) }
    }

    fn items(&self, kind: Kind) -> Vec<Item> {
        match kind {
            Kind::Routes => items(&self.draft.routes, Item::Route),
            Kind::Upstreams => items(&self.draft.upstreams, Item::Upstream),
            Kind::Clients => items(&self.draft.clients, Item::Client),
            Kind::Issuers => items(&self.draft.issuers, Item::Issuer),
        }
    }

    /// The texts it came from.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// The bytes of its texts.
    pub fn size(&self) -> usize {
        self.sources.files.iter().map(|source| source.text.len()).sum()
    }

    /// The admin API, if one is declared.
    pub fn admin(&self) -> Option<&Admin> {
        self.draft.admin.first()?.item.as_ref().ok()
    }

    /// What goes into the digests of API keys, if anything does.
    pub fn pepper(&self) -> Option<&Secret> {
        self.draft.identity.first()?.item.as_ref().ok()?.pepper.as_ref()
    }

    /// A digest of what is declared.
    pub fn digest(&self) -> text::Sha256 {
        let mut hash = Sha256::new();
        for source in &self.sources.files {
            hash.update(Sha256::digest(&source.name));
            hash.update(Sha256::digest(&source.text));
        }
        if self.sources.files.is_empty() {
            hash.update(format!("{:?}", self.draft));
        }
        text::Sha256(hash.finalize().into())
    }

    /// Everything that is declared, to be compared part by part.
    pub fn parts(&self) -> Parts {
        let (draft, mut parts) = (&self.draft, Parts::new());
        add_parts(&mut parts, "listeners", &draft.listeners, |listener| &listener.name);
        add_parts(&mut parts, "upstreams", &draft.upstreams, |upstream| &upstream.name);
        add_parts(&mut parts, "issuers", &draft.issuers, |issuer| &issuer.name);
        add_parts(&mut parts, "clients", &draft.clients, |client| &client.name);
        add_parts(&mut parts, "plugins", &draft.plugins, |plugin| &plugin.name);
        add_parts(&mut parts, "plugin_signatures", &draft.plugin_signatures, |policy| &policy.names);
        add_parts(&mut parts, "routes", &draft.routes, |route| &route.name);
        add_parts(&mut parts, "admin", &draft.admin, |_| "");
        add_parts(&mut parts, "access_log", &draft.access_log, |_| "");
        add_parts(&mut parts, "drain", &draft.drain, |_| "");
        add_parts(&mut parts, "identity", &draft.identity, |_| "");
        add_parts(&mut parts, "telemetry", &draft.telemetry, |_| "");
        parts
    }

    /// A resource by name, and the file it stands in; no file where it came from the command line.
    pub fn find(&self, kind: Kind, name: &str) -> Option<(Item, &str)> {
        match kind {
            Kind::Routes => self.find_in(&self.draft.routes, name, Item::Route),
            Kind::Upstreams => self.find_in(&self.draft.upstreams, name, Item::Upstream),
            Kind::Clients => self.find_in(&self.draft.clients, name, Item::Client),
            Kind::Issuers => self.find_in(&self.draft.issuers, name, Item::Issuer),
        }
    }

    /// The file that declares a plugin; an empty name is the command line.
    pub fn plugin(&self, name: &str) -> Option<&str> {
        let slot = self.draft.plugins.iter().find(|slot| slot.name() == Some(name))?;
        Some(self.sources.files.get(slot.file).map_or("", |source| source.name.as_str()))
    }

    /// The routes that it declares.
    pub fn routes(&self) -> impl Iterator<Item = &Route> {
        self.draft.routes.iter().filter_map(|slot| slot.item.as_ref().ok())
    }

    /// The names of one kind, in no order.
    pub fn names(&self, kind: Kind) -> Vec<&str> {
        match kind {
            Kind::Routes => names(&self.draft.routes),
            Kind::Upstreams => names(&self.draft.upstreams),
            Kind::Clients => names(&self.draft.clients),
            Kind::Issuers => names(&self.draft.issuers),
        }
    }

    fn find_in<T: Named + Clone>(&self, slots: &[Slot<T>], name: &str, item: fn(Arc<T>) -> Item) -> Option<(Item, &str)> {
        let (slot, found) = slots.iter().filter_map(|slot| Some((slot, slot.item.as_ref().ok()?))).find(|(_, item)| item.name() == name)?;
        let file = self.sources.files.get(slot.file).map_or("", |source| source.name.as_str());
        Some((item(Arc::new(found.clone())), file))
    }
}

fn add_parts<T: Serialize>(parts: &mut Parts, section: &str, slots: &[Slot<T>], name: impl Fn(&T) -> &str) {
    for item in slots.iter().filter_map(|slot| slot.item.as_ref().ok()) {
        let (mut name, mut same) = (name(item).to_owned(), 1);
        // Only patterns may stand there twice.
        while parts.contains_key(&(section.to_owned(), name.clone())) {
            same += 1;
            name = format!("{name} ({same})");
        }
        parts.insert((section.to_owned(), name), serde_json::to_value(item).expect("a document is plain data"));
    }
}

fn items<T: Clone>(slots: &[Slot<T>], item: fn(Arc<T>) -> Item) -> Vec<Item> {
    slots.iter().filter_map(|slot| slot.item.as_ref().ok()).map(|found| item(Arc::new(found.clone()))).collect()
}

fn fixed((file, section): (usize, &'static str)) -> Finding {
    let want = "routes, upstreams, clients or issuers: the rest is said in the gateway's own files";
    Finding::new(Spot::File(file, KeyPath::default().key(section)), Code::UnknownKey, section, want).on_key()
}

fn names<T: Named>(slots: &[Slot<T>]) -> Vec<&str> {
    slots.iter().filter_map(Slot::name).collect()
}

/// Reads one resource as it would stand in a document.
///
/// # Errors
/// Everything that is wrong with its shape, each with the path from its beginning.
pub fn read_item(kind: Kind, value: Value) -> Result<Item, Problems> {
    let mut parsed = [yaml::Parsed { value: Some(json!({kind.section(): [value]})), mistakes: Vec::new() }];
    let draft = read(&parsed);
    let mut findings = super::Findings::default();
    shape::review(&draft, &mut parsed, &mut findings);
    let item = match kind {
        Kind::Routes => only(draft.routes).map(Item::Route),
        Kind::Upstreams => only(draft.upstreams).map(Item::Upstream),
        Kind::Clients => only(draft.clients).map(Item::Client),
        Kind::Issuers => only(draft.issuers).map(Item::Issuer),
    };
    item.ok_or_else(|| Problems::new(findings.into_list().into_iter().map(inside).collect()))
}

fn only<T>(mut slots: Vec<Slot<T>>) -> Option<Arc<T>> {
    slots.pop()?.item.ok().map(Arc::new)
}

/// A finding with the path from the beginning of its item.
fn inside(finding: Finding) -> Problem {
    let (Spot::File(_, path) | Spot::Document(path)) = finding.spot;
    let path = KeyPath::from(path.segments().iter().skip(2).cloned().collect::<Vec<_>>());
    let mut problem = Problem::with_file("", finding.code, finding.got, finding.want);
    problem.path = path.to_string();
    problem.hint = finding.hint;
    problem
}

/// Adds what was made, save what the files declare by the same name: that has no effect, and is warned of.
pub(super) fn add_made(draft: &mut Draft, made: &Made) -> Vec<Problem> {
    let mut shadowed = Vec::new();
    for kind in Kind::ALL {
        let declared = shared_names(draft, made, kind);
        for (index, item) in made.of(kind).values().enumerate() {
            match declared.contains(item.name()) {
                true => shadowed.push(shadow(item)),
                false => add(draft, index, item),
            }
        }
    }
    shadowed
}

fn shared_names(draft: &Draft, made: &Made, kind: Kind) -> HashSet<String> {
    let made = made.of(kind);
    if made.is_empty() {
        return HashSet::new();
    }
    let names = match kind {
        Kind::Routes => names(&draft.routes),
        Kind::Upstreams => names(&draft.upstreams),
        Kind::Clients => names(&draft.clients),
        Kind::Issuers => names(&draft.issuers),
    };
    names.into_iter().filter(|name| made.contains_key(*name)).map(str::to_owned).collect()
}

fn shadow(item: &Item) -> Problem {
    let got = format!("the {} {:?} of the admin API", item.kind().noun(), item.name());
    Problem::with_file("", Code::NoEffect, got, "a name that no file declares: the file's is in force")
}

fn add(draft: &mut Draft, index: usize, item: &Item) {
    match item {
        Item::Route(route) => draft.routes.push(slot(index, route)),
        Item::Upstream(upstream) => draft.upstreams.push(slot(index, upstream)),
        Item::Client(client) => draft.clients.push(slot(index, client)),
        Item::Issuer(issuer) => draft.issuers.push(slot(index, issuer)),
    }
}

fn slot<T: Clone>(index: usize, item: &Arc<T>) -> Slot<T> {
    Slot { file: MADE, index, item: Ok(T::clone(item)) }
}
