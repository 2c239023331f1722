//! An HTTP/1.1 client that sends exact bytes and reads exact answers.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};

use crate::{
    request::Request,
    response::Response,
    wire::{Inbox, Stream, soon},
};

/// One connection to the gateway.
pub struct Client {
    stream: Box<dyn Stream>,
    inbox: Inbox,
}

/// Sends one request on a connection of its own and reads the answer.
#[track_caller]
pub fn ask(address: SocketAddr, request: Request) -> impl Future<Output = Response> {
    soon("an answer", async move { Client::connect(address).await.ask(&request).await })
}

impl Client {
    /// Connects without TLS.
    ///
    /// # Panics
    /// When nobody listens.
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("the gateway listens");
        stream.set_nodelay(true).expect("a fresh socket takes options");
        Self::over(stream)
    }

    /// Speaks over a stream that is there already.
    pub fn over(stream: impl Stream + 'static) -> Self {
        Self { stream: Box::new(stream), inbox: Inbox::default() }
    }

    /// Sends bytes as they are.
    ///
    /// # Panics
    /// When the gateway has closed the connection.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).await.expect("the gateway reads");
    }

    /// Sends bytes to a gateway that may not want them.
    ///
    /// # Errors
    /// When the gateway has closed the connection.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref()).await?;
        self.stream.flush().await
    }

    /// Sends a request and reads its answer.
    pub async fn ask(&mut self, request: &Request) -> Response {
        self.send(request.bytes()).await;
        self.response_to(request.method()).await
    }

    /// The next response, to a request that was no HEAD. Interim ones count.
    pub async fn response(&mut self) -> Response {
        self.response_to("GET").await
    }

    /// The next response, to a request with this method.
    ///
    /// # Panics
    /// When none comes, or a broken one.
    pub async fn response_to(&mut self, method: &str) -> Response {
        let mut response = self.head().await;
        let framing = response.framing(method);
        let body = soon("the body of a response", self.inbox.body(&mut *self.stream, framing)).await;
        response.body = body.unwrap_or_else(|error| panic!("{error} in the body after {}", response.head)).1;
        response
    }

    /// The head of the next response; its body stays on the wire.
    ///
    /// # Panics
    /// When none comes.
    pub async fn head(&mut self) -> Response {
        let head = soon("the head of a response", self.inbox.head(&mut *self.stream)).await;
        let head = head.expect("the connection holds").expect("the gateway answers before it closes");
        Response::from_head(&head)
    }

    /// One chunk of a chunked body; empty for the last.
    ///
    /// # Panics
    /// When it does not come.
    pub async fn chunk(&mut self) -> Vec<u8> {
        soon("a chunk", self.inbox.chunk(&mut *self.stream)).await.expect("the body goes on").1
    }

    /// Reads so many bytes of a body.
    ///
    /// # Errors
    /// When the connection ends before.
    pub async fn read(&mut self, length: usize) -> io::Result<Vec<u8>> {
        soon("bytes of a body", self.inbox.exactly(&mut *self.stream, length)).await
    }

    /// All bytes up to the end of the connection, and whether that came with an orderly close.
    pub async fn rest(&mut self) -> (Vec<u8>, bool) {
        let mut bytes = Vec::new();
        loop {
            match soon("the end of the connection", self.inbox.some(&mut *self.stream)).await {
                Ok(some) if some.is_empty() => return (bytes, true),
                Ok(some) => bytes.extend(some),
                Err(_) => return (bytes, false),
            }
        }
    }

    /// Whether the gateway stays silent for so long, with the connection open.
    pub async fn is_quiet(&mut self, during: Duration) -> bool {
        timeout(during, self.inbox.some(&mut *self.stream)).await.is_err()
    }

    /// Says that no more bytes will be sent.
    ///
    /// # Panics
    /// When the connection is gone.
    pub async fn finish(&mut self) {
        self.stream.shutdown().await.expect("the connection holds");
    }
}
