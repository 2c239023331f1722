//! Measurements that are kept for the test to read.

use core::cell::RefCell;
use std::string::String;
use std::vec::Vec;

use crate::bindings::metrics::Label;

/// A call of `metrics::count`, `gauge` or `observe`.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// The metric's name.
    pub name: String,
    /// Its labels.
    pub labels: Vec<(String, String)>,
    /// What was counted, set or observed.
    pub value: f64,
}

std::thread_local! {
    static MEASUREMENTS: RefCell<Vec<Measurement>> = const { RefCell::new(Vec::new()) };
}

/// Takes what was measured so far.
#[must_use]
pub fn measurements() -> Vec<Measurement> {
    MEASUREMENTS.take()
}

pub(crate) fn count(name: &str, labels: &[Label], by: u64) {
    gauge(name, labels, by as f64);
}

pub(crate) fn observe(name: &str, labels: &[Label], value: f64) {
    gauge(name, labels, value);
}

pub(crate) fn gauge(name: &str, labels: &[Label], value: f64) {
    let labels = labels.iter().map(|label| (label.name.clone(), label.value.clone())).collect();
    let measurement = Measurement { name: name.into(), labels, value };
    MEASUREMENTS.with_borrow_mut(|measurements| measurements.push(measurement));
}
