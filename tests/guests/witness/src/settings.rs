//! What the guest asks for, from its configuration:
//! `{"name": "a", "request_headers": ["host"], "request_body": "streamed", "request_buffer": 1024, "wants": ["client"],
//! "answers": true, "replaces": true, "upper": true}`; each member may be left out.

use alloc::{borrow::ToOwned, string::String, string::ToString, vec::Vec};
use core::cell::OnceCell;

use serde_json::Value;

use crate::bindings::{BodyMode, Needs, Phases, Wants};

/// How this use of the guest behaves.
#[derive(Default)]
pub struct Settings {
    pub name: String,
    pub request_headers: Vec<String>,
    pub response_headers: Vec<String>,
    /// Answers every request with its testimony.
    pub answers: bool,
    /// Replaces every response by its testimony.
    pub replaces: bool,
    /// Writes bodies in capitals.
    pub upper: bool,
}

struct Configured(OnceCell<Settings>);

// SAFETY: a component without threads has one caller.
unsafe impl Sync for Configured {}

static SETTINGS: Configured = Configured(OnceCell::new());

/// The settings of this instance.
pub fn settings() -> &'static Settings {
    SETTINGS.0.get().expect("the gateway configures an instance before it calls it")
}

/// Takes the configuration.
pub fn configure(config: &str) -> Result<Needs, String> {
    let config: Value = serde_json::from_str(config).map_err(|error| error.to_string())?;
    let flag = |name: &str| config[name].as_bool().unwrap_or_default();
    let settings = Settings {
        name: config["name"].as_str().unwrap_or("witness").to_owned(),
        request_headers: words(&config["request_headers"]),
        response_headers: words(&config["response_headers"]),
        answers: flag("answers"),
        replaces: flag("replaces"),
        upper: flag("upper"),
    };
    let needs = Needs {
        phases: Phases::REQUEST | Phases::RESPONSE,
        request_headers: settings.request_headers.clone(),
        response_headers: settings.response_headers.clone(),
        request_body: body_mode(&config["request_body"], &config["request_buffer"]),
        response_body: body_mode(&config["response_body"], &config["response_buffer"]),
        body_types: words(&config["body_types"]),
        wants: wants(&config["wants"]),
    };
    SETTINGS.0.set(settings).map_err(|_| "configured twice".to_string())?;
    Ok(needs)
}

fn words(value: &Value) -> Vec<String> {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn body_mode(mode: &Value, buffer: &Value) -> BodyMode {
    match (mode.as_str(), buffer.as_u64()) {
        (Some("streamed"), _) => BodyMode::Streamed,
        (_, Some(bytes)) => BodyMode::Buffered(bytes as u32),
        _ => BodyMode::None,
    }
}

fn wants(value: &Value) -> Wants {
    words(value).iter().fold(Wants::empty(), |wants, word| {
        wants
            | match word.as_str() {
                "client" => Wants::CLIENT,
                "claims" => Wants::CLAIMS,
                "all-request-headers" => Wants::ALL_REQUEST_HEADERS,
                "all-response-headers" => Wants::ALL_RESPONSE_HEADERS,
                _ => Wants::empty(),
            }
    })
}
