//! Metrics of the plugin's own, published at `/metrics` as `gatehouse_plugin_<name>`.
//! Names and labels match `[a-z][a-z0-9_]*`; a bad name drops the measurement.

use alloc::vec::Vec;

use crate::bindings::metrics as raw;
#[cfg(target_family = "wasm")]
use crate::bindings::metrics as host;
#[cfg(not(target_family = "wasm"))]
use crate::testing::fake::metrics as host;

/// Adds to a counter. Its published name ends in `_total`.
pub fn count(name: &str, labels: &[(&str, &str)], by: u64) {
    host::count(name, &raw_labels(labels), by);
}

/// Sets a gauge.
pub fn gauge(name: &str, labels: &[(&str, &str)], value: f64) {
    host::gauge(name, &raw_labels(labels), value);
}

/// Observes a value in a histogram; seconds for durations.
pub fn observe(name: &str, labels: &[(&str, &str)], value: f64) {
    host::observe(name, &raw_labels(labels), value);
}

fn raw_labels(labels: &[(&str, &str)]) -> Vec<raw::Label> {
    labels.iter().map(|&(name, value)| raw::Label { name: name.into(), value: value.into() }).collect()
}
