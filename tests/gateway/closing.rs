//! Endpoints that close connections unannounced, and what becomes of requests that are on their way at that moment.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use gatehouse_tests::{Answer, Client, Gateway, Origin, get, request::request, wire::soon};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A server that closes one of five connections a moment after it has answered there.
#[derive(Default)]
struct Closing {
    answered: AtomicUsize,
    closed: AtomicUsize,
    /// Requests that were there already when it closed: what became of them nobody but itself can know.
    had: AtomicUsize,
}

impl Closing {
    async fn start() -> (Arc<Self>, SocketAddr) {
        let (server, listener) = (Arc::new(Self::default()), TcpListener::bind("127.0.0.1:0").await.expect("a free port"));
        let (address, accepting) = (listener.local_addr().expect("it is bound"), Arc::clone(&server));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = Arc::clone(&accepting);
                tokio::spawn(async move { server.serve(stream).await });
            }
        });
        (server, address)
    }

    async fn serve(&self, mut stream: TcpStream) {
        let (mut read, mut buffer) = (Vec::new(), [0; 4096]);
        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
            read.extend_from_slice(&buffer[..count]);
            if !read.ends_with(b"order") {
                continue;
            }
            read.clear();
            if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.is_err() {
                return;
            }
            let number = self.answered.fetch_add(1, Ordering::Relaxed);
            if number % 5 == 4 {
                // Up to a millisecond later, which is when the next request may come.
                tokio::time::sleep(Duration::from_micros(number as u64 * 37 % 1_000)).await;
                self.had.fetch_add(usize::from(stream.try_read(&mut buffer).is_ok()), Ordering::Relaxed);
                self.closed.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_that_met_a_closed_connection_is_sent_again() {
    let (server, address) = Closing::start().await;
    let gateway = Gateway::start(&format!(
        "upstreams: [{{name: orders, endpoints: [{{url: \"http://{address}\"}}]}}]\nroutes: [{{name: all, upstream: orders}}]\n"
    ))
    .await;
    let address = gateway.address();
    let clients = (0..8).map(|_| {
        tokio::spawn(async move {
            let (mut client, mut failed) = (Client::connect(address).await, 0);
            for _ in 0..250 {
                let answer = client.ask(&request("POST", "/orders").body("order")).await;
                failed += usize::from(answer.status != 200);
            }
            failed
        })
    });
    let mut failed = 0;
    for client in clients.collect::<Vec<_>>() {
        failed += client.await.expect("a client ends");
    }
    let [answered, closed, had] = [&server.answered, &server.closed, &server.had].map(|count| count.load(Ordering::Relaxed));
    println!("{answered} answered, {closed} closed, {had} with a request that had come; {failed} failed");
    assert!(closed >= 300, "connections were closed: {closed}");
    assert!(answered <= 2_000, "nothing is done twice");
    // One may come between the look and the end.
    assert!(failed <= had + 2, "what nobody has had is sent again: {failed} failed, the server had {had}");
}

/// An endpoint whose answers begin well and break off.
async fn breaking() -> Origin {
    Origin::start(|_| Answer::head(200, &[("content-length", "100"), ("connection", "close")]).then_send("half").then_close()).await
}

/// Asks on a connection of its own, and waits until that has ended. What came.
async fn ask(gateway: &Gateway) -> String {
    let mut client = Client::connect(gateway.address()).await;
    client.send(get("/").header("connection", "close").bytes()).await;
    String::from_utf8_lossy(&client.rest().await.0).into_owned()
}

#[tokio::test]
async fn an_endpoint_whose_answers_break_off_is_ejected() {
    let (breaking, well) = (breaking().await, Origin::saying("served").await);
    let gateway = Gateway::start(&format!(
        "upstreams:\n  - name: group\n    balance: {{algorithm: round_robin}}\n    circuit_breaker: {{failure_ratio: 0%}}\n    \
         endpoints: [{{url: \"{}\"}}, {{url: \"{}\"}}]\nroutes: [{{name: all, upstream: group}}]\n",
        breaking.url(),
        well.url()
    ))
    .await;
    let mut broken = 0;
    for _ in 0..60 {
        broken += usize::from(!ask(&gateway).await.ends_with("served"));
    }
    // It is counted with the last byte, which is when the next request may come.
    assert!((5..=7).contains(&broken), "five began well and broke off, and then it was out: {broken}");
    let ejected = gateway.metrics().await.sum("gatehouse_ejections_total", &[("upstream", "group"), ("reason", "consecutive_gateway")]);
    assert!((ejected - 1.0).abs() < 0.1, "{ejected}");
}

#[tokio::test]
async fn answers_that_break_off_open_the_circuit() {
    let breaking = breaking().await;
    let gateway = Gateway::start(&format!(
        "upstreams: [{{name: group, circuit_breaker: {{min_requests: 6, open: 1m}}, endpoints: [{{url: \"{}\"}}]}}]\n\
         routes: [{{name: all, upstream: group}}]\n",
        breaking.url()
    ))
    .await;
    soon("the circuit to open", async { while !ask(&gateway).await.contains("circuit_open") {} }).await;
    assert!((6..=9).contains(&breaking.hits()), "each counts once, as a request and as a failure: {}", breaking.hits());
}
