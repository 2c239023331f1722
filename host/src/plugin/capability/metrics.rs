//! `metrics`: measurements of the plugin's own.

use crate::plugin::bindings::gatehouse::plugin::metrics::{Host, Label};
use crate::plugin::state::HostState;

impl Host for HostState {
    fn count(&mut self, name: String, labels: Vec<Label>, by: u64) -> wasmtime::Result<()> {
        self.count_host_call()?;
        self.plugin.metrics.count(&name, &pairs(&labels), by);
        Ok(())
    }

    fn gauge(&mut self, name: String, labels: Vec<Label>, value: f64) -> wasmtime::Result<()> {
        self.count_host_call()?;
        self.plugin.metrics.gauge(&name, &pairs(&labels), value);
        Ok(())
    }

    fn observe(&mut self, name: String, labels: Vec<Label>, value: f64) -> wasmtime::Result<()> {
        self.count_host_call()?;
        self.plugin.metrics.observe(&name, &pairs(&labels), value);
        Ok(())
    }
}

fn pairs(labels: &[Label]) -> Vec<(&str, &str)> {
    labels.iter().map(|label| (label.name.as_str(), label.value.as_str())).collect()
}
