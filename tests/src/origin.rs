//! Upstream servers that do as scripted and record every byte they get.

mod answer;
mod connection;
mod process;
mod recorded;

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{net::TcpListener, task::JoinHandle};

use crate::wire::eventually;

pub use answer::Answer;
pub use process::OriginProcess;
pub use recorded::Recorded;

/// A server on a port of its own.
pub struct Origin {
    address: SocketAddr,
    log: Arc<Log>,
    server: JoinHandle<()>,
}

/// What an origin has seen.
#[derive(Default)]
struct Log {
    requests: Mutex<Vec<Recorded>>,
    connections: AtomicUsize,
    deserted: AtomicUsize,
}

type Script = Arc<dyn Fn(&Recorded) -> Answer + Send + Sync>;

impl Origin {
    /// Starts a server that answers each request as the script says. The script sees the head.
    ///
    /// # Panics
    /// When the machine has no port left.
    pub async fn start(script: impl Fn(&Recorded) -> Answer + Send + Sync + 'static) -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), script).await
    }

    /// The same on an address of the test's choice.
    ///
    /// # Panics
    /// When the address is not free.
    pub async fn start_at(address: SocketAddr, script: impl Fn(&Recorded) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).await.expect("the address is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let log = Arc::new(Log::default());
        let server = tokio::spawn(serve(listener, Arc::new(script), log.clone()));
        Self { address, log, server }
    }

    /// Starts a server that answers everything with 200 and this body.
    pub async fn saying(body: &'static str) -> Self {
        Self::start(move |_| Answer::ok(body)).await
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its address as an endpoint's URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests whose heads have arrived so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        self.log.requests().clone()
    }

    /// The only request so far.
    ///
    /// # Panics
    /// When there was none, or more.
    #[must_use]
    #[track_caller]
    pub fn request(&self) -> Recorded {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "one request reached the upstream: {requests:?}");
        requests.into_iter().next().expect("there is one")
    }

    /// How many requests have arrived.
    #[must_use]
    pub fn hits(&self) -> usize {
        self.log.requests().len()
    }

    /// How many connections were accepted.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.log.connections.load(Ordering::Relaxed)
    }

    /// How often the gateway went away before an answer was finished.
    #[must_use]
    pub fn deserted(&self) -> usize {
        self.log.deserted.load(Ordering::Relaxed)
    }

    /// Waits until so many requests have arrived.
    pub async fn wait_for_hits(&self, hits: usize) {
        eventually("requests at the upstream", || self.hits() >= hits).await;
    }

    /// Waits until the gateway has gone away so often.
    pub async fn wait_until_deserted(&self, times: usize) {
        eventually("the gateway to leave the upstream", || self.deserted() >= times).await;
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Log {
    fn requests(&self) -> MutexGuard<'_, Vec<Recorded>> {
        self.requests.lock().expect("nobody panics with the list")
    }

    fn begin(&self, request: Recorded) -> usize {
        let mut requests = self.requests();
        requests.push(request);
        requests.len() - 1
    }

    fn add_body(&self, index: usize, raw: &[u8], content: &[u8]) {
        let request = &mut self.requests()[index];
        request.raw.extend_from_slice(raw);
        request.body.extend_from_slice(content);
    }

    fn finish(&self, index: usize) {
        self.requests()[index].whole = true;
    }
}

async fn serve(listener: TcpListener, script: Script, log: Arc<Log>) {
    while let Ok((stream, _)) = listener.accept().await {
        // A head and its body are two writes here; without this, the second waits 40 ms for the first to be acknowledged.
        stream.set_nodelay(true).ok();
        let number = log.connections.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(connection::serve(stream, number, script.clone(), log.clone()));
    }
}

/// An address where nobody listens.
///
/// # Panics
/// When the machine has no port left.
#[must_use]
pub fn nobody() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    listener.local_addr().expect("a bound socket has an address")
}
