//! What is told without a token: liveness, readiness, metrics.

use http::{Method, StatusCode};

use super::NoQuery;
use super::content::Text;
use super::operation::{Call, Operation};
use super::problem::Problem;
use crate::telemetry::metrics;

const PLAIN: &str = "text/plain; charset=utf-8";

/// The probes.
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::new(Method::GET, "/livez", None, "Whether the process runs.", live),
        Operation::new(Method::GET, "/readyz", None, "Whether requests should be sent here: 200, or 503.", ready),
        Operation::new(Method::GET, "/metrics", None, "Metrics in Prometheus' text format.", prometheus),
    ]
}

async fn live(_: Call<NoQuery>) -> Result<Text, Problem> {
    Ok(Text { status: StatusCode::OK, kind: PLAIN, text: "ok\n".into() })
}

async fn ready(call: Call) -> Result<Text, Problem> {
    Ok(match call.admin.readiness.ask() {
        true => Text { status: StatusCode::OK, kind: PLAIN, text: "ready\n".into() },
        false => Text { status: StatusCode::SERVICE_UNAVAILABLE, kind: PLAIN, text: "not ready\n".into() },
    })
}

async fn prometheus(call: Call) -> Result<Text, Problem> {
    Ok(Text { status: StatusCode::OK, kind: metrics::CONTENT_TYPE, text: call.admin.metrics.render() })
}
