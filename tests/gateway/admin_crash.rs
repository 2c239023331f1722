//! The gateway is killed at random moments while it is being changed: what was acknowledged is there afterwards, and
//! nothing is there by halves.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gatehouse_tests::{Gateway, Origin, Request, Setup, gateway::plain, request};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const KILLS: usize = 200;

/// What was sent last, and what was acknowledged last.
#[derive(Default)]
struct Progress {
    sent: AtomicU64,
    acknowledged: AtomicU64,
}

/// A configuration of several resources that belong together.
fn state(number: u64, url: &str) -> Value {
    let upstream = format!("u-{number}");
    json!({
        "upstreams": [{"name": upstream, "endpoints": [{"url": url}]}],
        "routes": [{"name": format!("r-{number}"), "match": [{"path": {"prefix": format!("/state/{number}")}}], "upstream": upstream}],
        "clients": [{"name": format!("c-{number}")}],
    })
}

/// The status of the answer; None where the gateway is gone.
async fn send(address: SocketAddr, request: Request) -> Option<u16> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let request = request.header("authorization", "Bearer the-token-of-the-tests").header("connection", "close");
    stream.write_all(&request.bytes()).await.ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok()?;
    let text = String::from_utf8_lossy(&answer);
    text.split(' ').nth(1)?.parse().ok().filter(|_| text.contains("\r\n\r\n"))
}

async fn change_for_ever(address: SocketAddr, url: String, progress: Arc<Progress>) {
    loop {
        let number = progress.sent.fetch_add(1, Ordering::SeqCst) + 1;
        let put = request("PUT", "/v1/config").header("content-type", "application/json").body(state(number, &url).to_string());
        match send(address, put).await {
            Some(200) => progress.acknowledged.store(number, Ordering::SeqCst),
            Some(status) => panic!("state {number}: {status}"),
            None => return,
        }
    }
}

async fn make_tokens_for_ever(address: SocketAddr, made: Arc<AtomicU64>) {
    let post = || request("POST", "/v1/tokens").header("content-type", "application/json").body(r#"{"name": "t", "scopes": ["read"]}"#);
    while send(address, post()).await == Some(201) {
        made.fetch_add(1, Ordering::SeqCst);
    }
}

/// The number of the state that is served, whole.
async fn served(gateway: &Gateway) -> u64 {
    let config = gateway.api_get("/v1/config").await.json();
    let number = |section: &str, prefix: &str| {
        let name = config[section][0]["name"].as_str().unwrap_or_default();
        name.strip_prefix(prefix).and_then(|number| number.parse::<u64>().ok())
    };
    let route = number("routes", "r-");
    assert_eq!((number("upstreams", "u-"), number("clients", "c-")), (route, route), "all of one state: {config}");
    let Some(number) = route else { return 0 };
    assert_eq!(gateway.get(&format!("/state/{number}")).await.status, 200, "what is told is what is served");
    number
}

#[tokio::test]
async fn what_was_acknowledged_outlives_two_hundred_kills() {
    let origin = Origin::saying("hello").await;
    let mut gateway = Setup::new(&plain(&origin.url())).one_worker().start().await;
    let (progress, tokens) = (Arc::new(Progress::default()), Arc::new(AtomicU64::new(0)));
    let (mut random, mut changed) = (0x9e37_79b9_7f4a_7c15_u64, 0);
    for kill in 0..KILLS {
        let (address, before) = (gateway.listener("admin"), progress.acknowledged.load(Ordering::SeqCst));
        let changing = tokio::spawn(change_for_ever(address, origin.url(), Arc::clone(&progress)));
        let making = tokio::spawn(make_tokens_for_ever(address, Arc::clone(&tokens)));
        if kill % 4 == 0 {
            gateway.write(&format!("{}# {kill}\n", plain(&origin.url())));
            gateway.signal(libc::SIGHUP);
        }
        // xorshift: any moment of the first tenth of a second.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        tokio::time::sleep(Duration::from_micros(random % 100_000)).await;
        gateway = gateway.kill_and_start_again().await;
        changing.await.expect("no change was refused");
        making.await.expect("a token is made or the gateway is gone");

        let (sent, acknowledged) = (progress.sent.load(Ordering::SeqCst), progress.acknowledged.load(Ordering::SeqCst));
        let serving = served(&gateway).await;
        assert!((acknowledged..=sent).contains(&serving), "kill {kill}: {acknowledged} was acknowledged, {serving} serves");
        changed += usize::from(acknowledged > before);
    }
    assert!(changed > KILLS / 4, "the kills met a gateway that was being changed: {changed}");
    let kept = gateway.api_get("/v1/tokens").await.json()["items"].as_array().map_or(0, Vec::len) as u64 - 1;
    let made = tokens.load(Ordering::SeqCst);
    assert!(made <= kept && kept <= made + KILLS as u64, "{made} tokens were acknowledged, {kept} are there");
    let audit = gateway.api_get("/v1/audit/check").await.json();
    assert_eq!(audit["intact"], true, "{audit}");
}
