//! TLS to upstreams: whom the gateway trusts, what it asks for, and what it shows of itself.

use gatehouse_tests::{
    Gateway, Reload, Setup,
    http2_origin::{Http2Origin, Script},
    tls::Certificate,
};

const NAME: &str = "origin.example";

fn config(origin: &Http2Origin, tls: &str) -> String {
    format!(
        "
        upstreams: [{{name: origin, protocol: h2, tls: {tls}, endpoints: [{{url: \"https://127.0.0.1:{}\"}}]}}]
        routes: [{{name: all, upstream: origin}}]
        ",
        origin.port()
    )
}

async fn origin(certificate: &Certificate, clients: Option<&Certificate>) -> Http2Origin {
    Http2Origin::start(Script { tls: Some(certificate.acceptor(&["h2"], clients)), ..Script::default() }).await
}

async fn start(origin: &Http2Origin, tls: &str, files: &[(&str, String)]) -> Gateway {
    let setup = Setup::new(&config(origin, tls));
    files.iter().fold(setup, |setup, (name, content)| setup.file(name, content.clone())).start().await
}

#[tokio::test]
async fn an_endpoint_is_trusted_only_by_its_authority_and_its_name() {
    let (own, other) = (Certificate::of(&[NAME]), Certificate::of(&[NAME]));
    for (tls, ca, status) in [
        ("{ca: $DIR/ca.pem, sni: origin.example}", &own, 200),
        ("{ca: $DIR/ca.pem, sni: other.example}", &own, 502),
        ("{ca: $DIR/ca.pem}", &own, 502),
        ("{ca: $DIR/ca.pem, sni: origin.example}", &other, 502),
        ("{sni: origin.example}", &own, 502),
    ] {
        let origin = origin(&own, None).await;
        let gateway = start(&origin, tls, &[("ca.pem", ca.pem())]).await;
        let response = gateway.get("/").await;
        assert_eq!(response.status, status, "{tls}: {}", response.text());
        assert_eq!(origin.requests().len(), usize::from(status == 200), "nothing reaches a stranger");
    }
}

#[tokio::test]
async fn an_endpoint_that_asks_is_shown_a_certificate() {
    let (server, own) = (Certificate::of(&[NAME]), Certificate::of(&["gateway.example"]));
    let origin = origin(&server, Some(&own)).await;
    let files = [("ca.pem", server.pem()), ("own.pem", own.pem()), ("own.key", own.key_pem())];
    let without = start(&origin, "{ca: $DIR/ca.pem, sni: origin.example}", &files).await;
    assert_eq!(without.get("/").await.status, 502, "the endpoint wants one");
    let shown = "{ca: $DIR/ca.pem, sni: origin.example, client_certificate: {cert: $DIR/own.pem, key: $DIR/own.key}}";
    assert_eq!(start(&origin, shown, &files).await.get("/").await.status, 200);
}

#[tokio::test]
async fn a_changed_authority_is_taken_without_a_word() {
    let (own, other) = (Certificate::of(&[NAME]), Certificate::of(&[NAME]));
    let origin = origin(&own, None).await;
    let gateway = start(&origin, "{ca: $DIR/ca.pem, sni: origin.example}", &[("ca.pem", own.pem())]).await;
    assert_eq!(gateway.get("/").await.status, 200);
    std::fs::write(gateway.folder().join("ca.pem"), other.pem()).unwrap();
    gateway.wait_for_metric("gatehouse_config_revision", &[], |revision| revision >= 2.0).await;
    assert_eq!(gateway.get("/").await.status, 502, "not even on a connection that was made before");
}

#[tokio::test]
async fn files_that_are_none_are_refused_and_named() {
    let own = Certificate::of(&[NAME]);
    let origin = origin(&own, None).await;
    let good = "{ca: $DIR/ca.pem, sni: origin.example}";
    let gateway = start(&origin, good, &[("ca.pem", own.pem()), ("bad.pem", "no PEM".into())]).await;
    for bad in [
        "{ca: $DIR/missing.pem}",
        "{ca: $DIR/bad.pem}",
        "{client_certificate: {cert: $DIR/ca.pem, key: $DIR/bad.pem}}",
        "{sni: \"not a name\"}",
    ] {
        assert_eq!(gateway.reload(&config(&origin, bad)).await, Reload::Rejected, "{bad}");
    }
    assert_eq!(gateway.get("/").await.status, 200, "the last good one stays");
}

#[tokio::test]
async fn tls_without_a_secure_endpoint_is_refused() {
    let config = "
        upstreams: [{name: origin, tls: {sni: a.example}, endpoints: [{url: \"http://127.0.0.1:1\"}]}]
        routes: [{name: all, upstream: origin}]
        ";
    let (code, text) = Setup::new(config).start_refused().await;
    assert_eq!(code, Some(78));
    assert!(text.contains("upstreams[0].tls"), "{text}");
}
