//! Edits of the query, in this order: rename, remove, set, append. Parameters that are not named keep their bytes and
//! their order.

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use gatehouse_plugin::template::{Template, percent_decode, percent_encode};
use gatehouse_plugin::{Needs, Request};

/// What to do to a query.
pub struct QueryEdits {
    /// Parameters to replace. Where the template has no value, the parameter is removed.
    pub set: BTreeMap<String, Template>,
    /// Parameters to add, where the template has a value.
    pub append: BTreeMap<String, Template>,
    /// Parameters to remove.
    pub remove: Vec<String>,
    /// Parameters to give another name, over what has that name.
    pub rename: BTreeMap<String, String>,
}

/// A parameter as it was sent, with its name as the upstream will read it: otherwise `%61` would be a way around
/// removing `a`.
struct Parameter<'a> {
    name: Vec<u8>,
    sent: Cow<'a, str>,
}

impl QueryEdits {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.append.is_empty() && self.remove.is_empty() && self.rename.is_empty()
    }

    /// The templates.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        self.set.values().chain(self.append.values())
    }

    /// What a request must show for the templates.
    pub fn needs(&self, needs: Needs) -> Needs {
        self.templates().fold(needs, |needs, template| template.needs(needs))
    }

    /// The path with the request's query, edited.
    pub fn applied(&self, path: String, request: &Request) -> String {
        let sent = request.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let mut parameters: Vec<_> = sent.map(Parameter::new).collect();
        self.rename.iter().for_each(|(from, to)| rename(&mut parameters, from, to));
        parameters.retain(|parameter| !self.replaces(parameter));
        let kept = parameters.into_iter().map(|parameter| parameter.sent);
        let added = self.set.iter().chain(&self.append).filter_map(|(name, template)| added(name, template, request));
        let start = (path, '?');
        let append = |(mut target, separator): (String, char), pair: Cow<'_, str>| {
            target.push(separator);
            target.push_str(&pair);
            (target, '&')
        };
        kept.chain(added).fold(start, append).0
    }

    fn replaces(&self, parameter: &Parameter<'_>) -> bool {
        self.remove.iter().chain(self.set.keys()).any(|name| parameter.is(name))
    }
}

impl<'a> Parameter<'a> {
    fn new(sent: &'a str) -> Self {
        Self { name: percent_decode(sent.split_once('=').map_or(sent, |(name, _)| name), true), sent: sent.into() }
    }

    fn is(&self, name: &str) -> bool {
        self.name == name.as_bytes()
    }
}

fn rename(parameters: &mut Vec<Parameter<'_>>, from: &str, to: &str) {
    if from == to || !parameters.iter().any(|parameter| parameter.is(from)) {
        return;
    }
    parameters.retain(|parameter| !parameter.is(to));
    for parameter in parameters.iter_mut().filter(|parameter| parameter.is(from)) {
        let rest = parameter.sent.find('=').map_or("", |at| &parameter.sent[at..]);
        *parameter = Parameter { name: to.into(), sent: [&*percent_encode(to), rest].concat().into() };
    }
}

fn added(name: &str, template: &Template, request: &Request) -> Option<Cow<'static, str>> {
    let value = match template.literal() {
        Some(text) => percent_encode(text),
        None => template.render_in_path(request)?,
    };
    Some([&*percent_encode(name), "=", &*value].concat().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(encoded: &str, expected: &str) {
        assert_eq!(percent_decode(encoded, true), expected.as_bytes(), "{encoded}");
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
