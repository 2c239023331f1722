//! The call of a guest: instantiated, handed its request, and driven until it has come to its end, which may be after
//! its answer.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;

use http::{Request, Response};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use wasmtime::Store;
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p3;
use wasmtime_wasi_http::p3::bindings::ServicePre;
use wasmtime_wasi_http::{Error, WasiHttpView};

use super::guest::Guest;
use super::{Linked, WasiBody};
use crate::plugin::Fault;

/// Calls a component. Where it answers, `head` has the answer.
pub async fn call(linked: &Linked, store: &mut Store<Guest>, request: Request<WasiBody>, head: Head) -> wasmtime::Result<()> {
    match linked {
        Linked::Proxy(pre) => proxy(pre, store, request, head).await,
        Linked::Service(pre) => service(pre, store, request, head).await,
    }
}

async fn proxy(pre: &ProxyPre<Guest>, store: &mut Store<Guest>, request: Request<WasiBody>, head: Head) -> wasmtime::Result<()> {
    let guest = pre.instantiate_async(&mut *store).await?;
    let scheme = if request.uri().scheme_str() == Some("https") { Scheme::Https } else { Scheme::Http };
    let mut http = store.data_mut().http();
    let request = http.new_incoming_request(scheme, request)?;
    let answer = http.new_response_outparam_from_callback(move |answer| {
        // Nobody waits for it where the client went away just now.
        let _ = head.tell(answer.map_err(|code| Fault::Failed(format!("{code:?}"))));
    })?;
    guest.wasi_http_incoming_handler().call_handle(store, request, answer).await
}

async fn service(pre: &ServicePre<Guest>, store: &mut Store<Guest>, request: Request<WasiBody>, head: Head) -> wasmtime::Result<()> {
    let guest = pre.instantiate_async(&mut *store).await?;
    let called = store.run_concurrent(async move |accessor| {
        let (request, received) = accessor.with(|mut store| {
            let (request, received) = p3::Request::from_http(store.data_mut().http().hooks, request);
            (request, Box::pin(received) as Received)
        });
        let answer = match guest.handle(accessor, request).await? {
            Ok(response) => Ok(accessor.with(|store| response.into_http(store, received))?),
            Err(code) => Err(Fault::Failed(format!("{code:?}"))),
        };
        let _ = head.tell(answer);
        // Its answer's body, and what it does after that.
        poll_fn(|context| accessor.poll_no_interesting_tasks(context)).await;
        Ok(())
    });
    called.await?
}

/// Whether the guest took the request's body well.
type Received = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// The answer of a guest, or why there is none.
pub type Answer = Result<Response<WasiBody>, Fault>;

/// Where the answer goes. The first one counts.
#[derive(Clone)]
pub struct Head(Arc<Mutex<Option<oneshot::Sender<Answer>>>>);

impl Head {
    /// With the place where it is awaited.
    pub fn new() -> (Self, oneshot::Receiver<Answer>) {
        let (answer, awaited) = oneshot::channel();
        (Self(Arc::new(Mutex::new(Some(answer)))), awaited)
    }

    /// Tells the answer, or gives it back where there was one already or nobody waits for it.
    pub fn tell(&self, answer: Answer) -> Result<(), Answer> {
        match self.0.lock().take() {
            Some(waiting) => waiting.send(answer),
            None => Err(answer),
        }
    }

    /// A fault if the guest came to its end without an answer.
    pub fn unanswered(&self) -> Result<(), Fault> {
        match self.0.lock().is_some() {
            true => Err(Fault::Failed("it gave no answer".into())),
            false => Ok(()),
        }
    }
}
