//! A document in the making: each item on its own, so that one broken item does not hide the others.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::drop_empty_sections;
use crate::config::document::{
    AccessLog, Admin, Client, Document, Drain, Identity, Issuer, Listener, Plugin, Route, SignaturePolicy, Telemetry, Upstream,
};
use crate::config::yaml;

/// The items of all files.
#[derive(Debug, Clone, Default)]
pub(super) struct Draft {
    pub(super) listeners: Vec<Slot<Listener>>,
    pub(super) upstreams: Vec<Slot<Upstream>>,
    pub(super) issuers: Vec<Slot<Issuer>>,
    pub(super) clients: Vec<Slot<Client>>,
    pub(super) plugins: Vec<Slot<Plugin>>,
    pub(super) plugin_signatures: Vec<Slot<SignaturePolicy>>,
    pub(super) routes: Vec<Slot<Route>>,
    pub(super) admin: Vec<Slot<Admin>>,
    pub(super) access_log: Vec<Slot<AccessLog>>,
    pub(super) drain: Vec<Slot<Drain>>,
    pub(super) identity: Vec<Slot<Identity>>,
    pub(super) telemetry: Vec<Slot<Telemetry>>,
    /// The files with something in them that cannot be an item.
    pub(super) unfit: Vec<usize>,
}

/// One item and where it came from.
#[derive(Debug, Clone)]
pub(super) struct Slot<T> {
    pub(super) file: usize,
    pub(super) index: usize,
    pub(super) item: Result<T, Broken>,
}

/// What is known of an item that could not be read.
#[derive(Debug, Clone)]
pub(super) struct Broken {
    pub(super) name: Option<String>,
    pub(super) error: String,
}

/// An item that could not be read: where it is and why.
pub(super) struct BrokenItem<'a> {
    pub(super) file: usize,
    pub(super) section: &'static str,
    /// None in a section that is one item.
    pub(super) index: Option<usize>,
    pub(super) error: &'a str,
}

/// The file of each item in a section, and its place there.
pub(super) type Items = BTreeMap<&'static str, Vec<(usize, usize)>>;

/// An item that others may refer to.
pub(super) trait Named {
    fn name(&self) -> &str;
}

/// The keys of a document whose items add up across files.
const LISTS: [&str; 7] = ["listeners", "upstreams", "issuers", "clients", "plugins", "routes", "plugin_signatures"];
/// The keys of a document that may stand in one file only.
pub(super) const SINGLES: [&str; 5] = ["admin", "access_log", "drain", "identity", "telemetry"];

/// Whether `key` is one of the keys of a document.
pub(super) fn is_section(key: &str) -> bool {
    LISTS.contains(&key) || SINGLES.contains(&key)
}

// === impl Draft ===

