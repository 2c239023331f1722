//! Edits, applied as the gateway applies them.

use std::string::String;
use std::vec::Vec;

use super::{Answer, Request};
use crate::Client;
use crate::bindings::types as raw;
use crate::method;

pub(super) fn request(request: &mut Request, request_id: &mut Option<String>, edit: raw::Edit) {
    match edit {
        raw::Edit::SetHeader(field) => set(&mut request.headers, field),
        raw::Edit::AddHeader(field) => add(&mut request.headers, field),
        raw::Edit::RemoveHeader(name) => remove(&mut request.headers, &name),
        raw::Edit::SetMethod(method) => request.method = method::as_str(&method).into(),
        raw::Edit::SetPathWithQuery(path) => request.path_and_query = path,
        raw::Edit::SetBody(body) => request.body = body,
        raw::Edit::SetClient(client) => request.client = Some(Client::from(client)),
        raw::Edit::SetRequestId(id) => *request_id = Some(id),
        raw::Edit::LimitBody(limit) => request.body_limit = limit.min(request.body_limit),
    }
}

pub(super) fn response(answer: &mut Answer, edits: Vec<raw::ResponseEdit>, from_gateway: bool) {
    for edit in edits {
        match edit {
            raw::ResponseEdit::SetHeader(field) => set(&mut answer.headers, field),
            raw::ResponseEdit::AddHeader(field) => add(&mut answer.headers, field),
            raw::ResponseEdit::RemoveHeader(name) => remove(&mut answer.headers, &name),
            raw::ResponseEdit::SetStatus(status) => answer.status = status,
            raw::ResponseEdit::SetBody(body) => answer.body = body,
            raw::ResponseEdit::LimitBody(_) if from_gateway => {}
            raw::ResponseEdit::LimitBody(limit) if answer.body.len() as u64 > limit => *answer = Answer::new(502),
            raw::ResponseEdit::LimitBody(_) => {}
        }
    }
}

fn set(fields: &mut Vec<raw::Field>, field: raw::Field) {
    remove(fields, &field.name);
    add(fields, field);
}

fn add(fields: &mut Vec<raw::Field>, mut field: raw::Field) {
    field.name.make_ascii_lowercase();
    fields.push(field);
}

fn remove(fields: &mut Vec<raw::Field>, name: &str) {
    fields.retain(|field| !field.name.eq_ignore_ascii_case(name));
}

/// The lines of that name, as text.
#[track_caller]
pub(super) fn lines<'a>(fields: &'a [raw::Field], name: &str) -> Vec<&'a str> {
    let lines = fields.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
    lines.map(|field| core::str::from_utf8(&field.value).expect("the header is UTF-8")).collect()
}
