//! Settings of traces, from the document's to the ones that run.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use crate::config::document::{Otlp, Traces, TrustParent};
use crate::telemetry::traces::otlp::Collector;
use crate::telemetry::traces::sampler::Sampler;
use crate::telemetry::traces::{Parents, Settings};

/// How the gateway traces. None with a URL that is none, which the check of the document has found.
pub fn traces(configured: &Traces) -> Option<Settings> {
    let parents = match configured.trust_parent {
        TrustParent::Always => Parents::Always,
        TrustParent::Proxies => Parents::Proxies,
        TrustParent::Never => Parents::Never,
    };
    let collector = Collector {
        url: url(&configured.otlp.endpoint)?,
        headers: headers(&configured.otlp),
        timeout: configured.otlp.timeout.into(),
        service_name: configured.service_name.clone(),
    };
    Some(Settings { sampler: Sampler::new(configured.sample.ratio()), parents, collector: Arc::new(collector) })
}

/// As OpenTelemetry's exporters do it: a base gets the path of the signal.
fn url(endpoint: &str) -> Option<Uri> {
    const PATH: &str = "/v1/traces";
    let base = endpoint.trim_end_matches('/');
    let whole = if base.ends_with(PATH) { base.to_owned() } else { format!("{base}{PATH}") };
    whole.parse().ok()
}

fn headers(otlp: &Otlp) -> HeaderMap {
    let parsed = otlp.headers.iter().filter_map(|(name, value)| {
        let mut value = HeaderValue::from_str(value).ok()?;
        value.set_sensitive(true);
        Some((name.parse::<HeaderName>().ok()?, value))
    });
    parsed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_gets_the_path_of_traces() {
        for (endpoint, expected) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("http://127.0.0.1:4318/", "http://127.0.0.1:4318/v1/traces"),
            ("https://otel.example/base", "https://otel.example/base/v1/traces"),
            ("https://otel.example/v1/traces", "https://otel.example/v1/traces"),
        ] {
            assert_eq!(url(endpoint).map(|url| url.to_string()).as_deref(), Some(expected), "{endpoint}");
        }
    }
}
