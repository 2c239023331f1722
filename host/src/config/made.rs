//! Resources that no file declares: routes, upstreams, clients and issuers that were made while the gateway ran. They
//! are checked with what the files declare, as one document; a name that a file declares too is the file's.

use std::fmt;
use std::sync::Arc;

use imbl::OrdMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::document::{Client, Issuer, Route, Upstream};

/// Kinds of resources that can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Routes.
    Routes,
    /// Upstreams.
    Upstreams,
    /// Clients.
    Clients,
    /// Issuers.
    Issuers,
}

/// One resource. Copies share it.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// A route.
    Route(Arc<Route>),
    /// An upstream.
    Upstream(Arc<Upstream>),
    /// A client.
    Client(Arc<Client>),
    /// An issuer.
    Issuer(Arc<Issuer>),
}

/// A change of one resource.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// It is there from now on, in place of any other of its name.
    Put(Item),
    /// It is gone.
    Delete(Kind, String),
}

/// All resources that were made, by kind and name. A copy shares everything with what it was made of, and costs nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Made([OrdMap<String, Item>; 4]);

// === impl Kind ===

impl Kind {
    /// All of them, in the order of their numbers.
    pub const ALL: [Kind; 4] = [Kind::Routes, Kind::Upstreams, Kind::Clients, Kind::Issuers];

    /// The section of a document, and the word in a path of the API.
    pub fn section(self) -> &'static str {
        match self {
            Kind::Routes => "routes",
            Kind::Upstreams => "upstreams",
            Kind::Clients => "clients",
            Kind::Issuers => "issuers",
        }
    }

    /// The kind of a section.
    pub fn of_section(section: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.section() == section)
    }

    /// One of them, for people.
    pub fn noun(self) -> &'static str {
        match self {
            Kind::Routes => "route",
            Kind::Upstreams => "upstream",
            Kind::Clients => "client",
            Kind::Issuers => "issuer",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.section())
    }
}

// === impl Item ===

impl Item {
    /// What it is.
    pub fn kind(&self) -> Kind {
        match self {
            Item::Route(_) => Kind::Routes,
            Item::Upstream(_) => Kind::Upstreams,
            Item::Client(_) => Kind::Clients,
            Item::Issuer(_) => Kind::Issuers,
        }
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        match self {
            Item::Route(route) => &route.name,
            Item::Upstream(upstream) => &upstream.name,
            Item::Client(client) => &client.name,
            Item::Issuer(issuer) => &issuer.name,
        }
    }

    /// As it would stand in a document.
    pub fn to_json(&self) -> Value {
        let value = match self {
            Item::Route(route) => serde_json::to_value(route),
            Item::Upstream(upstream) => serde_json::to_value(upstream),
            Item::Client(client) => serde_json::to_value(client),
            Item::Issuer(issuer) => serde_json::to_value(issuer),
        };
        value.expect("a document is plain data")
    }

    /// From what `to_json` made of one of this kind.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn from_json(kind: Kind, value: &Value) -> Result<Self, serde_json::Error> {
        Ok(match kind {
            Kind::Routes => Item::Route(Deserialize::deserialize(value)?),
            Kind::Upstreams => Item::Upstream(Deserialize::deserialize(value)?),
            Kind::Clients => Item::Client(Deserialize::deserialize(value)?),
            Kind::Issuers => Item::Issuer(Deserialize::deserialize(value)?),
        })
    }
}

