//! Guests that misbehave, each through the front door: what is answered, what is logged, and that nobody else pays.

mod capabilities;
mod faults;
mod forgery;
mod neighbours;

use gatehouse_tests::{Answer, Gateway, Origin, Request, Response, Setup, get, guests};

/// A gateway with the hostile plugin on `/hostile` and nothing on `/neighbour`, all on one worker.
struct House {
    gateway: Gateway,
    origin: Origin,
    stalled: Origin,
}

impl House {
    /// With settings of the plugin, as `isolation: reuse, on_error: skip`.
    async fn with(settings: &str) -> Self {
        let origin = Origin::start(|request| Answer::ok(if request.target() == "/fetched" { "fetched" } else { "through" })).await;
        let stalled = Origin::start(|_| Answer::silence()).await;
        let gateway = Setup::new(&config(&origin, &stalled, settings, "{}")).one_worker().start().await;
        Self { gateway, origin, stalled }
    }

    async fn new() -> Self {
        Self::with("isolation: request").await
    }

    /// Asks the plugin to do a bad thing.
    async fn provoke(&self, mode: &str) -> Response {
        self.gateway.ask(provocation(mode)).await
    }

    /// Checks that the plugin does its work. Often enough that the breaker on its version sees more good than bad.
    async fn assert_works(&self) {
        for _ in 0..3 {
            let response = self.gateway.get("/hostile").await;
            assert_eq!((response.status, response.text().as_str()), (200, "through"), "the next request to the same plugin works");
        }
    }
}

fn provocation(mode: &str) -> Request {
    get("/hostile").header("x-mode", mode)
}

fn config(origin: &Origin, stalled: &Origin, settings: &str, plugin_config: &str) -> String {
    let (origin, stalled, guest) = (origin.url(), stalled.url(), guests::hostile());
    let grants = "grants: [log, kv, metrics, rate-limit, http: [origin, stalled]]";
    let grants = if settings.contains("grants:") { "" } else { grants };
    let limits = if settings.contains("limits:") { "" } else { "limits: {wall: 400ms}" };
    let settings: Vec<_> = [settings, grants, limits].into_iter().filter(|setting| !setting.is_empty()).collect();
    format!(
        "
        upstreams:
          - {{name: origin, endpoints: [{{url: \"{origin}\"}}]}}
          - {{name: stalled, endpoints: [{{url: \"{stalled}\"}}]}}
          - {{name: private, endpoints: [{{url: \"{origin}\"}}]}}
        plugins:
          - {{name: hostile, source: {{file: \"{}\"}}, {}}}
        routes:
          - {{name: hostile, match: [{{path: {{prefix: /hostile}}}}], chain: [{{plugin: hostile, config: {plugin_config}}}], upstream: origin}}
          - {{name: neighbour, match: [{{path: {{prefix: /neighbour}}}}], upstream: origin}}
        ",
        guest.display(),
        settings.join(", "),
    )
}
