//! API keys that the test hands out.

use core::cell::RefCell;
use std::collections::HashMap;
use std::string::ToString;
use std::vec::Vec;

use crate::bindings::keys::Holder;

std::thread_local! {
    static KEYS: RefCell<HashMap<Vec<u8>, Holder>> = RefCell::new(HashMap::new());
}

/// Gives a key to a client that has these scopes.
pub fn key(key: &str, name: &str, scopes: &[&str]) {
    let scopes = scopes.iter().map(ToString::to_string).collect();
    let holder = Holder { name: name.into(), scopes, plan: None, key_id: None };
    KEYS.with_borrow_mut(|keys| keys.insert(key.into(), holder));
}

/// Puts every client of this name on a plan.
pub fn plan(name: &str, plan: &str) {
    KEYS.with_borrow_mut(|keys| {
        keys.values_mut().filter(|holder| holder.name == name).for_each(|holder| holder.plan = Some(plan.into()));
    });
}

pub(crate) fn find(key: &[u8]) -> Option<Holder> {
    KEYS.with_borrow(|keys| keys.get(key).cloned())
}

pub(crate) fn find_of(name: &str, key: &[u8]) -> Option<Holder> {
    find(key).filter(|holder| holder.name == name)
}
