//! A gateway with a filter in front of an origin, and a second origin that filters may call.

use std::time::Duration;

use gatehouse_tests::{Answer, Gateway, Origin, Response, Setup, files, get};

/// A running gateway with one filter on every path, on one worker.
pub struct House {
    pub gateway: Gateway,
    pub origin: Origin,
    pub side: Origin,
}

impl House {
    /// With a filter, without a configuration.
    pub async fn with(filter: &str) -> Self {
        Self::configured(filter, "", "").await
    }

    /// With settings of the plugin, and some of the step: YAML of maps, without braces.
    pub async fn configured(filter: &str, settings: &str, step: &str) -> Self {
        Self::between(filter, settings, step, Origin::start(echo).await, Origin::start(side).await).await
    }

    /// The same with origins of the test's own.
    pub async fn between(filter: &str, settings: &str, step: &str, origin: Origin, side: Origin) -> Self {
        let config = config(filter, settings, step, &origin, &side);
        Self { gateway: Setup::new(&config).one_worker().start().await, origin, side }
    }

    /// Asks for what a mode of the filter does.
    pub async fn play(&self, mode: &str) -> Response {
        self.gateway.ask(get("/a?b=c").header("x-mode", mode)).await
    }

    /// The body of the one request that came to the origin, once all of it is there.
    pub async fn body(&self) -> String {
        while !self.origin.request().whole {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        String::from_utf8_lossy(&self.origin.request().body).into_owned()
    }

    /// Checks that the filter does its work.
    pub async fn assert_works(&self) {
        assert_eq!(self.play("").await.status, 200, "the next request works");
    }

    /// Waits for a line that the filter wrote.
    pub async fn said(&self, text: &str) -> String {
        self.gateway.wait_for_log(text, |line| line.contains(text) && line.contains("\"plugin\":\"filter\"")).await
    }
}

/// A gateway's config with a filter on every path.
pub fn config(filter: &str, settings: &str, step: &str, origin: &Origin, side: &Origin) -> String {
    let (origin, side, file) = (origin.url(), side.url(), files::filter(filter));
    let step = if step.is_empty() { String::new() } else { format!(", {step}") };
    let settings = if settings.is_empty() { String::new() } else { format!(", {settings}") };
    format!(
        "
        upstreams:
          - {{name: origin, endpoints: [{{url: \"{origin}\"}}]}}
          - {{name: side, endpoints: [{{url: \"{side}\"}}]}}
          - {{name: httpbin, endpoints: [{{url: \"{side}\"}}]}}
        plugins: [{{name: filter, source: {{file: \"{}\"}}{settings}}}]
        routes: [{{name: all, chain: [{{plugin: filter{step}}}], upstream: origin}}]
        ",
        file.display()
    )
}

/// Grants for the filters that call.
pub const CALLS: &str = "grants: [log, kv, metrics, http: [side, httpbin]]";

fn echo(request: &gatehouse_tests::origin::Recorded) -> Answer {
    Answer::ok(format!("{} ", request.method()))
}

fn side(request: &gatehouse_tests::origin::Recorded) -> Answer {
    match request.target() {
        "/slow" => Answer::silence(),
        target => Answer::new(200, &[("x-side", "1")], format!("{target}!")),
    }
}
