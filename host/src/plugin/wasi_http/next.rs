//! What a middleware calls behind it: the rest of the chain, which the host has. The request goes out of the store, and
//! the response that comes back goes in.

use http::{Request, Response};
use tokio::sync::oneshot;
use wasmtime::component::{Accessor, Linker, Resource};
use wasmtime_wasi_http::p3;
use wasmtime_wasi_http::p3::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::{Error, WasiHttpView};

use super::WasiBody;
use super::guest::Guest;

/// A request on its way to the rest of the chain.
pub struct Onward {
    /// As the middleware made it.
    pub request: Request<WasiBody>,
    /// Where the response is awaited.
    pub response: oneshot::Sender<Response<WasiBody>>,
}

type Handled = Result<Resource<p3::Response>, ErrorCode>;

/// Links `wasi:http/handler`.
pub fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let mut handler = linker.instance("wasi:http/handler@0.3.0")?;
    handler.func_wrap_concurrent("handle", |guest: &Accessor<Guest>, (request,): (Resource<p3::Request>,)| {
        Box::pin(async move { Ok((handle(guest, request).await?,)) })
    })
}

async fn handle(guest: &Accessor<Guest>, request: Resource<p3::Request>) -> wasmtime::Result<Handled> {
    let request = match taken(guest, request)? {
        Ok(request) => request,
        Err(code) => return Ok(Err(code)),
    };
    // There is one rest of the chain, and a response goes back through it once.
    let Some(next) = guest.with(|mut store| store.data_mut().next.take()) else { return Ok(Err(ErrorCode::HttpRequestDenied)) };
    let (response, awaited) = oneshot::channel();
    // Where nobody takes it, or nothing comes back, the client is gone.
    let _ = next.send(Onward { request, response });
    match awaited.await {
        Ok(response) => shown(guest, response).map(Ok),
        Err(_) => Ok(Err(ErrorCode::ConnectionTerminated)),
    }
}

/// The request, out of the store.
fn taken(guest: &Accessor<Guest>, request: Resource<p3::Request>) -> wasmtime::Result<Result<Request<WasiBody>, ErrorCode>> {
    guest.with(|mut store| {
        let request = store.data_mut().http().table.delete(request)?;
        match request.into_http(&mut store, std::future::ready(Ok::<(), Error>(()))) {
            Ok((request, _)) => Ok(Ok(request)),
            Err(error) => error.downcast().map(Err),
        }
    })
}

/// The response, in the store.
fn shown(guest: &Accessor<Guest>, response: Response<WasiBody>) -> wasmtime::Result<Resource<p3::Response>> {
    guest.with(|mut store| {
        let http = store.data_mut().http();
        let (response, _) = p3::Response::from_http(http.hooks, response);
        Ok(http.table.push(response)?)
    })
}