/// A tag of a resource as JSON: the same for the same content, wherever and whenever.
pub fn tag(resource: &Value) -> String {
    let digest = Sha256::digest(resource.to_string());
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

// === impl Change ===

impl Change {
    /// What it is about.
    pub fn kind(&self) -> Kind {
        match self {
            Change::Put(item) => item.kind(),
            Change::Delete(kind, _) => *kind,
        }
    }

    /// Which one it is about.
    pub fn name(&self) -> &str {
        match self {
            Change::Put(item) => item.name(),
            Change::Delete(_, name) => name,
        }
    }

    /// What is there after it.
    pub fn after(&self) -> Option<&Item> {
        match self {
            Change::Put(item) => Some(item),
            Change::Delete(..) => None,
        }
    }
}

// === impl Made ===

impl Made {
    /// The resources of one kind, in the order of their names.
    pub fn of(&self, kind: Kind) -> &OrdMap<String, Item> {
        &self.0[kind as usize]
    }

    /// One resource.
    pub fn get(&self, kind: Kind, name: &str) -> Option<&Item> {
        self.of(kind).get(name)
    }

    /// All resources, kind by kind.
    pub fn iter(&self) -> impl Iterator<Item = &Item> {
        self.0.iter().flat_map(OrdMap::values)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(OrdMap::is_empty)
    }

    /// What has to do with changes: what they put, the upstreams of the routes among that, the routes of the upstreams
    /// among that, and all issuers, of which there are few.
    pub fn near(&self, changes: &[Change]) -> Self {
        let put: Vec<&Item> = changes.iter().filter_map(Change::after).collect();
        let mut near: Made = put.iter().copied().chain(self.of(Kind::Issuers).values()).cloned().collect();
        let is_put = |upstream: &str| put.iter().any(|item| item.kind() == Kind::Upstreams && item.name() == upstream);
        let hangs_on_it = |item: &&Item| matches!(item, Item::Route(route) if route.named_upstreams().any(is_put));
        if put.iter().any(|item| item.kind() == Kind::Upstreams) {
            self.of(Kind::Routes).values().filter(hangs_on_it).for_each(|item| near.put(item));
        }
        let routes: Vec<Item> = near.of(Kind::Routes).values().cloned().collect();
        let named = routes.iter().filter_map(|item| if let Item::Route(route) = item { Some(route) } else { None });
        let upstreams = named.flat_map(|route| route.named_upstreams()).filter_map(|name| self.get(Kind::Upstreams, name));
        upstreams.for_each(|item| near.put(item));
        near
    }

    fn put(&mut self, item: &Item) {
        self.apply(Change::Put(item.clone()));
    }

    /// Changes it. What was there before the change.
    pub fn apply(&mut self, change: Change) -> Option<Item> {
        let resources = &mut self.0[change.kind() as usize];
        match change {
            Change::Put(item) => resources.insert(item.name().to_owned(), item),
            Change::Delete(_, name) => resources.remove(&name),
        }
    }

    /// What turns this into `wanted`.
    pub fn changes_to(&self, wanted: &Self) -> Vec<Change> {
        let gone = self.iter().filter(|item| wanted.get(item.kind(), item.name()).is_none());
        let gone = gone.map(|item| Change::Delete(item.kind(), item.name().to_owned()));
        let new = wanted.iter().filter(|item| self.get(item.kind(), item.name()) != Some(item));
        gone.chain(new.cloned().map(Change::Put)).collect()
    }
}

impl FromIterator<Item> for Made {
    fn from_iter<I: IntoIterator<Item = Item>>(items: I) -> Self {
        let mut made = Made::default();
        items.into_iter().for_each(|item| drop(made.apply(Change::Put(item))));
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(name: &str, upstream: &str) -> Item {
        let upstream = Some(upstream.to_owned());
        Item::Route(Arc::new(Route { name: name.into(), upstream, ..Route::default() }))
    }

    #[test]
    fn the_changes_from_one_state_to_another_make_it_the_other() {
        let one: Made = [route("a", "x"), route("b", "x"), route("c", "x")].into_iter().collect();
        let other: Made = [route("b", "y"), route("c", "x"), route("d", "x")].into_iter().collect();
        let changes = one.changes_to(&other);
        let names: Vec<&str> = changes.iter().map(Change::name).collect();
        assert_eq!(names, ["a", "b", "d"], "what is the same is not touched");
        let mut made = one.clone();
        changes.into_iter().for_each(|change| drop(made.apply(change)));
        assert_eq!(made, other);
        assert_eq!(made.changes_to(&other), [], "nothing is left to do");
    }

    #[test]
    fn a_resource_reads_as_it_is_written() {
        for kind in Kind::ALL {
            let value = serde_json::json!({"name": "a", "issuer": "https://a.example"});
            let value = if kind == Kind::Issuers { value } else { serde_json::json!({"name": "a"}) };
            let item = Item::from_json(kind, &value).expect("the least of it");
            assert_eq!((item.kind(), item.name()), (kind, "a"));
            assert_eq!(Item::from_json(kind, &item.to_json()).expect("its own writing"), item);
        }
    }
}
