//! gRPC through the gateway, with a client and a server by tonic: every kind of method, statuses, deadlines, refusals.

use std::time::Duration;

use gatehouse_tests::{
    Gateway,
    grpc::{GrpcClient, GrpcServer},
    origin::nobody,
    wire::soon,
};
use tokio::sync::mpsc;
use tokio_stream::{iter, wrappers::ReceiverStream};
use tonic::{Code, Request};

fn config(url: &str) -> String {
    format!(
        "
        upstreams: [{{name: origin, protocol: h2, endpoints: [{{url: \"{url}\"}}], timeouts: {{request: 600ms, first_byte: 10s}}}}]
        routes:
          - {{name: guarded, match: [{{path: {{prefix: /test.Texts}}, headers: [{{name: x-guarded, present: true}}]}}], chain: [{{plugin: api-key}}], upstream: origin}}
          - {{name: all, match: [{{path: {{prefix: /test.Texts}}}}], upstream: origin}}
        "
    )
}

async fn house() -> (GrpcServer, Gateway, GrpcClient) {
    let server = GrpcServer::start().await;
    let gateway = Gateway::start(&config(&server.url())).await;
    let client = GrpcClient::connect(gateway.address()).await;
    (server, gateway, client)
}

fn text(text: &str) -> Request<String> {
    Request::new(text.to_owned())
}

#[tokio::test]
async fn a_call_is_answered_with_its_metadata() {
    let (_server, _gateway, mut client) = house().await;
    let mut request = text("hello");
    request.metadata_mut().insert("x-user", "ada".parse().unwrap());
    let response = soon("an answer", client.unary(request)).await.expect("the call succeeds");
    assert_eq!(response.get_ref(), "echo hello");
    assert_eq!(response.metadata().get("x-user-seen").unwrap(), "ada");
}

#[tokio::test]
async fn a_status_of_the_server_comes_through_as_it_is() {
    let (_server, _gateway, mut client) = house().await;
    let status = soon("an answer", client.unary(text("fail"))).await.expect_err("the call fails");
    assert_eq!((status.code(), status.message()), (Code::FailedPrecondition, "not like that: 100 %"));
}

#[tokio::test]
async fn texts_stream_up() {
    let (_server, _gateway, mut client) = house().await;
    let texts = (0..1000).map(|number| format!("{number} "));
    let expected: String = texts.clone().collect();
    let response = soon("an answer", client.up(iter(texts))).await.expect("the call succeeds");
    assert_eq!(response.get_ref(), &expected);
}

#[tokio::test]
async fn texts_stream_down_for_longer_than_an_answer_may_take() {
    let (_server, _gateway, mut client) = house().await;
    let mut stream = client.down(text("tick")).await.expect("the call succeeds").into_inner();
    // One each 100 ms, and the limit for an answer is 600 ms.
    for _ in 0..15 {
        assert_eq!(soon("a text", stream.message()).await.expect("the stream goes on").as_deref(), Some("tick"));
    }
}

#[tokio::test]
async fn texts_stream_both_ways_one_by_one() {
    let (_server, _gateway, mut client) = house().await;
    let (sender, texts) = mpsc::channel(1);
    sender.send("0".to_owned()).await.unwrap();
    let mut echoes = soon("an answer", client.both(ReceiverStream::new(texts))).await.expect("the call succeeds").into_inner();
    for number in 1..10 {
        let expected = format!("echo {}", number - 1);
        assert_eq!(soon("an echo", echoes.message()).await.unwrap(), Some(expected), "before the next is sent");
        sender.send(number.to_string()).await.unwrap();
    }
    sender.send("fail".to_owned()).await.unwrap();
    soon("the last echo", echoes.message()).await.unwrap();
    let status = soon("the status", echoes.message()).await.expect_err("the trailers say how it ended");
    assert_eq!((status.code(), status.message()), (Code::Aborted, "enough"));
}

#[tokio::test]
async fn two_hundred_conversations_at_once_keep_their_texts_apart() {
    let (_server, gateway, _) = house().await;
    let mut conversations = Vec::new();
    for connection in 0..4 {
        let client = GrpcClient::connect(gateway.address()).await;
        for number in 0..50 {
            conversations.push(tokio::spawn(converse(client.clone(), format!("{connection}.{number}"))));
        }
    }
    for conversation in conversations {
        soon("a conversation", conversation).await.expect("it goes as it should");
    }
}

/// Says a text and waits for its echo, again and again. Every fifth one leaves in the middle.
async fn converse(mut client: GrpcClient, name: String) {
    let (sender, texts) = mpsc::channel(1);
    sender.send(name.clone()).await.unwrap();
    let mut echoes = client.both(ReceiverStream::new(texts)).await.expect("the call succeeds").into_inner();
    for round in 0..20 {
        assert_eq!(echoes.message().await.expect("no error"), Some(format!("echo {name}")), "round {round}");
        if round == 10 && name.ends_with('5') {
            return;
        }
        sender.send(name.clone()).await.unwrap();
    }
    drop(sender);
    echoes.message().await.expect("the last echo");
    assert_eq!(echoes.message().await.expect("a good end"), None, "it ends when the client has said all");
}

#[tokio::test]
async fn a_deadline_is_kept_even_within_a_stream() {
    let (_server, gateway, mut client) = house().await;
    // Tonic itself keeps a deadline to the head of the answer, and not in the stream behind it.
    let mut request = text("tick");
    request.metadata_mut().insert("grpc-timeout", "400m".parse().unwrap());
    let mut stream = client.down(request).await.expect("the call succeeds").into_inner();
    let ended = soon("the stream to be cut", async { while let Ok(Some(_)) = stream.message().await {} });
    let began = tokio::time::Instant::now();
    ended.await;
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    let entry = gateway.access_log(1).await.remove(0);
    assert!(entry["flags"].to_string().contains("UT"), "the log says why: {entry}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_deadline_exceeded() {
    let (_server, _gateway, mut client) = house().await;
    let status = soon("an answer", client.unary(text("slow"))).await.expect_err("the call fails");
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    assert_eq!(status.metadata().get("x-gatehouse-error").unwrap(), "upstream_timeout");
    assert_eq!(status.message(), "The service behind this route did not answer in time.");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let gateway = Gateway::start(&config(&format!("http://{}", nobody()))).await;
    let mut client = GrpcClient::connect(gateway.address()).await;
    let status = soon("an answer", client.unary(text("hello"))).await.expect_err("the call fails");
    assert_eq!(
        (status.code(), status.metadata().get("x-gatehouse-error").unwrap().as_bytes()),
        (Code::Unavailable, &b"upstream_connect"[..])
    );
}

#[tokio::test]
async fn a_refusal_of_a_plugin_is_a_status_too() {
    let (_server, _gateway, mut client) = house().await;
    let mut request = text("hello");
    request.metadata_mut().insert("x-guarded", "yes".parse().unwrap());
    let status = soon("an answer", client.unary(request)).await.expect_err("the call fails");
    assert_eq!(status.code(), Code::Unauthenticated, "{status:?}");
}
