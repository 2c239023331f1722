//! Edits of the query: remove, then set. Parameters that are not named keep their bytes and their order.

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use gatehouse_plugin::template::{Template, percent_encode};
use gatehouse_plugin::{Needs, Request};

/// What to do to a query.
pub struct QueryEdits {
    set: Vec<(String, Template)>,
    remove: Vec<String>,
}

impl QueryEdits {
    /// Sets these parameters and removes those.
    pub fn new(set: BTreeMap<String, Template>, remove: Vec<String>) -> Self {
        Self { set: set.into_iter().collect(), remove }
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.remove.is_empty()
    }

    /// What a request must show for the templates.
    pub fn needs(&self, needs: Needs) -> Needs {
        self.set.iter().fold(needs, |needs, (_, template)| template.needs(needs))
    }

    /// The path with the request's query, edited. A parameter whose template has no value is removed.
    pub fn applied(&self, path: String, request: &Request) -> String {
        let kept = request.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty() && !self.replaces(pair));
        let kept = kept.map(Cow::Borrowed);
        let set = self.set.iter().filter_map(|(name, template)| {
            let value = template.render_in_path(request)?;
            let value = if template.literal().is_some() { percent_encode(&value) } else { value };
            Some(Cow::Owned([&*percent_encode(name), "=", &*value].concat()))
        });
        kept.chain(set)
            .fold((path, '?'), |(mut target, separator), pair| {
                target.push(separator);
                target.push_str(&pair);
                (target, '&')
            })
            .0
    }

    fn replaces(&self, pair: &str) -> bool {
        let name = decoded(pair.split_once('=').map_or(pair, |(name, _)| name));
        self.remove.iter().chain(self.set.iter().map(|(name, _)| name)).any(|edited| edited.as_bytes() == name)
    }
}

/// A parameter's name as the upstream will read it: otherwise `%61` would be a way around removing `a`.
fn decoded(name: &str) -> Vec<u8> {
    let bytes = name.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = |offset: usize| bytes.get(at + offset).and_then(|&digit| char::from(digit).to_digit(16));
        match (byte, hex(1), hex(2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                at += 3;
                continue;
            }
            (b'+', ..) => decoded.push(b' '),
            _ => decoded.push(byte),
        }
        at += 1;
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(encoded: &str, expected: &str) {
        assert_eq!(decoded(encoded), expected.as_bytes(), "{encoded}");
    }

    #[test]
    fn names_are_read_as_an_upstream_reads_them() {
        check("plain", "plain");
        check("a%20b+c", "a b c");
        check("%C3%A9", "\u{e9}");
        check("100%", "100%");
        check("%4", "%4");
        check("%zz", "%zz");
    }
}
