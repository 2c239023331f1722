//! The resources that the admin API made, in a table for each kind.

use crate::config::document::{Client, Issuer, Route, Upstream};
use crate::config::{Change, Item, Kind, Made};

use super::{Reading, Record, StoreError, Writing};

impl Record for Route {
    const TABLE: &'static str = "routes";
}

impl Record for Upstream {
    const TABLE: &'static str = "upstreams";
}

impl Record for Client {
    const TABLE: &'static str = "clients";
}

impl Record for Issuer {
    const TABLE: &'static str = "issuers";
}

impl Reading {
    /// Everything that was made.
    pub fn made(&self) -> Result<Made, StoreError> {
        let routes = self.all::<Route>()?.into_iter().map(|(_, route)| Item::Route(route.into()));
        let upstreams = self.all::<Upstream>()?.into_iter().map(|(_, upstream)| Item::Upstream(upstream.into()));
        let clients = self.all::<Client>()?.into_iter().map(|(_, client)| Item::Client(client.into()));
        let issuers = self.all::<Issuer>()?.into_iter().map(|(_, issuer)| Item::Issuer(issuer.into()));
        Ok(routes.chain(upstreams).chain(clients).chain(issuers).collect())
    }
}

impl Writing {
    /// Makes a change.
    pub fn change(&self, change: &Change) -> Result<(), StoreError> {
        match change {
            Change::Put(Item::Route(route)) => self.put(&route.name, &**route),
            Change::Put(Item::Upstream(upstream)) => self.put(&upstream.name, &**upstream),
            Change::Put(Item::Client(client)) => self.put(&client.name, &**client),
            Change::Put(Item::Issuer(issuer)) => self.put(&issuer.name, &**issuer),
            Change::Delete(kind, name) => self.unmake(*kind, name),
        }
    }

    fn unmake(&self, kind: Kind, name: &str) -> Result<(), StoreError> {
        let deleted = match kind {
            Kind::Routes => self.delete::<Route>(name),
            Kind::Upstreams => self.delete::<Upstream>(name),
            Kind::Clients => self.delete::<Client>(name),
            Kind::Issuers => self.delete::<Issuer>(name),
        };
        deleted.map(drop)
    }
}
