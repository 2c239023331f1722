//! Listening sockets. Each worker has its own on the same address, and the kernel spreads connections over them.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::watch;

use crate::worker::Worker;

use super::connection;

/// Connections that wait to be accepted, at each worker.
const BACKLOG: i32 = 1_024;
/// How long to wait when the process has no file descriptor left.
const NO_DESCRIPTOR: Duration = Duration::from_millis(50);

/// One socket for each of so many workers, on one address. With port 0 the system chooses, once for all.
pub fn bind(address: SocketAddr, workers: usize) -> io::Result<Vec<TcpListener>> {
    let first = bind_one(address)?;
    let bound = first.local_addr()?;
    let mut sockets = vec![first];
    for _ in 1..workers {
        sockets.push(bind_one(bound)?);
    }
    Ok(sockets)
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Accepts until told to stop; then takes what the kernel has already queued, so that no client is refused that
/// connected in time.
pub async fn accept(worker: Rc<Worker>, name: Arc<str>, socket: TcpListener, mut stop: watch::Receiver<bool>) -> io::Result<()> {
    let socket = tokio::net::TcpListener::from_std(socket)?;
    loop {
        tokio::select! {
            biased;
            accepted = socket.accept() => take(&worker, &name, accepted).await,
            _ = stop.wait_for(|stop| *stop) => break,
        }
    }
    let socket = socket.into_std()?;
    while let Ok((stream, peer)) = socket.accept() {
        stream.set_nonblocking(true)?;
        connection::spawn(&worker, &name, tokio::net::TcpStream::from_std(stream)?, peer);
    }
    Ok(())
}

async fn take(worker: &Rc<Worker>, name: &Arc<str>, accepted: io::Result<(tokio::net::TcpStream, SocketAddr)>) {
    match accepted {
        Ok((stream, peer)) => connection::spawn(worker, name, stream, peer),
        // A client that is gone again is its own affair; a lack of descriptors passes only with time.
        Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
        Err(error) => {
            tracing::warn!(%error, listener = %name, "connection not accepted");
            tokio::time::sleep(NO_DESCRIPTOR).await;
        }
    }
}
