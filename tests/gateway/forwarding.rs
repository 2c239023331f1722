//! What is forwarded, to the byte, by origins that record it: heads both ways.

use gatehouse_tests::{Answer, Client, Gateway, Origin, Request, Response, Setup, get, request};

/// What the gateway itself adds to a request, by RFC 9110 §7.6.3, RFC 7239 and custom.
const ADDED: [&str; 6] = ["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto"];

/// A gateway and an origin, one request through both.
async fn forward(request: Request) -> (Gateway, Origin) {
    let origin = Origin::saying("hello").await;
    let gateway = Gateway::in_front_of(&origin).await;
    let response = gateway.ask(request).await;
    assert_eq!((response.status, response.text().as_str()), (200, "hello"), "it is answered: {}", response.head);
    (gateway, origin)
}

/// A gateway in front of an origin that answers with these bytes, and the answer as the client got it.
async fn return_raw(method: &str, bytes: &str) -> Response {
    let answer = Answer::raw(bytes);
    let origin = Origin::start(move |_| answer.clone()).await;
    let gateway = Gateway::in_front_of(&origin).await;
    gateway.ask(request(method, "/")).await
}

#[tokio::test]
async fn a_plain_request_arrives_with_its_headers_and_ours_and_no_others() {
    let (gateway, origin) = forward(get("/a/b?c=d&e").header("host", "api.example").header("x-one", "1").header("accept", "*/*")).await;
    let arrived = origin.request();
    assert!(arrived.head.starts_with("GET /a/b?c=d&e HTTP/1.1\r\n"), "the request line is kept: {}", arrived.head);
    let mut expected: Vec<&str> = ADDED.into_iter().chain(["host", "x-one", "accept"]).collect();
    expected.sort_unstable();
    assert_eq!(arrived.names(), expected, "nothing else is added, nothing lost");
    assert_eq!(arrived.raw, arrived.head.as_bytes(), "no byte follows the head of a request without a body");

    let port = gateway.address().port().to_string();
    let check = |name: &str, value: &str| assert_eq!(arrived.header(name).as_deref(), Some(value), "{name}");
    check("host", "api.example");
    check("x-one", "1");
    check("accept", "*/*");
    check("via", "1.1 gatehouse");
    check("x-forwarded-for", "127.0.0.1");
    check("x-forwarded-proto", "http");
    check("x-forwarded-host", "api.example");
    check("x-forwarded-port", &port);
    check("forwarded", "for=127.0.0.1;proto=http;host=api.example;by=_gatehouse");
}

#[tokio::test]
async fn headers_of_one_connection_do_not_travel() {
    let hop_by_hop = get("/")
        .header("connection", "X-Private, keep-alive, close")
        .header("x-private", "secret")
        .header("keep-alive", "timeout=5")
        .header("proxy-connection", "keep-alive")
        .header("te", "deflate")
        .header("http2-settings", "AAMAAABkAAQAAP__")
        .header("upgrade", "websocket")
        .header("proxy-authorization", "Basic c2VjcmV0")
        .header("proxy-authenticate", "Basic")
        .header("x-public", "kept");
    let (_gateway, origin) = forward(hop_by_hop).await;
    let mut expected: Vec<&str> = ADDED.into_iter().chain(["host", "x-public"]).collect();
    expected.sort_unstable();
    let names: Vec<_> = origin.request().names();
    assert_eq!(names, expected, "only end-to-end headers arrive");
}

#[tokio::test]
async fn an_offer_to_take_trailers_is_made_anew() {
    let (_gateway, origin) = forward(get("/").header("te", "trailers, deflate;q=0.5").header("connection", "te")).await;
    let arrived = origin.request();
    let (te, connection) = (arrived.header("te"), arrived.header("connection"));
    // RFC 9110 §10.1.4: who sends TE names it in Connection. gRPC needs the offer; codings are not passed on.
    match te.as_deref() {
        None => assert_eq!(connection, None, "no offer, nothing to name"),
        Some(te) => assert_eq!((te, connection.as_deref().map(str::to_lowercase)), ("trailers", Some("te".to_owned()))),
    }
}

