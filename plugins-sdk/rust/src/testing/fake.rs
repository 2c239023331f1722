//! Fakes of the capabilities, one file each, with the signatures of the raw imports. Their state belongs to the thread.

pub(crate) mod http;
pub(crate) mod introspection;
pub(crate) mod jwt;
pub(crate) mod keys;
pub(crate) mod kv;
pub(crate) mod log;
pub(crate) mod metrics;
pub(crate) mod rate_limit;
pub(crate) mod time;
