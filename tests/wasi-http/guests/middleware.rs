//! A middleware against plain `wasi:http@0.3`: bindings of the WIT, and nothing of any gateway. It answers some requests
//! itself, and marks the others on their way in and out.

mod bindings {
    wit_bindgen::generate!({
        path: "../../target/wasi-http/unchanged/wasip3-0.10.0+wasi-0.3.2/wit",
        world: "wasi:http/middleware",
        generate_all,
    });
}

use bindings::exports::wasi::http::handler::Guest;
use bindings::wasi::http::handler;
use bindings::wasi::http::types::{ErrorCode, Fields, Request, Response};
use bindings::{wit_future, wit_stream};

struct Middleware;

bindings::export!(Middleware with_types_in bindings);

impl Guest for Middleware {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let path = request.get_path_with_query().unwrap_or_default();
        match path.as_str() {
            "/refused" => Ok(refusal()),
            "/error" => Err(ErrorCode::InternalError(Some("asked to".into()))),
            "/panic" => panic!("asked to"),
            "/twice" => twice(request).await,
            "/shout" => handler::handle(marked(request)).await.map(shouted),
            _ => handler::handle(marked(request)).await.map(signed),
        }
    }
}

/// The request with a header more; its body is passed on as it is.
fn marked(request: Request) -> Request {
    let headers = request.get_headers().clone();
    headers.append("x-middleware", b"was here").expect("a fine header");
    let (method, path) = (request.get_method(), request.get_path_with_query());
    let (scheme, authority) = (request.get_scheme(), request.get_authority());
    let (_, taken) = wit_future::new(|| Ok(()));
    let (body, trailers) = Request::consume_body(request, taken);
    let (request, _) = Request::new(headers, Some(body), trailers, None);
    request.set_method(&method).expect("it was one");
    request.set_path_with_query(path.as_deref()).expect("it was one");
    request.set_scheme(scheme.as_ref()).expect("it was one");
    request.set_authority(authority.as_deref()).expect("it was one");
    request
}

/// The response with a header more.
fn signed(response: Response) -> Response {
    let headers = response.get_headers().clone();
    headers.append("x-middleware", b"was here, too").expect("a fine header");
    rebuilt(response, headers, |byte| byte)
}

/// The response in capitals.
fn shouted(response: Response) -> Response {
    let headers = response.get_headers().clone();
    headers.delete("content-length").expect("a fine name");
    rebuilt(response, headers, |byte| byte.to_ascii_uppercase())
}

/// The response with these headers, and its bytes changed as they come.
fn rebuilt(response: Response, headers: Fields, change: fn(u8) -> u8) -> Response {
    let status = response.get_status_code();
    let (_, taken) = wit_future::new(|| Ok(()));
    let (mut body, trailers) = Response::consume_body(response, taken);
    let (mut told, heard) = wit_stream::new();
    let (response, _) = Response::new(headers, Some(heard), trailers);
    response.set_status_code(status).expect("it was one");
    wit_bindgen::spawn_local(async move {
        loop {
            let (result, bytes) = body.read(Vec::with_capacity(16 << 10)).await;
            let changed = bytes.into_iter().map(change).collect();
            if !told.write_all(changed).await.is_empty() || matches!(result, wit_bindgen::StreamResult::Dropped) {
                return;
            }
        }
    });
    response
}

fn refusal() -> Response {
    let headers = Fields::new();
    headers.append("x-refused-by", b"middleware").expect("a fine header");
    let (mut told, heard) = wit_stream::new();
    let (_, trailers) = wit_future::new(|| Ok(None));
    let (response, _) = Response::new(headers, Some(heard), trailers);
    response.set_status_code(403).expect("a fine status");
    wit_bindgen::spawn_local(async move { drop(told.write_all(b"not here".to_vec()).await) });
    response
}

/// Asks the rest of the chain twice, and tells what came of the second time.
async fn twice(request: Request) -> Result<Response, ErrorCode> {
    let response = handler::handle(marked(request)).await?;
    let (_, trailers) = wit_future::new(|| Ok(None));
    let (again, _) = Request::new(Fields::new(), None, trailers, None);
    again.set_path_with_query(Some("/again")).expect("a fine path");
    let second = handler::handle(again).await;
    let headers = response.get_headers().clone();
    headers.append("x-second", format!("{}", second.is_ok()).as_bytes()).expect("a fine header");
    Ok(rebuilt(response, headers, |byte| byte))
}