impl Draft {
    /// The items of `files`; a file without a value is left out.
    pub(super) fn read<'a>(files: impl Iterator<Item = Option<&'a Value>>) -> Self {
        let mut draft = Draft::default();
        for (file, value) in files.enumerate() {
            match value {
                Some(Value::Object(sections)) => {
                    sections.iter().for_each(|(name, section)| draft.read_section(file, name, section));
                }
                Some(_) => draft.unfit.push(file),
                None => {}
            }
        }
        draft
    }

    /// The items of texts, each read as soon as it is whole and let go of. Only for documents that turn out to be
    /// healthy: of others, nothing is left to tell what is wrong.
    pub(super) fn read_texts<'a>(texts: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut draft = Draft::default();
        for (file, text) in texts.enumerate() {
            let parsed = yaml::read_items(text, &mut |section, index, item| draft.read_item(file, section, index, &item));
            let mut rest = parsed.value.filter(|_| parsed.mistakes.is_empty())?;
            drop_empty_sections(&mut rest);
            rest.as_object()?.iter().for_each(|(name, section)| draft.read_section(file, name, section));
        }
        draft.is_whole().then_some(draft)
    }

    /// Whether all that was there could be read.
    fn is_whole(&self) -> bool {
        self.unfit.is_empty() && self.broken().is_empty()
    }

    fn read_item(&mut self, file: usize, section: &str, index: usize, item: &Value) {
        let fit = match section {
            "listeners" => read_item(&mut self.listeners, file, index, item),
            "upstreams" => read_item(&mut self.upstreams, file, index, item),
            "issuers" => read_item(&mut self.issuers, file, index, item),
            "clients" => read_item(&mut self.clients, file, index, item),
            "plugins" => read_item(&mut self.plugins, file, index, item),
            "routes" => read_item(&mut self.routes, file, index, item),
            "plugin_signatures" => read_item(&mut self.plugin_signatures, file, index, item),
            _ => false,
        };
        self.note(file, fit);
    }

    fn note(&mut self, file: usize, fit: bool) {
        if !fit && !self.unfit.contains(&file) {
            self.unfit.push(file);
        }
    }

    fn read_section(&mut self, file: usize, name: &str, section: &Value) {
        let fit = match name {
            "listeners" => read_list(&mut self.listeners, file, section),
            "upstreams" => read_list(&mut self.upstreams, file, section),
            "issuers" => read_list(&mut self.issuers, file, section),
            "clients" => read_list(&mut self.clients, file, section),
            "plugins" => read_list(&mut self.plugins, file, section),
            "routes" => read_list(&mut self.routes, file, section),
            "plugin_signatures" => read_list(&mut self.plugin_signatures, file, section),
            "admin" => read_item(&mut self.admin, file, 0, section),
            "access_log" => read_item(&mut self.access_log, file, 0, section),
            "drain" => read_item(&mut self.drain, file, 0, section),
            "identity" => read_item(&mut self.identity, file, 0, section),
            "telemetry" => read_item(&mut self.telemetry, file, 0, section),
            _ => false,
        };
        self.note(file, fit);
    }

    /// The healthy items as a document, with a listener if there is none, and where they came from.
    pub(super) fn into_document(self) -> (Document, Items) {
        let mut items = Items::new();
        let mut document = Document {
            listeners: healthy(self.listeners, LISTS[0], &mut items),
            upstreams: healthy(self.upstreams, LISTS[1], &mut items),
            issuers: healthy(self.issuers, LISTS[2], &mut items),
            clients: healthy(self.clients, LISTS[3], &mut items),
            plugins: healthy(self.plugins, LISTS[4], &mut items),
            routes: healthy(self.routes, LISTS[5], &mut items),
            plugin_signatures: healthy(self.plugin_signatures, LISTS[6], &mut items),
            admin: healthy(self.admin, SINGLES[0], &mut items).pop(),
            access_log: healthy(self.access_log, SINGLES[1], &mut items).pop().unwrap_or_default(),
            drain: healthy(self.drain, SINGLES[2], &mut items).pop().unwrap_or_default(),
            identity: healthy(self.identity, SINGLES[3], &mut items).pop().unwrap_or_default(),
            telemetry: healthy(self.telemetry, SINGLES[4], &mut items).pop().unwrap_or_default(),
        };
        document.ensure_listener();
        (document, items)
    }

    /// The sections beside these that have anything in them, with their files.
    pub(super) fn places_beside(&self, sections: &[&str]) -> Vec<(usize, &'static str)> {
        let lists = [
            (LISTS[0], files(&self.listeners)),
            (LISTS[1], files(&self.upstreams)),
            (LISTS[2], files(&self.issuers)),
            (LISTS[3], files(&self.clients)),
            (LISTS[4], files(&self.plugins)),
            (LISTS[5], files(&self.routes)),
            (SINGLES[0], files(&self.admin)),
            (SINGLES[1], files(&self.access_log)),
            (SINGLES[2], files(&self.drain)),
            (SINGLES[3], files(&self.identity)),
            (SINGLES[4], files(&self.telemetry)),
        ];
        let beside = lists.into_iter().filter(|(section, _)| !sections.contains(section));
        beside.flat_map(|(section, files)| files.into_iter().map(move |file| (file, section))).collect()
    }

    /// Every item that could not be read.
    pub(super) fn broken(&self) -> Vec<BrokenItem<'_>> {
        let lists = broken_in(&self.listeners, LISTS[0], true)
            .chain(broken_in(&self.upstreams, LISTS[1], true))
            .chain(broken_in(&self.issuers, LISTS[2], true))
            .chain(broken_in(&self.clients, LISTS[3], true))
            .chain(broken_in(&self.plugins, LISTS[4], true))
            .chain(broken_in(&self.routes, LISTS[5], true))
            .chain(broken_in(&self.plugin_signatures, LISTS[6], true));
        let singles = broken_in(&self.admin, SINGLES[0], false)
            .chain(broken_in(&self.access_log, SINGLES[1], false))
            .chain(broken_in(&self.drain, SINGLES[2], false))
            .chain(broken_in(&self.identity, SINGLES[3], false))
            .chain(broken_in(&self.telemetry, SINGLES[4], false));
        lists.chain(singles).collect()
    }
}

fn files<T>(slots: &[Slot<T>]) -> std::collections::BTreeSet<usize> {
    slots.iter().map(|slot| slot.file).collect()
}

fn read_list<T: DeserializeOwned>(slots: &mut Vec<Slot<T>>, file: usize, section: &Value) -> bool {
    let Value::Array(items) = section else { return false };
    slots.reserve(items.len());
    for (index, item) in items.iter().enumerate() {
        read_item(slots, file, index, item);
    }
    true
}

// Always true: what is wrong inside an item is kept in its slot.
fn read_item<T: DeserializeOwned>(slots: &mut Vec<Slot<T>>, file: usize, index: usize, value: &Value) -> bool {
    let item = T::deserialize(value)
        .map_err(|error| Broken { name: value.get("name").and_then(Value::as_str).map(str::to_string), error: error.to_string() });
    slots.push(Slot { file, index, item });
    true
}

fn healthy<T>(slots: Vec<Slot<T>>, section: &'static str, items: &mut Items) -> Vec<T> {
    let places = items.entry(section).or_default();
    let healthy = slots.into_iter().filter_map(|slot| {
        let item = slot.item.ok()?;
        places.push((slot.file, slot.index));
        Some(item)
    });
    healthy.collect()
}

fn broken_in<'a, T>(slots: &'a [Slot<T>], section: &'static str, list: bool) -> impl Iterator<Item = BrokenItem<'a>> {
    slots.iter().filter_map(move |slot| {
        let error = slot.item.as_ref().err()?.error.as_str();
        Some(BrokenItem { file: slot.file, section, index: list.then_some(slot.index), error })
    })
}

impl<T: Named> Slot<T> {
    /// The name, even of a broken item if it has one.
    pub(super) fn name(&self) -> Option<&str> {
        match &self.item {
            Ok(item) => Some(item.name()),
            Err(broken) => broken.name.as_deref(),
        }
    }
}

macro_rules! named {
    ($($type:ident)*) => {$(
        impl Named for $type {
            fn name(&self) -> &str {
                &self.name
            }
        }
    )*};
}

named!(Listener Upstream Issuer Client Plugin Route);
