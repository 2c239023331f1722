//! Uploads that mean harm, or are none: each is refused with its reason, and running traffic does not notice.

use std::time::{Duration, Instant};

use gatehouse_tests::{
    Client, Load, Origin, Response, Setup, bombs,
    footprint::{Footprint, is_full, size},
    gateway::ADMIN_TOKEN,
    guests::{self, version},
    request,
    rollouts::{Site, config},
};

/// A site whose compiler has little, so that bombs are short.
async fn start() -> Site {
    let origin = Origin::saying("through").await;
    let setup = Setup::new(&config(&origin)).file("guest.wasm", version("plain", "one"));
    let gateway = setup.arguments(&["--compile-cpu", "1s", "--cache", "data/compiled"]).start().await;
    Site { gateway, origin }
}

/// Sends a gigabyte for as long as somebody reads it. How much that was, and the answer.
async fn send_a_gigabyte(site: &Site, framing: &str) -> (usize, Response) {
    let mut client = Client::connect(site.gateway.listener("admin")).await;
    let head = format!("POST /v1/plugins/guest/versions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {ADMIN_TOKEN}\r\n{framing}\r\n\r\n");
    client.send(head).await;
    let piece = [b"10000\r\n", &[0; 0x1_0000][..], b"\r\n"].concat();
    let mut sent = 0;
    while sent < 1 << 30 && client.try_send(&piece).await.is_ok() {
        sent += piece.len();
    }
    (sent, client.response().await)
}

#[tokio::test]
async fn a_gigabyte_is_refused_before_it_was_read() {
    let site = start().await;
    let before = Footprint::of(&site.gateway);
    let mut client = Client::connect(site.gateway.listener("admin")).await;
    client
        .send(format!(
            "POST /v1/plugins/guest/versions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {ADMIN_TOKEN}\r\ncontent-length: 1073741824\r\n\r\n"
        ))
        .await;
    assert_eq!(client.response().await.status, 413, "by its length alone");
    let piece = vec![0; 1 << 16];
    let mut sent = 0;
    while sent < 1 << 30 && client.try_send(&piece).await.is_ok() {
        sent += piece.len();
    }
    assert!(sent < 64 << 20, "nobody reads on: {sent} bytes went");

    let grown = site.gateway.rss().saturating_sub(before.rss) >> 20;
    assert!(grown < 8, "{grown} MiB more for what was not read");
    before.is_reached_again(&site.gateway).await;
    assert_eq!(site.label("192.0.2.1").await, "one");
}

#[tokio::test]
async fn an_upload_without_an_end_is_cut_at_the_limit() {
    let site = start().await;
    let before = Footprint::of(&site.gateway);
    let (sent, response) = send_a_gigabyte(&site, "transfer-encoding: chunked").await;
    assert_eq!(response.status, 413, "{}", response.text());
    assert!(sent < 128 << 20, "nobody reads on: {sent} bytes went");
    before.is_reached_again(&site.gateway).await;
    let grown = site.gateway.rss().saturating_sub(before.rss) >> 20;
    assert!(grown < 48, "what was read up to the limit was given back: {grown} MiB more");
}

/// Machine code, as this very gateway compiled it.
fn precompiled(site: &Site) -> Vec<u8> {
    let folder = site.gateway.folder().join("data/compiled");
    let mut entries = std::fs::read_dir(folder).expect("the gateway keeps what it compiled").flatten();
    let code = entries.find(|entry| entry.path().extension().is_some_and(|extension| extension == "cwasm"));
    std::fs::read(code.expect("it compiled the guest").path()).expect("it is the test's own")
}

fn by_hand(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("the text is a component")
}

#[tokio::test]
async fn what_means_harm_is_refused_with_its_reason_and_nobody_notices() {
    let site = start().await;
    let load = Load::start(site.gateway.address(), 4, Duration::from_millis(2));
    let quiet = load.watch(Duration::from_secs(size(2, 10) as u64)).await;
    let (before, from) = (Footprint::of(&site.gateway), Instant::now());
    let unknown = by_hand(r#"(component (import "evil:host/steal@1.0.0" (instance (export "all" (func)))))"#);
    let garbage: Vec<u8> = (0..100_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let cut = version("plain", "two")[..20_000].to_vec();
    let attacks: [(&str, Vec<u8>, &str); 14] = [
        ("a core module", b"\0asm\x01\0\0\0".to_vec(), "a core module"),
        ("an ELF file", b"\x7fELF\x02\x01\x01".to_vec(), "machine code"),
        ("precompiled code", precompiled(&site), "machine code"),
        ("nothing", Vec::new(), "not a WebAssembly component"),
        ("garbage", garbage, "not a WebAssembly component"),
        ("a component that ends early", cut, "not valid"),
        ("a packed file", vec![0x1f, 0x8b, 8, 0], "not a WebAssembly component"),
        ("a section longer than the file", bombs::huge_section(), "not valid"),
        ("an unknown import", unknown, "evil:host/steal"),
        ("an import without its grant", std::fs::read(guests::hostile()).expect("it was built"), "needs the grant"),
        ("10,000 functions", bombs::functions(10_000, 20), "not a plugin"),
        ("too many functions", bombs::functions(100_001, 0), "100001 functions"),
        ("a bomb for the compiler's time", bombs::functions(20_000, 1_400), "more than 1 s of computing time"),
        ("functions as long as they may be, a bomb for the compiler", bombs::functions(10, 900_000), "it takes more than "),
    ];
    for (what, component, said) in attacks {
        let response = site.push(component).await;
        assert_eq!(response.status, 422, "{what}: {}", response.text());
        // The compiler comes after everybody else: on a busy machine it may run out of elapsed time first.
        let ran_out = what.contains("functions") || what.contains("compiler");
        let is_said = response.text().contains(said) || ran_out && response.text().contains("it was not compiled within 10 s");
        assert!(is_said, "{what}: {said:?} should be said: {}", response.text());
    }
    let zip_bomb = request("POST", "/v1/plugins/guest/versions").header("content-encoding", "gzip").body(vec![0x1f, 0x8b, 8, 0]);
    assert_eq!(site.gateway.api(zip_bomb).await.status, 415, "nothing is unpacked");

    let attacked = load.since(from);
    println!("quiet {quiet:?}\nattacked {attacked:?}");
    assert_eq!(attacked.errors, 0, "no request failed: {attacked:?}");
    let limit = if is_full() { quiet.p99 * 2 } else { quiet.p99 * 2 + Duration::from_millis(100) };
    assert!(attacked.p99 <= limit, "{:?} at the 99th percentile, {:?} without", attacked.p99, quiet.p99);
    let view = site.view().await;
    assert_eq!(view["versions"].as_array().map_or(0, Vec::len), 0, "none of them is a version: {view}");
    before.is_reached_again(&site.gateway).await;
    let grown = site.gateway.rss().saturating_sub(before.rss) >> 20;
    assert!(grown < 64, "{grown} MiB more than before");
}
