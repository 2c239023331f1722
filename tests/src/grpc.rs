//! A gRPC server and client by tonic: four methods that carry text, each of another kind.

use std::{convert::Infallible, net::SocketAddr, pin::Pin, time::Duration};

use bytes::{Buf, BufMut};
use http::uri::PathAndQuery;
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle};
use tokio_stream::{Stream, StreamExt, wrappers::ReceiverStream};
use tonic::{
    Request, Response, Status, Streaming,
    client::Grpc as Caller,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    server::{ClientStreamingService, Grpc as Callee, ServerStreamingService, StreamingService, UnaryService},
    transport::{Channel, Endpoint},
};

/// Texts as messages.
#[derive(Clone, Copy, Debug, Default)]
pub struct Text;

/// A server on a port of its own.
pub struct GrpcServer {
    address: SocketAddr,
    server: JoinHandle<()>,
}

/// A client with one connection, which its clones share.
#[derive(Clone)]
pub struct GrpcClient(Caller<Channel>);

/// The methods: `Unary` and `Both` echo, `Up` joins, `Down` says a text again and again, ten times a second.
/// A text `fail` is answered with a status, `slow` never.
#[derive(Clone, Copy)]
struct Methods;

type Messages = Pin<Box<dyn Stream<Item = Result<String, Status>> + Send>>;
type Answer<T> = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send>>;

impl GrpcServer {
    /// Starts it.
    ///
    /// # Panics
    /// When the machine has no port left.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serving = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service_fn(call));
                tokio::spawn(serving);
            }
        });
        Self { address, server }
    }

    /// Its address as an endpoint's URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for GrpcServer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn call(request: http::Request<Incoming>) -> Result<http::Response<tonic::body::Body>, Infallible> {
    let mut callee = Callee::new(Text);
    Ok(match request.uri().path() {
        "/test.Texts/Unary" => callee.unary(Methods, request).await,
        "/test.Texts/Up" => callee.client_streaming(Methods, request).await,
        "/test.Texts/Down" => callee.server_streaming(Methods, request).await,
        "/test.Texts/Both" => callee.streaming(Methods, request).await,
        _ => Status::unimplemented("no such method").into_http(),
    })
}

impl UnaryService<String> for Methods {
    type Response = String;
    type Future = Answer<String>;

    fn call(&mut self, request: Request<String>) -> Self::Future {
        Box::pin(async move {
            let seen = request.metadata().get("x-user").cloned();
            match request.into_inner().as_str() {
                "fail" => Err(Status::failed_precondition("not like that: 100 %")),
                "slow" => std::future::pending().await,
                text => {
                    let mut response = Response::new(format!("echo {text}"));
                    seen.into_iter().for_each(|user| drop(response.metadata_mut().insert("x-user-seen", user)));
                    Ok(response)
                }
            }
        })
    }
}

impl ClientStreamingService<String> for Methods {
    type Response = String;
    type Future = Answer<String>;

    fn call(&mut self, request: Request<Streaming<String>>) -> Self::Future {
        Box::pin(async move {
            let mut texts = request.into_inner();
            let mut joined = String::new();
            while let Some(text) = texts.message().await? {
                joined.push_str(&text);
            }
            Ok(Response::new(joined))
        })
    }
}

impl ServerStreamingService<String> for Methods {
    type Response = String;
    type ResponseStream = Messages;
    type Future = Answer<Messages>;

    fn call(&mut self, request: Request<String>) -> Self::Future {
        Box::pin(async move {
            let text = request.into_inner();
            let (sender, receiver) = mpsc::channel(1);
            tokio::spawn(async move {
                while sender.send(Ok(text.clone())).await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            });
            Ok(Response::new(Box::pin(ReceiverStream::new(receiver)) as Messages))
        })
    }
}

impl StreamingService<String> for Methods {
    type Response = String;
    type ResponseStream = Messages;
    type Future = Answer<Messages>;

    fn call(&mut self, request: Request<Streaming<String>>) -> Self::Future {
        let echoes = request.into_inner().map(|text| match text?.as_str() {
            "fail" => Err(Status::aborted("enough")),
            text => Ok(format!("echo {text}")),
        });
        Box::pin(async move { Ok(Response::new(Box::pin(echoes) as Messages)) })
    }
}

impl GrpcClient {
    /// Connects in the clear.
    ///
    /// # Panics
    /// When nobody listens.
    pub async fn connect(address: SocketAddr) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address is a URI");
        Self(Caller::new(endpoint.connect().await.expect("the gateway listens")))
    }

    /// One text for one.
    ///
    /// # Errors
    /// What the server, or the gateway, said instead.
    pub async fn unary(&mut self, request: Request<String>) -> Result<Response<String>, Status> {
        self.ready().await?;
        self.0.unary(request, path("Unary"), Text).await
    }

    /// Many texts for one.
    ///
    /// # Errors
    /// What the server, or the gateway, said instead.
    pub async fn up(&mut self, texts: impl Stream<Item = String> + Send + 'static) -> Result<Response<String>, Status> {
        self.ready().await?;
        self.0.client_streaming(Request::new(texts), path("Up"), Text).await
    }

    /// One text for many.
    ///
    /// # Errors
    /// What the server, or the gateway, said instead.
    pub async fn down(&mut self, request: Request<String>) -> Result<Response<Streaming<String>>, Status> {
        self.ready().await?;
        self.0.server_streaming(request, path("Down"), Text).await
    }

    /// Many texts for many.
    ///
    /// # Errors
    /// What the server, or the gateway, said instead.
    pub async fn both(&mut self, texts: impl Stream<Item = String> + Send + 'static) -> Result<Response<Streaming<String>>, Status> {
        self.ready().await?;
        self.0.streaming(Request::new(texts), path("Both"), Text).await
    }

    async fn ready(&mut self) -> Result<(), Status> {
        self.0.ready().await.map_err(|error| Status::unknown(error.to_string()))
    }
}

fn path(method: &str) -> PathAndQuery {
    PathAndQuery::try_from(format!("/test.Texts/{method}")).expect("a method is a path")
}

impl Codec for Text {
    type Encode = String;
    type Decode = String;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Text {
    type Item = String;
    type Error = Status;

    fn encode(&mut self, text: String, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(text.as_bytes());
        Ok(())
    }
}

impl Decoder for Text {
    type Item = String;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<String>, Status> {
        let bytes = from.copy_to_bytes(from.remaining());
        String::from_utf8(bytes.to_vec()).map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}
