//! TLS to upstreams: whom the gateway trusts, what it asks for, and what it shows of itself.

use gatehouse_tests::{
    Gateway, Reload, Setup,
    http2_origin::{Http2Origin, Script},
    streaming::{StreamOrigin, Version},
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

/// How an endpoint is spoken to, and whether it understands.
struct Case<'a> {
    /// What it speaks.
    endpoint: (Version, Option<&'a tokio_rustls::TlsAcceptor>),
    protocol: &'a str,
    tls: &'a str,
    healthy: bool,
}

async fn check(case: &Case<'_>, files: &[(&str, String)]) {
    let Case { endpoint: (version, acceptor), protocol, tls, healthy } = *case;
    let origin = StreamOrigin::start(version, acceptor.cloned()).await;
    let address = origin.address().to_string();
    let (scheme, tls) = if acceptor.is_some() { ("https", format!("tls: {tls},")) } else { ("http", String::new()) };
    let config = format!(
        "
        upstreams:
          - {{name: origin, protocol: {protocol}, {tls} endpoints: [{{url: \"{scheme}://{address}\"}}],
             health: {{active: {{path: /healthz, interval: 100ms}}}}}}
        routes: [{{name: all, upstream: origin}}]
        "
    );
    let setup = Setup::new(&config);
    let gateway = files.iter().fold(setup, |setup, (name, content)| setup.file(name, content.clone())).start().await;
    let what = format!("{protocol} {tls} to {version:?}");
    match healthy {
        true => origin.wait_for_requests(3).await,
        false => {
            let labels = [("upstream", "origin"), ("endpoint", &*address)];
            gateway.wait_for_metric("gatehouse_endpoint_healthy", &labels, |healthy| healthy < 0.5).await;
            assert_eq!(origin.requests(), 0, "{what}: nothing reaches an endpoint that is not spoken to rightly");
        }
    }
    let served = gateway.get("/fine").await.status;
    assert_eq!(served, if healthy { 200 } else { 503 }, "{what}: what checks find is what requests go by");
}

#[tokio::test]
async fn checks_speak_to_an_endpoint_as_requests_do() {
    let (server, own, other) = (Certificate::of(&[NAME]), Certificate::of(&["gateway.example"]), Certificate::of(&[NAME]));
    let files = [("ca.pem", server.pem()), ("other.pem", other.pem()), ("own.pem", own.pem()), ("own.key", own.key_pem())];
    let (h2, plain, asking) = (server.acceptor(&["h2"], None), server.acceptor(&[], None), server.acceptor(&["h2"], Some(&own)));
    let trusted = "{ca: $DIR/ca.pem, sni: origin.example}";
    let showing = "{ca: $DIR/ca.pem, sni: origin.example, client_certificate: {cert: $DIR/own.pem, key: $DIR/own.key}}";
    let case = |version, acceptor, protocol, tls, healthy| Case { endpoint: (version, acceptor), protocol, tls, healthy };
    for case in [
        case(Version::Http2, None, "h2", "", true),
        case(Version::Http2, None, "http1", "", false),
        case(Version::Http1, Some(&plain), "http1", trusted, true),
        case(Version::Http1, Some(&plain), "http1", "{ca: $DIR/other.pem, sni: origin.example}", false),
        case(Version::Http1, Some(&plain), "http1", "{ca: $DIR/ca.pem, sni: other.example}", false),
        case(Version::Http2, Some(&h2), "h2", trusted, true),
        case(Version::Http2, Some(&h2), "auto", trusted, true),
        case(Version::Http2, Some(&asking), "h2", trusted, false),
        case(Version::Http2, Some(&asking), "h2", showing, true),
    ] {
        check(&case, &files).await;
    }
}