#[tokio::test]
async fn connection_cannot_take_away_what_others_rest_on() {
    let sly = get("/")
        .header("connection", "authorization, host, x-forwarded-for, forwarded, via, x-request-id, x-hop")
        .header("authorization", "Bearer token")
        .header("x-hop", "a");
    let (_gateway, origin) = forward(sly).await;
    let arrived = origin.request();
    assert_eq!(arrived.header("authorization").as_deref(), Some("Bearer token"), "authentication is end to end");
    assert_eq!(arrived.header("host").as_deref(), Some("test.example"), "routing is");
    for name in ["x-forwarded-for", "forwarded", "via"] {
        assert!(arrived.header(name).is_some(), "{name} is added after others are taken away");
    }
    assert!(arrived.header("x-hop").is_none(), "what is not protected goes");
}

#[tokio::test]
async fn what_an_untrusted_client_says_of_its_origin_is_overwritten() {
    let liar = get("/")
        .header("x-forwarded-for", "10.0.0.1, 10.0.0.2")
        .header("x-forwarded-proto", "https")
        .header("x-forwarded-host", "evil.example")
        .header("x-forwarded-port", "443")
        .header("forwarded", "for=10.0.0.1;proto=https");
    let (_gateway, origin) = forward(liar).await;
    let arrived = origin.request();
    assert_eq!(arrived.all("x-forwarded-for"), ["127.0.0.1"], "the peer is who it is");
    assert_eq!(arrived.all("x-forwarded-proto"), ["http"]);
    assert_eq!(arrived.all("x-forwarded-host"), ["test.example"]);
    assert_eq!(arrived.all("forwarded"), ["for=127.0.0.1;proto=http;host=test.example;by=_gatehouse"]);
}

