//! Other people's components at the end of a route: examples of public SDKs, unchanged.

use gatehouse_tests::{Gateway, Setup, get, guests};

/// A gateway with one component on every path.
async fn answering(component: &str) -> Gateway {
    with(component, "").await
}

/// The same with more settings of the plugin.
async fn with(component: &str, settings: &str) -> Gateway {
    let file = guests::foreign(component);
    let config = format!(
        "
        plugins: [{{name: app, source: {{file: \"{}\"}}, {settings}}}]
        routes: [{{name: all, component: app}}]
        ",
        file.display()
    );
    Setup::new(&config).one_worker().start().await
}

#[tokio::test]
async fn the_examples_of_wasip2_and_wasip3_answer() {
    for component in ["wasip2-http-proxy", "wasip3-http-proxy", "wasip3-http-proxy-compat"] {
        let gateway = answering(component).await;
        for _ in 0..3 {
            let response = gateway.get("/").await;
            assert_eq!((response.status, response.text().as_str()), (200, "Hello, WASI!"), "{component}");
        }
    }
}

#[tokio::test]
async fn the_http_server_of_wstd_answers() {
    let gateway = answering("wstd-http-server").await;
    let home = gateway.get("/").await;
    assert_eq!((home.status, home.text().as_str()), (200, "Hello, wasi:http/proxy world!\n"));
    assert_eq!(gateway.get("/nowhere").await.status, 404);
    assert_eq!(gateway.get("/wait-response").await.text().split_at(10).0, "slept for ", "it may wait");
    assert_eq!(gateway.get("/stream-body").await.text().lines().count(), 5, "piece by piece");
    let status = gateway.ask(get("/response-status").header("x-response-status", "418")).await;
    assert_eq!(status.status, 418);
    let echoed = gateway.ask(get("/echo-headers").header("x-mine", "a").header("x-mine", "b")).await;
    assert!(echoed.head.contains("x-mine: a\r\n") && echoed.head.contains("x-mine: b\r\n"), "{}", echoed.head);
    gateway.wait_for_log("is printed", |line| line.contains("serving /stream-body") && line.contains("\"plugin\":\"app\"")).await;
}
