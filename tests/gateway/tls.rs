//! Listeners with TLS: which protocol ALPN picks, which certificate a name gets, what upstreams are told.

use gatehouse_tests::{Client, Gateway, Origin, Reload, Setup, get, http2::Http2, tls::Certificate};

const NAME: &str = "test.example";

fn config(origin: &Origin) -> String {
    format!(
        "
        listeners:
          - name: secure
            address: \"127.0.0.1:0\"
            tls: {{certificates: [{{cert: $DIR/one.pem, key: $DIR/one.key}}, {{cert: $DIR/two.pem, key: $DIR/two.key}}]}}
        upstreams: [{{name: origin, endpoints: [{{url: \"{}\"}}]}}]
        routes: [{{name: all, upstream: origin}}]
        ",
        origin.url()
    )
}

async fn start(origin: &Origin, one: &Certificate, two: &Certificate) -> Gateway {
    let files = [("one.pem", one.pem()), ("one.key", one.key_pem()), ("two.pem", two.pem()), ("two.key", two.key_pem())];
    let setup = files.into_iter().fold(Setup::new(&config(origin)), |setup, (name, content)| setup.file(name, content));
    setup.start().await
}

#[tokio::test]
async fn alpn_picks_the_protocol() {
    let (one, two) = (Certificate::of(&[NAME]), Certificate::of(&["other.example"]));
    let origin = Origin::saying("through").await;
    let gateway = start(&origin, &one, &two).await;

    let stream = one.connect(gateway.address(), NAME, &["h2", "http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]), "HTTP/2 is preferred");
    assert_eq!(Http2::over(stream).await.get("/h2").await.text(), "through");

    for alpn in [&["http/1.1"][..], &[]] {
        let stream = one.connect(gateway.address(), NAME, alpn).await;
        let response = Client::over(stream).ask(&get("/h1")).await;
        assert_eq!(response.text(), "through", "{alpn:?}: HTTP/1.1 is spoken where it is asked for, or nothing is");
    }
}

#[tokio::test]
async fn upstreams_are_told_that_the_client_came_by_tls() {
    let (one, two) = (Certificate::of(&[NAME]), Certificate::of(&["other.example"]));
    let origin = Origin::saying("through").await;
    let gateway = start(&origin, &one, &two).await;
    let stream = one.connect(gateway.address(), NAME, &[]).await;
    Client::over(stream).ask(&get("/")).await;
    let arrived = origin.request();
    assert_eq!(arrived.header("x-forwarded-proto").as_deref(), Some("https"));
    assert_eq!(arrived.header("forwarded").as_deref(), Some("for=127.0.0.1;proto=https;host=test.example;by=_gatehouse"));
}

#[tokio::test]
async fn a_name_gets_its_certificate_and_others_the_first() {
    let (one, two) = (Certificate::of(&[NAME]), Certificate::of(&["other.example"]));
    let origin = Origin::saying("through").await;
    let gateway = start(&origin, &one, &two).await;
    two.connect(gateway.address(), "other.example", &[]).await;
    one.connect(gateway.address(), NAME, &[]).await;
    assert!(two.try_connect(gateway.address(), NAME, &[]).await.is_err(), "the first has another certificate");
}

#[tokio::test]
async fn a_client_without_tls_gets_nowhere() {
    let (one, two) = (Certificate::of(&[NAME]), Certificate::of(&["other.example"]));
    let origin = Origin::saying("through").await;
    let gateway = start(&origin, &one, &two).await;
    let mut client = Client::connect(gateway.address()).await;
    client.send(get("/").bytes()).await;
    client.rest().await;
    assert_eq!(origin.hits(), 0, "nothing was forwarded");
    let stream = one.connect(gateway.address(), NAME, &[]).await;
    assert_eq!(Client::over(stream).ask(&get("/")).await.status, 200, "and the listener lives on");
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_at_a_reload() {
    let (one, two) = (Certificate::of(&[NAME]), Certificate::of(&["other.example"]));
    let origin = Origin::saying("through").await;
    let gateway = start(&origin, &one, &two).await;
    let renewed = Certificate::of(&[NAME]);
    std::fs::write(gateway.folder().join("one.pem"), renewed.pem()).unwrap();
    std::fs::write(gateway.folder().join("one.key"), renewed.key_pem()).unwrap();
    assert!(matches!(gateway.reload(&config(&origin)).await, Reload::Applied(_)), "the files are read again");
    let stream = renewed.connect(gateway.address(), NAME, &[]).await;
    assert_eq!(Client::over(stream).ask(&get("/")).await.status, 200);
}

#[tokio::test]
async fn a_name_of_its_own_comes_before_a_wildcard_and_case_does_not_matter() {
    let (wild, exact) = (Certificate::of(&["*.test.example"]), Certificate::of(&["a.test.example"]));
    let origin = Origin::saying("through").await;
    let gateway = start(&origin, &wild, &exact).await;
    exact.connect(gateway.address(), "a.test.example", &[]).await;
    exact.connect(gateway.address(), "A.Test.Example", &[]).await;
    wild.connect(gateway.address(), "b.test.example", &[]).await;
    assert!(wild.try_connect(gateway.address(), "a.b.test.example", &[]).await.is_err(), "a wildcard stands for one label");
}

#[tokio::test]
async fn a_renewed_certificate_drops_no_connection() {
    let (one, two) = (Certificate::of(&[NAME]), Certificate::of(&["other.example"]));
    let origin = Origin::saying("through").await;
    let gateway = start(&origin, &one, &two).await;
    let mut client = Client::over(one.connect(gateway.address(), NAME, &[]).await);
    assert_eq!(client.ask(&get("/")).await.status, 200);
    let renewed = Certificate::of(&[NAME]);
    std::fs::write(gateway.folder().join("one.pem"), renewed.pem()).unwrap();
    std::fs::write(gateway.folder().join("one.key"), renewed.key_pem()).unwrap();
    gateway.wait_for_metric("gatehouse_config_revision", &[], |revision| revision >= 2.0).await;
    renewed.connect(gateway.address(), NAME, &[]).await;
    assert_eq!(client.ask(&get("/")).await.status, 200, "the connection from before goes on");
}

fn verifying(origin: &Origin, mode: &str) -> String {
    let client_auth = format!("client_auth: {{ca: $DIR/two.pem{mode}}}, certificates:");
    config(origin).replacen("certificates:", &client_auth, 1)
}

async fn start_verifying(origin: &Origin, server: &Certificate, clients: &Certificate, mode: &str) -> Gateway {
    let files = [("one.pem", server.pem()), ("one.key", server.key_pem()), ("two.pem", clients.pem()), ("two.key", clients.key_pem())];
    let setup = Setup::new(&verifying(origin, mode));
    files.into_iter().fold(setup, |setup, (name, content)| setup.file(name, content)).start().await
}

#[tokio::test]
async fn a_client_has_to_show_a_certificate_where_it_is_required() {
    let (server, own, stranger) = (Certificate::of(&[NAME]), Certificate::of(&["client.example"]), Certificate::of(&["client.example"]));
    let origin = Origin::saying("through").await;
    let gateway = start_verifying(&origin, &server, &own, "").await;

    let forged = get("/").header("x-forwarded-client-cert", "Hash=forged");
    let stream = server.connect_showing(gateway.address(), NAME, &own).await.expect("the handshake succeeds");
    assert_eq!(Client::over(stream).ask(&forged).await.text(), "through");
    let told = origin.request().header("x-forwarded-client-cert").expect("the upstream is told");
    assert!(told.starts_with("Hash=") && told.contains(";Subject=\"") && told.ends_with(";DNS=\"client.example\""), "{told}");

    // In TLS 1.3 the client's part is done before the server has seen its certificate, so the refusal comes with the answer.
    for refused in
        [server.try_connect(gateway.address(), NAME, &[]).await, server.connect_showing(gateway.address(), NAME, &stranger).await]
    {
        let Ok(stream) = refused else { continue };
        let mut client = Client::over(stream);
        client.try_send(get("/").bytes()).await.ok();
        assert_eq!(client.rest().await.0, b"", "no answer without a certificate that is trusted");
    }
    assert_eq!(origin.hits(), 1, "nothing else reached the upstream");
}

#[tokio::test]
async fn a_client_may_come_without_a_certificate_where_it_is_optional() {
    let (server, own, stranger) = (Certificate::of(&[NAME]), Certificate::of(&["client.example"]), Certificate::of(&["client.example"]));
    let origin = Origin::saying("through").await;
    let gateway = start_verifying(&origin, &server, &own, ", mode: optional").await;
    let forged = get("/").header("x-forwarded-client-cert", "Hash=forged");
    let stream = server.connect(gateway.address(), NAME, &[]).await;
    assert_eq!(Client::over(stream).ask(&forged).await.text(), "through");
    assert_eq!(origin.request().header("x-forwarded-client-cert"), None, "nothing is made of what the client says itself");
    if let Ok(stream) = server.connect_showing(gateway.address(), NAME, &stranger).await {
        let mut client = Client::over(stream);
        client.try_send(get("/").bytes()).await.ok();
        assert_eq!(client.rest().await.0, b"", "one that is shown has to be good");
    }
}

#[tokio::test]
async fn another_authority_for_clients_is_taken_and_drops_no_connection() {
    let (server, own, next) = (Certificate::of(&[NAME]), Certificate::of(&["client.example"]), Certificate::of(&["client.example"]));
    let origin = Origin::saying("through").await;
    let gateway = start_verifying(&origin, &server, &own, "").await;
    let mut client = Client::over(server.connect_showing(gateway.address(), NAME, &own).await.expect("the handshake succeeds"));
    assert_eq!(client.ask(&get("/")).await.status, 200);

    std::fs::write(gateway.folder().join("two.pem"), next.pem()).unwrap();
    std::fs::write(gateway.folder().join("two.key"), next.key_pem()).unwrap();
    gateway.wait_for_metric("gatehouse_config_revision", &[], |revision| revision >= 2.0).await;
    let stream = server.connect_showing(gateway.address(), NAME, &next).await.expect("the handshake succeeds");
    assert_eq!(Client::over(stream).ask(&get("/")).await.status, 200, "who is vouched for now gets in");
    if let Ok(stream) = server.connect_showing(gateway.address(), NAME, &own).await {
        let mut client = Client::over(stream);
        client.try_send(get("/").bytes()).await.ok();
        assert_eq!(client.rest().await.0, b"", "who was vouched for does not, on a new connection");
    }
    assert_eq!(client.ask(&get("/")).await.status, 200, "the connection from before goes on");
}

#[tokio::test]
async fn a_key_that_does_not_fit_ends_the_start() {
    let (one, two) = (Certificate::of(&[NAME]), Certificate::of(&["other.example"]));
    let origin = Origin::saying("through").await;
    let setup = Setup::new(&config(&origin)).file("one.pem", one.pem()).file("one.key", two.key_pem());
    let (code, text) = setup.file("two.pem", two.pem()).file("two.key", two.key_pem()).start_refused().await;
    assert_eq!(code, Some(78), "{text}");
    assert!(text.contains("one."), "the file is named: {text}");
}
