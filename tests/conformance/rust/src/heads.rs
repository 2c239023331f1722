//! Actions on heads: headers, method, path, client, and answers of the plugin's own.

use gatehouse_plugin::{Changes, Client, Reply, Request, ResponseChanges, Scheme, next};

/// The reply of an action that answers; None for any other.
pub fn answer(action: &str, request: &Request) -> Option<Reply> {
    let reply = match action {
        "describe" => text(describe(request)),
        "multi" => text(multi(request)),
        "others" => text(others(request)),
        "client" => text(request.client().map_or("nobody".into(), client)),
        "set-client" => text(client(request.client()?)),
        "respond" => Reply::new(418).header("x-a", "1").header("x-a", "2").body("short and stout"),
        "nothing" => Reply::new(204),
        "bytes" => Reply::new(200).header("content-type", "application/octet-stream").body((0..=255).collect::<Vec<u8>>().repeat(1000)),
        "problem" => Reply::problem(403, "Forbidden", "as \"asked\""),
        _ => return None,
    };
    Some(reply)
}

/// A plain answer.
pub fn text(text: String) -> Reply {
    Reply::new(200).body(text)
}

fn describe(request: &Request) -> String {
    let scheme = match request.scheme() {
        Scheme::Http => "http",
        Scheme::Https => "https",
    };
    format!("{} {scheme} {} {}", request.method(), request.path_and_query(), request.address())
}

fn multi(request: &Request) -> String {
    let lines: Vec<_> = request.header_lines("x-in").map(String::from_utf8_lossy).collect();
    if lines.is_empty() { "-".into() } else { lines.join("|") }
}

fn others(request: &Request) -> String {
    let mut lines: Vec<_> = request.headers().map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value))).collect();
    lines.sort_unstable();
    lines.join("\n")
}

fn client(client: &Client) -> String {
    format!("{} {} {} {}", client.name, client.method, client.scopes.join(","), client.plan.as_deref().unwrap_or("-"))
}

/// The client that `set-client` makes.
pub fn kit() -> Client {
    Client::new("kit", "reference").scopes(["a", "b"]).plan("gold")
}

/// The changes of `edit`.
pub fn edit() -> Changes {
    let late = ResponseChanges::new().set_header("x-late", "1").add_header("x-late", "2").remove_header("x-gone");
    next().set_header("x-in", "new").add_header("x-out", "one").add_header("x-out", "two").remove_header("x-gone").on_response(late)
}

/// The changes of `binary`.
pub fn copy(request: &Request) -> Changes {
    let value = request.header("x-in").unwrap_or_default();
    next().set_header("x-out", value).on_response_set_header("x-out", value)
}
