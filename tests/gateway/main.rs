//! The gateway as its users meet it: one module for each theme, every test through the front door.
//! `make test` builds the binary and the guests first.

mod access_log;
mod bad_heads;
mod bodies;
mod built_ins;
mod client_credentials;
mod clients;
mod command_line;
mod drain;
mod early_answers;
mod endpoints;
mod forwarding;
mod hostile;
mod http2;
mod identity_provider;
mod introspection;
mod issuers;
mod limits;
mod limits_concurrency;
mod limits_quota;
mod limits_size;
mod metrics;
mod plugins;
mod problems;
mod reload;
mod routing;
mod scale;
mod tidy;
mod tls;
mod token_attacks;
mod traces;
mod wasi;
