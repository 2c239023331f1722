//! Edits of headers, in this order: rename, remove, set, append.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use gatehouse_plugin::header::{HeaderName, is_value};
use gatehouse_plugin::template::Template;
use gatehouse_plugin::{Changes, Needs, Request, Response, ResponseChanges};

/// What to do to the headers of one side.
pub struct HeaderEdits {
    /// Headers to replace. Where the template has no value, the header is removed: the client's own must not pass for it.
    pub set: Vec<(HeaderName, Template)>,
    /// Lines to add, where the template has a value.
    pub append: Vec<(HeaderName, Template)>,
    /// Headers to remove.
    pub remove: Vec<HeaderName>,
    /// Headers to carry over to another name, over what has that name.
    pub rename: Vec<(HeaderName, HeaderName)>,
}

impl HeaderEdits {
    /// What a request must show for the request's own edits.
    pub fn needs(&self, needs: Needs) -> Needs {
        self.template_needs(needs.request_headers(self.renamed()))
    }

    /// What a request must show for the templates.
    pub fn template_needs(&self, needs: Needs) -> Needs {
        self.set.iter().chain(&self.append).fold(needs, |needs, (_, template)| template.needs(needs))
    }

    /// The names that are carried over to others.
    pub fn renamed(&self) -> impl Iterator<Item = &HeaderName> {
        self.rename.iter().map(|(from, _)| from)
    }

    /// Makes the edits to a request.
    pub fn request(&self, mut changes: Changes, request: &Request) -> Changes {
        for (from, to) in &self.rename {
            changes = changes.remove_header(from);
            for (at, line) in request.header_lines(from.as_str()).enumerate() {
                changes = if at == 0 { changes.set_header(to, line) } else { changes.add_header(to, line) };
            }
        }
        changes = self.remove.iter().fold(changes, Changes::remove_header);
        for (name, template) in &self.set {
            changes = match value(template, request) {
                Some(value) => changes.set_header(name, &*value),
                None => changes.remove_header(name),
            };
        }
        self.append.iter().fold(changes, |changes, (name, template)| match value(template, request) {
            Some(value) => changes.add_header(name, &*value),
            None => changes,
        })
    }

    /// Makes the edits to the response that will come, all but the renames, which have to see it.
    pub fn response(&self, mut changes: ResponseChanges, request: &Request) -> ResponseChanges {
        changes = self.remove.iter().fold(changes, ResponseChanges::remove_header);
        for (name, template) in &self.set {
            changes = match value(template, request) {
                Some(value) => changes.set_header(name, &*value),
                None => changes.remove_header(name),
            };
        }
        self.append.iter().fold(changes, |changes, (name, template)| match value(template, request) {
            Some(value) => changes.add_header(name, &*value),
            None => changes,
        })
    }

    /// Carries headers of a response over to their new names.
    pub fn rename(&self, mut changes: ResponseChanges, response: &Response) -> ResponseChanges {
        for (from, to) in &self.rename {
            changes = changes.remove_header(from);
            for (at, line) in response.header_lines(from.as_str()).enumerate() {
                changes = if at == 0 { changes.set_header(to, line) } else { changes.add_header(to, line) };
            }
        }
        changes
    }
}

/// The header value for this request. A claim with a line end in it is none.
fn value<'a>(template: &'a Template, request: &Request) -> Option<Cow<'a, str>> {
    match template.literal() {
        // The configuration was checked once.
        Some(text) => Some(text.into()),
        None => template.render(request).filter(|value| is_value(value.as_bytes())).map(Cow::Owned),
    }
}
