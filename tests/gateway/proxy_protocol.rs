//! The PROXY protocol on listeners: who the client is, from whom it is believed, and what is no header.

use std::{net::SocketAddr, time::Duration};

use gatehouse_tests::{Client, Gateway, Origin, Setup, get, tls::Certificate};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
};

const V1: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.9 40000 8443\r\n";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc6\x33\x64\x09\x9c\x40\x20\xfb";
const V2_IPV6: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24\
    \x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x09\x9c\x40\x20\xfb";

fn config(origin: &Origin) -> String {
    format!(
        "
        listeners:
          - name: public
            address: \"127.0.0.1:0\"
            proxy_protocol: true
            trusted_proxies: [127.0.0.1]
            timeouts: {{header: 500ms}}
        upstreams: [{{name: origin, endpoints: [{{url: \"{}\"}}]}}]
        routes: [{{name: all, upstream: origin}}]
        ",
        origin.url()
    )
}

async fn house() -> (Gateway, Origin) {
    let origin = Origin::saying("through").await;
    (Gateway::start(&config(&origin)).await, origin)
}

#[tokio::test]
async fn the_client_is_who_the_proxy_says() {
    for (header, client) in [(V1, "192.0.2.7"), (V2, "192.0.2.7"), (V2_IPV6, "2001:db8::7")] {
        let (gateway, origin) = house().await;
        let mut connection = Client::connect(gateway.address()).await;
        connection.send([header, &get("/").header("x-forwarded-for", "203.0.113.1").bytes()].concat()).await;
        assert_eq!(connection.response().await.text(), "through");
        assert_eq!(connection.ask(&get("/next")).await.text(), "through", "the header comes once for each connection");
        for arrived in origin.requests() {
            assert_eq!(arrived.header("x-forwarded-for").as_deref(), Some(client), "a client behind the proxy is no proxy itself");
            assert_eq!(arrived.header("x-forwarded-port").as_deref(), Some("8443"), "the port that it connected to");
        }
        let entry = gateway.access_log(1).await.remove(0);
        assert!(entry.to_string().contains(client), "{entry}");
    }
}

#[tokio::test]
async fn a_connection_of_the_proxys_own_is_the_proxys() {
    for header in [&b"PROXY UNKNOWN\r\n"[..], b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"] {
        let (gateway, origin) = house().await;
        let mut connection = Client::connect(gateway.address()).await;
        connection.send([header, &get("/").bytes()].concat()).await;
        assert_eq!(connection.response().await.status, 200);
        assert_eq!(origin.request().header("x-forwarded-for").as_deref(), Some("127.0.0.1"));
    }
}

#[tokio::test]
async fn a_header_in_pieces_is_waited_for() {
    let (gateway, origin) = house().await;
    let mut connection = Client::connect(gateway.address()).await;
    for piece in [V2, &get("/").bytes()].concat().chunks(3) {
        connection.send(piece).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(connection.response().await.status, 200);
    assert_eq!(origin.request().header("x-forwarded-for").as_deref(), Some("192.0.2.7"));
}

#[tokio::test]
async fn what_is_no_header_closes_the_connection() {
    let (gateway, origin) = house().await;
    let too_long = [b"PROXY TCP4 ".as_slice(), &[b'1'; 4000]].concat();
    let too_large = [&V2[..14], &[0xff, 0xff], &[0; 66_000]].concat();
    for header in [&b""[..], b"PROXY TCP4 192.0.2.7\r\n", b"PROXY TCP4 a b 1 2\r\n", &V2[..13], &too_long, &too_large] {
        let mut connection = Client::connect(gateway.address()).await;
        connection.try_send([header, &get("/").bytes()].concat()).await.ok();
        let (answer, _) = connection.rest().await;
        assert_eq!(answer, b"", "{:?} gets no answer", String::from_utf8_lossy(&header[..header.len().min(40)]));
    }
    assert_eq!(origin.hits(), 0, "nothing reached the upstream");
}

#[tokio::test]
async fn a_proxy_that_is_silent_is_not_waited_for() {
    let (gateway, _) = house().await;
    let mut connection = Client::connect(gateway.address()).await;
    connection.send(&V1[..10]).await;
    let begun = tokio::time::Instant::now();
    assert_eq!(connection.rest().await.0, b"");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

/// Connects from another address of the loopback network.
async fn from(source: &str, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{source}:0").parse().unwrap()).unwrap();
    socket.connect(to).await.unwrap()
}

#[tokio::test]
async fn nobody_else_is_believed() {
    let (gateway, origin) = house().await;
    let mut stranger = Client::over(from("127.0.0.2", gateway.address()).await);
    assert_eq!(stranger.ask(&get("/")).await.status, 200, "and nobody else has to send one");
    assert_eq!(origin.request().header("x-forwarded-for").as_deref(), Some("127.0.0.2"));
    let mut liar = Client::over(from("127.0.0.2", gateway.address()).await);
    liar.send([V1, &get("/").bytes()].concat()).await;
    assert_eq!(liar.response().await.status, 400, "a PROXY line is no request");
    assert_eq!(origin.hits(), 1);
}

#[tokio::test]
async fn the_header_comes_before_tls() {
    let certificate = Certificate::of(&["test.example"]);
    let origin = Origin::saying("through").await;
    let tls = "tls: {certificates: [{cert: $DIR/one.pem, key: $DIR/one.key}]}";
    let config = config(&origin).replace("proxy_protocol: true", &format!("proxy_protocol: true\n            {tls}"));
    let setup = Setup::new(&config).file("one.pem", certificate.pem()).file("one.key", certificate.key_pem());
    let gateway = setup.start().await;
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    stream.write_all(V2).await.unwrap();
    let stream = certificate.secure(stream, "test.example").await;
    assert_eq!(Client::over(stream).ask(&get("/")).await.status, 200);
    assert_eq!(origin.request().header("x-forwarded-for").as_deref(), Some("192.0.2.7"));
}

#[tokio::test]
async fn it_needs_somebody_to_trust() {
    let origin = Origin::saying("through").await;
    let (code, text) = Setup::new(&config(&origin).replace("trusted_proxies: [127.0.0.1]", "")).start_refused().await;
    assert_eq!(code, Some(78));
    assert!(text.contains("listeners[0].proxy_protocol"), "{text}");
}
