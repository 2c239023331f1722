//! Telemetry: what the gateway tells the people who run it, as metrics, access log, traces and diagnostic log.
//! Nothing here names a request or a plugin type of the rest of the gateway; callers bring plain values.

pub mod access_log;
pub mod log;
pub mod metrics;
pub mod request_id;
pub mod traces;

pub use access_log::{AccessLog, WorkerLog};
pub use metrics::{Metrics, WorkerMetrics};
pub use request_id::{RequestId, RequestIds};
pub use traces::WorkerTraces;