#[tokio::test]
async fn what_a_trusted_proxy_says_is_kept_and_added_to() {
    let origin = Origin::saying("hello").await;
    let config = format!(
        "
        listeners: [{{name: public, address: \"127.0.0.1:0\", trusted_proxies: [127.0.0.0/8, 10.0.0.0/8]}}]
        upstreams: [{{name: origin, endpoints: [{{url: \"{}\"}}]}}]
        routes: [{{name: all, upstream: origin}}]
        ",
        origin.url()
    );
    let gateway = Gateway::start(&config).await;
    let proxied = get("/")
        .header("x-forwarded-for", "192.0.2.7, 10.1.2.3")
        .header("x-forwarded-proto", "https")
        .header("forwarded", "for=192.0.2.7")
        .header("via", "1.1 edge");
    assert_eq!(gateway.ask(proxied).await.status, 200);
    let arrived = origin.request();
    assert_eq!(arrived.all("x-forwarded-for").join(", "), "192.0.2.7, 10.1.2.3, 127.0.0.1", "the peer is appended");
    assert_eq!(arrived.all("x-forwarded-proto"), ["https"], "the edge knew best");
    assert_eq!(arrived.all("forwarded").join(", "), "for=192.0.2.7, for=127.0.0.1;proto=http;host=test.example;by=_gatehouse");
    assert_eq!(arrived.all("via").join(", "), "1.1 edge, 1.1 gatehouse");
    let entry = gateway.access_log(1).await.remove(0);
    assert_eq!(entry["client_address"], "192.0.2.7", "the client is the rightmost address that is not trusted");
}

#[tokio::test]
async fn whether_a_request_is_a_further_try_or_a_copy_is_not_the_clients_to_say() {
    let (_gateway, origin) = forward(get("/").header("x-gatehouse-attempt", "2").header("X-Gatehouse-Mirror", "1")).await;
    let arrived = origin.request();
    assert_eq!((arrived.header("x-gatehouse-attempt"), arrived.header("x-gatehouse-mirror")), (None, None), "{}", arrived.head);
}

#[tokio::test]
async fn a_loop_is_broken_when_our_own_name_comes_by_twice() {
    let origin = Origin::saying("hello").await;
    let gateway = Gateway::in_front_of(&origin).await;
    assert_eq!(gateway.ask(get("/").header("via", "1.1 gatehouse")).await.status, 200, "once may be on purpose");
    let response = gateway.ask(get("/").header("via", "1.1 gatehouse, 1.1 other").header("via", "1.0 gatehouse")).await;
    response.assert_problem(508, "bad_request");
    assert_eq!(origin.hits(), 1, "the loop ends here");
}

#[tokio::test]
async fn a_header_on_several_lines_stays_on_several_lines() {
    let (_gateway, origin) = forward(get("/").header("x-many", "a").header("x-other", "-").header("X-Many", "b, c")).await;
    assert_eq!(origin.request().all("x-many"), ["a", "b, c"], "order and lines are kept");
}

#[tokio::test]
async fn header_values_beyond_ascii_arrive_as_they_were() {
    let (_gateway, origin) = forward(get("/").header("x-name", "M\u{fc}ller \u{2713}")).await;
    let raw = origin.request().raw;
    let wanted = "M\u{fc}ller \u{2713}".as_bytes();
    assert!(gatehouse_tests::wire::find(&raw, wanted).is_some(), "bytes are bytes");
}

#[tokio::test]
async fn an_unknown_method_is_forwarded() {
    let origin = Origin::saying("hello").await;
    let gateway = Gateway::in_front_of(&origin).await;
    assert_eq!(gateway.ask(request("PROPFIND", "/dav")).await.status, 200);
    assert!(origin.request().head.starts_with("PROPFIND /dav HTTP/1.1\r\n"));
}

#[tokio::test]
async fn methods_that_are_not_for_gateways_are_refused() {
    let origin = Origin::saying("hello").await;
    let gateway = Gateway::in_front_of(&origin).await;
    let trace = gateway.ask(request("TRACE", "/")).await;
    assert!([405, 501].contains(&trace.status), "TRACE shows headers that are not the client's to see: {}", trace.head);
    let connect = gateway.ask(request("CONNECT", "test.example:443")).await;
    assert!([400, 405, 501].contains(&connect.status), "this is no tunnel: {}", connect.head);
    assert_eq!(origin.hits(), 0, "neither was forwarded");
}

#[tokio::test]
async fn options_are_counted_down_and_end_at_zero() {
    let origin = Origin::saying("hello").await;
    let gateway = Gateway::in_front_of(&origin).await;
    gateway.ask(request("OPTIONS", "/").header("max-forwards", "3")).await;
    assert_eq!(origin.request().header("max-forwards").as_deref(), Some("2"), "one hop is taken");
    let last = gateway.ask(request("OPTIONS", "/").header("max-forwards", "0")).await;
    assert!(last.status < 300, "the last hop answers: {}", last.head);
    assert_eq!(origin.hits(), 1, "and does not forward");
}

#[tokio::test]
async fn an_old_client_gets_an_old_answer() {
    let origin = Origin::start(|_| Answer::chunked(&["hel", "lo"])).await;
    let gateway = Gateway::in_front_of(&origin).await;
    let mut client = Client::connect(gateway.address()).await;
    client.send("GET /old HTTP/1.0\r\n\r\n").await;
    let (bytes, _) = client.rest().await;
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.starts_with("HTTP/1.0 200"), "the version is the client's: {text}");
    assert!(text.ends_with("\r\n\r\nhello") && !text.to_lowercase().contains("transfer-encoding"), "chunks are unknown to it: {text}");
    let arrived = origin.request();
    assert!(arrived.head.starts_with("GET /old HTTP/1.1\r\n"), "the upstream is spoken to in ours");
    assert_eq!(arrived.all("via"), ["1.0 gatehouse"], "Via says what was received");
}

#[tokio::test]
async fn a_response_comes_back_with_its_headers_and_without_the_connections_own() {
    let response = return_raw(
        "GET",
        "HTTP/1.1 203 Whatever\r\ncontent-length: 2\r\nX-Two: 2\r\nset-cookie: a=1\r\nset-cookie: b=2\r\ndate: Tue, 15 Nov 1994 08:12:31 GMT\r\n\
         server: origin/1\r\nconnection: x-hop, keep-alive\r\nx-hop: y\r\nkeep-alive: timeout=3\r\nproxy-authenticate: Basic\r\nupgrade: h2c\r\n\r\nok",
    )
    .await;
    assert_eq!((response.status, response.text().as_str()), (203, "ok"));
    for name in ["x-hop", "keep-alive", "proxy-authenticate", "upgrade"] {
        assert!(response.header(name).is_none(), "{name} stays behind: {}", response.head);
    }
    assert_eq!(response.all("set-cookie"), ["a=1", "b=2"], "cookies are never merged");
    assert_eq!(response.header("x-two"), Some("2"));
    assert_eq!(response.header("server"), Some("origin/1"), "the origin's name is its own");
    assert_eq!(response.header("date"), Some("Tue, 15 Nov 1994 08:12:31 GMT"), "and so is its date");
    assert!(response.header("x-gatehouse-error").is_none(), "this is not the gateway's answer");
}

#[tokio::test]
async fn an_origin_cannot_pose_as_the_gateway() {
    let response = return_raw("GET", "HTTP/1.1 500 No\r\nx-gatehouse-error: no_route\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(response.status, 500, "its status is passed on");
    assert!(response.header("x-gatehouse-error").is_none(), "its claim is not");
}

#[tokio::test]
async fn a_head_response_keeps_its_length_and_has_no_body() {
    let response = return_raw("HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 1234\r\n\r\n").await;
    assert_eq!(response.header("content-length"), Some("1234"), "the length is that of a GET");
}

#[tokio::test]
async fn a_connection_goes_on_after_answers_without_a_body() {
    let origin = Origin::start(|request| match request.target() {
        "/204" => Answer::head(204, &[]),
        "/304" => Answer::head(304, &[("etag", "\"a\""), ("content-length", "77")]),
        "/head" => Answer::head(200, &[("content-length", "99")]),
        _ => Answer::ok("end"),
    })
    .await;
    let gateway = Gateway::in_front_of(&origin).await;
    let mut client = Client::connect(gateway.address()).await;
    assert_eq!(client.ask(&get("/204")).await.status, 204);
    assert_eq!(client.ask(&get("/304")).await.status, 304);
    assert_eq!(client.ask(&request("HEAD", "/head")).await.status, 200);
    assert_eq!(client.ask(&get("/end")).await.text(), "end", "every answer was where it should be");
    assert_eq!(origin.hits(), 4);
}

#[tokio::test]
async fn no_content_length_is_written_where_there_can_be_no_content() {
    let response = return_raw("GET", "HTTP/1.1 204 No\r\n\r\n").await;
    assert!(response.header("content-length").is_none() && response.header("transfer-encoding").is_none(), "{}", response.head);
}

#[tokio::test]
async fn connections_to_upstreams_are_used_again() {
    let origin = Origin::saying("hello").await;
    let gateway = Setup::new(&gatehouse_tests::gateway::plain(&origin.url())).one_worker().start().await;
    let mut client = Client::connect(gateway.address()).await;
    for _ in 0..50 {
        assert_eq!(client.ask(&get("/")).await.status, 200);
    }
    assert_eq!(origin.connections(), 1, "one connection carried 50 requests");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let origin = Origin::start(|request| {
        let pause = if request.target() == "/0" { 100 } else { 0 };
        Answer::ok(request.target()).delayed(std::time::Duration::from_millis(pause))
    })
    .await;
    let gateway = Gateway::in_front_of(&origin).await;
    let mut client = Client::connect(gateway.address()).await;
    let all: Vec<u8> = (0..10).flat_map(|number| get(&format!("/{number}")).bytes()).collect();
    client.send(all).await;
    for number in 0..10 {
        assert_eq!(client.response().await.text(), format!("/{number}"), "in order");
    }
}
