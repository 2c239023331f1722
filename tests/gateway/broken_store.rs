//! The store's file is cut short, altered or gone, or the gateway is killed before it ever served: what was acknowledged is
//! served, or nothing is, and the broken file is kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gatehouse_tests::{Gateway, Origin, Setup, get, guests::version, rollouts, wire::eventually};
use serde_json::json;

const STORE: &str = "data/gatehouse.redb";
const COPY: &str = "data/gatehouse.copy";

/// A gateway whose API made a guarded route, a client, a key that works and one that was revoked.
struct Site {
    gateway: Gateway,
    _origin: Origin,
    key: String,
    revoked: String,
}

impl Site {
    async fn start() -> Self {
        let origin = Origin::saying("through").await;
        let gateway = Setup::new(&format!("upstreams: [{{name: origin, endpoints: [{{url: \"{}\"}}]}}]\n", origin.url())).start().await;
        let route = json!({"match": [{"path": {"prefix": "/"}}], "chain": [{"plugin": "api-key"}], "upstream": "origin"});
        assert_eq!(gateway.api_send("PUT", "/v1/routes/guarded", &route).await.status, 201);
        assert_eq!(gateway.api_send("PUT", "/v1/clients/acme", &json!({})).await.status, 201);
        let (key, _) = new_key(&gateway).await;
        let (revoked, id) = new_key(&gateway).await;
        assert_eq!(gateway.api_delete(&format!("/v1/clients/acme/keys/{id}")).await.status, 200);
        Self { gateway, _origin: origin, key, revoked }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.gateway.folder().join(name)
    }

    /// Ends it, which leaves a copy of the store behind.
    async fn end(&mut self) {
        self.gateway.terminate();
        self.gateway.wait().await;
        assert!(self.path(COPY).exists(), "{}", self.gateway.log());
    }

    async fn start_again(self) -> Self {
        Self { gateway: self.gateway.start_again().await, ..self }
    }

    async fn check_whole(&self, case: &str) {
        let asked = |key: &str| self.gateway.ask(get("/").header("x-api-key", key));
        assert_eq!(asked(&self.key).await.status, 200, "{case}: the key works: {}", self.gateway.log());
        assert_eq!(asked(&self.revoked).await.status, 401, "{case}: what was revoked stays revoked");
        let audit = self.gateway.api_get("/v1/audit/check").await.json();
        assert_eq!(audit["intact"], true, "{case}: {audit}");
    }
}

async fn new_key(gateway: &Gateway) -> (String, String) {
    let made = gateway.api_send("POST", "/v1/clients/acme/keys", &json!({})).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let text = |name: &str| made.json()[name].as_str().unwrap_or_else(|| panic!("{name}: {}", made.text())).to_owned();
    (text("key"), text("id"))
}

fn broken_files(data: &Path) -> usize {
    let entries = fs::read_dir(data).expect("a data folder").flatten();
    entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("gatehouse.redb.broken-")).count()
}

