//! A gateway with a plugin in many versions, callers from many addresses, and what they were told.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{Client, Gateway, Origin, Response, Setup, get, request, wire};

/// A gateway with the plugin `guest` on every path. Version 1 is what its configuration declares.
pub struct Site {
    /// The gateway.
    pub gateway: Gateway,
    /// Its upstream.
    pub origin: Origin,
}

/// The configuration of a site.
#[must_use]
pub fn config(origin: &Origin) -> String {
    format!(
        "
        listeners: [{{name: public, address: \"127.0.0.1:0\", trusted_proxies: [\"127.0.0.0/8\"]}}]
        upstreams: [{{name: origin, endpoints: [{{url: \"{}\"}}]}}]
        plugins:
          - {{name: guest, source: {{file: $DIR/guest.wasm}}, isolation: reuse, grants: [kv], limits: {{cpu: 1s, wall: 5s}}}}
        routes: [{{name: all, chain: [{{plugin: guest}}], upstream: origin}}]
        ",
        origin.url()
    )
}

impl Site {
    /// Starts it with this component declared.
    pub async fn start(component: Vec<u8>) -> Self {
        let origin = Origin::saying("through").await;
        let gateway = Setup::new(&config(&origin)).file("guest.wasm", component).start().await;
        Self { gateway, origin }
    }

    /// Sends a component as a new version.
    pub async fn push(&self, component: Vec<u8>) -> Response {
        self.gateway.api(request("POST", "/v1/plugins/guest/versions").header("content-type", "application/wasm").body(component)).await
    }

    /// The same, for one that has to be taken. Its number.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn pushed(&self, component: Vec<u8>) -> u64 {
        let response = self.push(component).await;
        assert_eq!(response.status, 201, "{}", response.text());
        response.json()["version"].as_u64().expect("versions are numbers")
    }

    /// Rolls a version out and expects that to be done.
    ///
    /// # Panics
    /// When it is not.
    pub async fn roll_out(&self, terms: Value) -> Value {
        let response = self.gateway.api_send("PUT", "/v1/plugins/guest/rollout", &terms).await;
        assert_eq!(response.status, 200, "{terms}: {}", response.text());
        response.json()
    }

    /// Rolls a version out to everybody.
    pub async fn promote(&self, version: u64) -> Value {
        self.roll_out(json!({"version": version, "weight": 100})).await
    }

    /// What the API says of the plugin.
    pub async fn view(&self) -> Value {
        self.gateway.api_get("/v1/plugins/guest").await.json()
    }

    /// The label of the version that serves a caller from this address.
    ///
    /// # Panics
    /// When it is not one version in both phases.
    pub async fn label(&self, address: &str) -> String {
        label(&self.gateway.ask(get("/").header("x-forwarded-for", address)).await)
    }

    /// Waits until nothing is tried any more, and gives back what became of the last that was.
    pub async fn ended(&self) -> Value {
        let ended = async {
            loop {
                let view = self.view().await;
                if view["candidate"].is_null() {
                    return view["ended"].as_array().and_then(|ended| ended.last()).cloned().unwrap_or_default();
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        wire::soon("the candidate to go", ended).await
    }
}

/// The label of the version that dealt with a request.
///
/// # Panics
/// When it was not one version in both phases.
#[must_use]
pub fn label(response: &Response) -> String {
    let label = response.header("x-version").unwrap_or_else(|| panic!("a version spoke: {}", response.head));
    assert_eq!(response.header("x-response-version"), Some(label), "one version for both phases: {}", response.head);
    label.to_owned()
}

/// Callers at work, each request from another address. They stop when this is dropped.
pub struct Callers {
    told: Arc<Mutex<BTreeMap<(u16, String), usize>>>,
    _tasks: JoinSet<()>,
}

impl Callers {
    /// So many connections.
    #[must_use]
    pub fn start(gateway: &Gateway, connections: usize) -> Self {
        let (told, mut tasks) = (Arc::<Mutex<BTreeMap<_, _>>>::default(), JoinSet::new());
        for connection in 0..connections {
            let (told, address) = (Arc::clone(&told), gateway.address());
            tasks.spawn(async move {
                let mut client = Client::connect(address).await;
                for turn in 0.. {
                    let from = format!("10.{connection}.{}.{}", turn / 250 % 250, turn % 250);
                    let response = client.ask(&get("/").header("x-forwarded-for", &from)).await;
                    let by = if response.status == 200 { label(&response) } else { String::new() };
                    *told.lock().expect("nobody panics with it").entry((response.status, by)).or_default() += 1;
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            });
        }
        Self { told, _tasks: tasks }
    }

    /// How many answers had which status and label so far.
    ///
    /// # Panics
    /// When a caller panicked.
    #[must_use]
    pub fn told(&self) -> BTreeMap<(u16, String), usize> {
        self.told.lock().expect("nobody panics with it").clone()
    }
}
