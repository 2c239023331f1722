//! A document in the making: each item on its own, so that one broken item does not hide the others.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::config::document::{AccessLog, Admin, Client, Document, Drain, Issuer, Listener, Plugin, Route, Upstream};

/// The items of all files.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) listeners: Vec<Slot<Listener>>,
    pub(super) upstreams: Vec<Slot<Upstream>>,
    pub(super) issuers: Vec<Slot<Issuer>>,
    pub(super) clients: Vec<Slot<Client>>,
    pub(super) plugins: Vec<Slot<Plugin>>,
    pub(super) routes: Vec<Slot<Route>>,
    pub(super) admin: Vec<Slot<Admin>>,
    pub(super) access_log: Vec<Slot<AccessLog>>,
    pub(super) drain: Vec<Slot<Drain>>,
    /// The files with something in them that cannot be an item.
    pub(super) unfit: Vec<usize>,
}

/// One item and where it came from.
#[derive(Debug)]
pub(super) struct Slot<T> {
    pub(super) file: usize,
    pub(super) index: usize,
    pub(super) item: Result<T, Broken>,
}

/// What is known of an item that could not be read.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) name: Option<String>,
    pub(super) error: String,
}

/// An item that others may refer to.
pub(super) trait Named {
    fn name(&self) -> &str;
}

/// The keys of a document whose items add up across files.
const LISTS: [&str; 6] = ["listeners", "upstreams", "issuers", "clients", "plugins", "routes"];
/// The keys of a document that may stand in one file only.
pub(super) const SINGLES: [&str; 3] = ["admin", "access_log", "drain"];

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

    fn read_section(&mut self, file: usize, name: &str, section: &Value) {
        let fit = match name {
            "listeners" => read_list(&mut self.listeners, file, section),
            "upstreams" => read_list(&mut self.upstreams, file, section),
            "issuers" => read_list(&mut self.issuers, file, section),
            "clients" => read_list(&mut self.clients, file, section),
            "plugins" => read_list(&mut self.plugins, file, section),
            "routes" => read_list(&mut self.routes, file, section),
            "admin" => read_item(&mut self.admin, file, 0, section),
            "access_log" => read_item(&mut self.access_log, file, 0, section),
            "drain" => read_item(&mut self.drain, file, 0, section),
            _ => false,
        };
        if !fit && !self.unfit.contains(&file) {
            self.unfit.push(file);
        }
    }

    /// How many items each of the files gives to each section.
    pub(super) fn count_sections(&self, files: usize) -> BTreeMap<String, Vec<usize>> {
        let counts = [
            count(&self.listeners, files),
            count(&self.upstreams, files),
            count(&self.issuers, files),
            count(&self.clients, files),
            count(&self.plugins, files),
            count(&self.routes, files),
            count(&self.admin, files),
            count(&self.access_log, files),
            count(&self.drain, files),
        ];
        LISTS.iter().chain(&SINGLES).map(ToString::to_string).zip(counts).collect()
    }

    /// The healthy items as a document, with a listener if there is none.
    pub(super) fn into_document(self) -> Document {
        let mut document = Document {
            listeners: healthy(self.listeners).collect(),
            admin: healthy(self.admin).next(),
            access_log: healthy(self.access_log).next().unwrap_or_default(),
            drain: healthy(self.drain).next().unwrap_or_default(),
            upstreams: healthy(self.upstreams).collect(),
            issuers: healthy(self.issuers).collect(),
            clients: healthy(self.clients).collect(),
            plugins: healthy(self.plugins).collect(),
            routes: healthy(self.routes).collect(),
        };
        document.ensure_listener();
        document
    }

    /// Every item that could not be read: its file, its section, its index and the reason.
    pub(super) fn broken(&self) -> Vec<(usize, &'static str, Option<usize>, &str)> {
        let lists = broken_in(&self.listeners, LISTS[0], true)
            .chain(broken_in(&self.upstreams, LISTS[1], true))
            .chain(broken_in(&self.issuers, LISTS[2], true))
            .chain(broken_in(&self.clients, LISTS[3], true))
            .chain(broken_in(&self.plugins, LISTS[4], true))
            .chain(broken_in(&self.routes, LISTS[5], true));
        let singles = broken_in(&self.admin, SINGLES[0], false).chain(broken_in(&self.access_log, SINGLES[1], false)).chain(broken_in(
            &self.drain,
            SINGLES[2],
            false,
        ));
        lists.chain(singles).collect()
    }
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

fn count<T>(slots: &[Slot<T>], files: usize) -> Vec<usize> {
    let mut counts = vec![0; files];
    slots.iter().for_each(|slot| counts[slot.file] += 1);
    counts
}

fn healthy<T>(slots: Vec<Slot<T>>) -> impl Iterator<Item = T> {
    slots.into_iter().filter_map(|slot| slot.item.ok())
}

fn broken_in<'a, T>(
    slots: &'a [Slot<T>],
    section: &'static str,
    list: bool,
) -> impl Iterator<Item = (usize, &'static str, Option<usize>, &'a str)> {
    slots.iter().filter_map(move |slot| {
        let broken = slot.item.as_ref().err()?;
        Some((slot.file, section, list.then_some(slot.index), broken.error.as_str()))
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