type Damage = (&'static str, fn(&mut Vec<u8>));

const DAMAGES: [Damage; 5] = [
    ("cut to nothing", Vec::clear),
    ("cut in the middle", |bytes| bytes.truncate(bytes.len() / 2)),
    ("zeros at the end", |bytes| {
        let half = bytes.len() / 2;
        bytes[half..].fill(0);
    }),
    ("another file", |bytes| *bytes = b"nonsense".repeat(1000)),
    ("its head is gone", |bytes| bytes[..512].fill(0xff)),
];

#[tokio::test]
async fn a_store_that_broke_is_set_aside_and_restored_from_its_copy() {
    let mut site = Site::start().await;
    for (place, (case, damage)) in DAMAGES.into_iter().enumerate() {
        site.end().await;
        let mut bytes = fs::read(site.path(STORE)).expect("there is a store");
        damage(&mut bytes);
        fs::write(site.path(STORE), &bytes).expect("ours");
        site = site.start_again().await;
        site.check_whole(case).await;
        assert_eq!(broken_files(&site.path("data")), place + 1, "{case}: kept");
        assert!(site.gateway.log().contains("the store is broken; it is set aside"), "{case}: {}", site.gateway.log());
        let restored = &site.gateway.api_get("/v1/status").await.json()["restored_store"];
        assert!(restored["broken_file"].as_str().is_some_and(|file| Path::new(file).exists()), "{case}: {restored}");
    }
    site.end().await;
    fs::remove_file(site.path(STORE)).expect("there is a store");
    site = site.start_again().await;
    site.check_whole("gone").await;
    assert!(site.gateway.api_get("/v1/audit").await.text().contains("restore the store from its copy of"));
    site.end().await;
    site = site.start_again().await;
    site.check_whole("as it was left").await;
    assert!(site.gateway.api_get("/v1/status").await.json()["restored_store"].is_null(), "this time nothing was wrong");
}

#[tokio::test]
async fn single_bits_that_flip_are_noticed_or_harmless() {
    let mut site = Site::start().await;
    for turn in 0..12 {
        site.end().await;
        let mut bytes = fs::read(site.path(STORE)).expect("there is a store");
        // In the pages that hold something: a new file is mostly empty.
        let written: Vec<usize> = (0..bytes.len()).filter(|place| bytes[*place] != 0).collect();
        let place = written[written.len() * turn / 12 + turn];
        bytes[place] ^= 1 << (turn % 8);
        fs::write(site.path(STORE), &bytes).expect("ours");
        site = site.start_again().await;
        site.check_whole(&format!("bit {} of byte {place}", turn % 8)).await;
    }
}

#[tokio::test]
async fn a_store_that_broke_without_a_copy_is_never_begun_anew() {
    let mut site = Site::start().await;
    site.end().await;
    fs::write(site.path(STORE), "").expect("ours");
    let copy = fs::read(site.path(COPY)).expect("there is a copy");
    fs::write(site.path(COPY), &copy[..copy.len() - 100]).expect("ours");
    let (code, said) = site.gateway.start_again_refused().await;
    assert!(code == Some(1) && said.contains("it is not whole"), "half a copy is none: {code:?} {said}");
    fs::remove_file(site.path(COPY)).expect("there is a copy");
    for start in ["the first", "the next"] {
        let (code, said) = site.gateway.start_again_refused().await;
        assert!(code == Some(1) && said.contains("there is no copy of it"), "{start} start: {code:?} {said}");
        assert_eq!(broken_files(&site.path("data")), 1, "kept");
    }
    fs::write(site.path(COPY), copy).expect("ours");
    site = site.start_again().await;
    site.check_whole("a backup of the copy").await;
}

#[tokio::test]
async fn a_copy_is_gone_before_a_change_is_acknowledged_and_comes_back_by_itself() {
    let site = Site::start().await;
    eventually("a copy", || site.path(COPY).exists()).await;
    assert_eq!(site.gateway.api_send("PUT", "/v1/clients/other", &json!({})).await.status, 201);
    assert!(!site.path(COPY).exists(), "what is not true any more is not there");
    eventually("a copy", || site.path(COPY).exists()).await;
    let copy = fs::read_to_string(site.path(COPY)).expect("a text");
    assert!(copy.contains("\"other\"") && !copy.contains(&site.key), "digests only");
}

#[tokio::test]
async fn keys_are_what_they_were_after_a_kill_at_once() {
    let site = Site::start().await;
    let site = Site { gateway: site.gateway.kill_and_start_again().await, ..site };
    site.check_whole("killed").await;
    let (key, id) = new_key(&site.gateway).await;
    let site = Site { gateway: site.gateway.kill_and_start_again().await, ..site };
    assert_eq!(site.gateway.ask(get("/").header("x-api-key", &key)).await.status, 200);
    assert_eq!(site.gateway.api_delete(&format!("/v1/clients/acme/keys/{id}")).await.status, 200);
    let site = Site { gateway: site.gateway.kill_and_start_again().await, ..site };
    assert_eq!(site.gateway.ask(get("/").header("x-api-key", &key)).await.status, 401);
    site.check_whole("killed again").await;
}

#[tokio::test]
async fn kills_before_the_first_start_is_done_leave_nothing_by_halves() {
    let origin = Origin::saying("through").await;
    let config = rollouts::config(&origin).replace("chain: [{plugin: guest}]", "chain: [{plugin: request-id}, {plugin: guest}]");
    // A cache of its own: everything is compiled.
    let setup = Setup::new(&config).file("guest.wasm", version("plain", "one")).environment("GATEHOUSE_CACHE", "cache");
    let times: Vec<Duration> = (1..=16).map(|turn| Duration::from_millis(turn * turn * 3)).collect();
    let gateway = setup.start_after_kills(&times).await;
    assert_eq!(rollouts::label(&gateway.get("/").await), "one");
    assert_eq!(gateway.api_get("/v1/status").await.json()["restored_store"], json!(null), "{}", gateway.log());
    assert_eq!(gateway.api_get("/v1/audit/check").await.json()["intact"], true);
    let unfinished = fs::read_dir(gateway.folder().join("data")).expect("a data folder").flatten();
    let unfinished: Vec<_> = unfinished.map(|entry| entry.file_name()).filter(|name| name.to_string_lossy().ends_with(".new")).collect();
    assert!(unfinished.is_empty(), "{unfinished:?}");
}
