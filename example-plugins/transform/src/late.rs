//! What is put into a response and has to be remembered from its request: header lines that tell the status, and values
//! for the JSON body. It travels in the plugin's state as one JSON array, in the order of the edits.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use gatehouse_plugin::header::{HeaderName, is_value};
use gatehouse_plugin::json::RawValue;
use gatehouse_plugin::template::Template;
use gatehouse_plugin::{Needs, Request, Response, ResponseChanges};
use serde_json::Value;

use crate::body::JsonEdits;
use crate::value::Filling;

/// A header line that tells the status.
pub struct LateHeader {
    /// Its name.
    pub name: HeaderName,
    /// Its value.
    pub value: Template,
    /// Whether it takes the place of those that are there.
    pub replaces: bool,
}

/// What a response needs to know of its request.
#[derive(Default)]
pub struct Memory(Vec<Option<Box<RawValue>>>);

/// What to remember of this request. None if it is nothing.
pub fn remember(headers: &[LateHeader], json: &JsonEdits, request: &Request) -> Option<String> {
    if headers.is_empty() && json.set.iter().all(|(_, filling)| filling.is_constant()) {
        return None;
    }
    let lines = headers.iter().map(|header| bound(&header.value, request));
    let values = json.set.iter().map(|(_, filling)| match filling.of_response() {
        Some(template) => bound(template, request),
        None if filling.is_constant() => None,
        None => filling.render(request).map(|value| value.get().into()),
    });
    let all: Vec<_> = lines.chain(values).map(|entry| entry.unwrap_or_else(|| "null".into())).collect();
    Some(["[", &all.join(","), "]"].concat())
}

fn bound(template: &Template, request: &Request) -> Option<String> {
    Some(Value::from(template.bind(request)?.to_string()).to_string())
}

impl Memory {
    /// What was remembered of the request.
    pub fn of(response: &Response) -> Self {
        Self(response.state().and_then(|state| serde_json::from_slice(state).ok()).unwrap_or_default())
    }

    /// Writes the header lines.
    pub fn headers(&self, late: &[LateHeader], mut changes: ResponseChanges, response: &Response) -> ResponseChanges {
        for (header, bound) in late.iter().zip(&self.0) {
            let value = template(bound.as_deref()).and_then(|template| template.render_response(response));
            changes = match (value.filter(|value| is_value(value.as_bytes())), header.replaces) {
                (Some(value), true) => changes.set_header(&header.name, value),
                (Some(value), false) => changes.add_header(&header.name, value),
                (None, true) => changes.remove_header(&header.name),
                (None, false) => changes,
            };
        }
        changes
    }

    /// The values to put into the body.
    pub fn values<'a>(&'a self, late: &[LateHeader], json: &'a JsonEdits, response: &Response) -> Vec<Option<Cow<'a, RawValue>>> {
        let mut remembered = self.0.iter().skip(late.len());
        let value = |(_, filling): &'a (_, Filling)| {
            let entry = remembered.next().and_then(Option::as_deref);
            match (filling, filling.of_response()) {
                (Filling::Constant(raw), _) => Some(Cow::Borrowed(&**raw)),
                (_, None) => entry.map(Cow::Borrowed),
                (_, Some(_)) => RawValue::from_string(template(entry)?.render_response_json(response)?).ok().map(Cow::Owned),
            }
        };
        json.set.iter().map(value).collect()
    }
}

/// What a request must show for these.
pub fn needs(headers: &[LateHeader], needs: Needs) -> Needs {
    headers.iter().fold(needs, |needs, header| header.value.needs(needs))
}

fn template(entry: Option<&RawValue>) -> Option<Template> {
    serde_json::from_str(entry?.get()).ok()
}
