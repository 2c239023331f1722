//! Answers and edits that no gateway may pass on: forged framing, split headers, statuses that are none.

use alloc::{string::ToString, vec, vec::Vec};

use crate::bindings::{Changes, Client, Edit, Field, Method, Reply, ResponseEdit};

/// The reply of this name, if it is one.
pub fn reply(mode: &str) -> Option<Reply> {
    let (status, headers, body) = match mode {
        "reply" => (200, vec![("x-reply", "good")], 0),
        "huge-reply" => (200, Vec::new(), 4 << 20),
        "many-headers" => (200, vec![("x-many", "value"); 20_000], 0),
        "status-99" => (99, Vec::new(), 0),
        "status-100" => (100, Vec::new(), 0),
        "status-101" => (101, Vec::new(), 0),
        "status-600" => (600, Vec::new(), 0),
        "status-65535" => (u16::MAX, Vec::new(), 0),
        _ => (200, vec![header(mode.strip_prefix("reply-")?)?], 0),
    };
    let headers = headers.into_iter().map(|(name, value)| field(name, value)).collect();
    Some(Reply { status, headers, body: vec![b'h'; body] })
}

/// The changes of this name to a request; none for a name that is unknown.
pub fn changes(mode: &str) -> Changes {
    let mut changes = Changes { request: Vec::new(), response: Vec::new(), state: None };
    if mode == "huge-state" {
        changes.state = Some(vec![1; 64 * 1024 + 1]);
    }
    if let Some(edit) = edit(mode) {
        changes.request.push(edit);
    }
    if let Some(later) = mode.strip_prefix("later-") {
        changes.response = response_edits(later);
    }
    changes
}

/// The edits of this name to a response.
pub fn response_edits(mode: &str) -> Vec<ResponseEdit> {
    let edit = match mode {
        "status-101" => Some(ResponseEdit::SetStatus(101)),
        "status-600" => Some(ResponseEdit::SetStatus(600)),
        "body" => Some(ResponseEdit::SetBody(b"forged".to_vec())),
        _ => header(mode).map(|(name, value)| ResponseEdit::SetHeader(field(name, value))),
    };
    edit.into_iter().collect()
}

fn edit(mode: &str) -> Option<Edit> {
    Some(match mode {
        "method-space" => Edit::SetMethod(Method::Other("GE T".to_string())),
        "method-empty" => Edit::SetMethod(Method::Other("".to_string())),
        "method-split" => Edit::SetMethod(Method::Other("GET / HTTP/1.1\r\nx: y\r\n\r\nGET".to_string())),
        "path-relative" => Edit::SetPathWithQuery("elsewhere".to_string()),
        "path-absolute" => Edit::SetPathWithQuery("http://evil.example/".to_string()),
        "path-space" => Edit::SetPathWithQuery("/a b".to_string()),
        "path-split" => Edit::SetPathWithQuery("/ HTTP/1.1\r\nx: y\r\n\r\nGET /".to_string()),
        "path-empty" => Edit::SetPathWithQuery("".to_string()),
        "set-body" => Edit::SetBody(b"forged".to_vec()),
        "set-client" => Edit::SetClient(somebody()),
        "request-id" => Edit::SetRequestId("bad id\r\n".to_string()),
        _ => {
            let (name, value) = header(mode)?;
            Edit::SetHeader(field(name, value))
        }
    })
}

/// Header lines that a plugin may not write.
fn header(mode: &str) -> Option<(&'static str, &'static str)> {
    Some(match mode {
        "value-crlf" => ("x-split", "a\r\nx-forged: b"),
        "value-lf" => ("x-split", "a\nx-forged: b"),
        "value-nul" => ("x-split", "a\0b"),
        "name-crlf" => ("x-split: a\r\nx-forged", "b"),
        "name-space" => ("x split", "a"),
        "name-empty" => ("", "a"),
        "content-length" => ("Content-Length", "3"),
        "transfer-encoding" => ("transfer-encoding", "chunked"),
        "connection" => ("connection", "x-user"),
        "keep-alive" => ("keep-alive", "timeout=1"),
        "upgrade" => ("upgrade", "h2c"),
        "te" => ("te", "trailers"),
        "trailer" => ("trailer", "x-later"),
        "pseudo-status" => (":status", "200"),
        "pseudo-path" => (":path", "/elsewhere"),
        _ => return None,
    })
}

fn somebody() -> Client {
    let (name, method, scopes) = ("admin".to_string(), "forged".to_string(), vec!["all".to_string()]);
    Client { name, method, issuer: None, scopes, plan: None, claims: None }
}

fn field(name: &str, value: &str) -> Field {
    Field { name: name.to_string(), value: value.as_bytes().to_vec() }
}
