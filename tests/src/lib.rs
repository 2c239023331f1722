//! The harness of the end-to-end tests: a real gateway process, origins that record every byte, clients that send
//! exact bytes. Nothing here knows the gateway's code; it knows its outer contract only.

pub mod authored;
pub mod bombs;
pub mod client;
pub mod clock;
pub mod collector;
pub mod dns;
pub mod files;
pub mod footprint;
pub mod frames;
pub mod gateway;
pub mod grpc;
pub mod guests;
pub mod http2;
pub mod http2_origin;
pub mod identity_provider;
pub mod latency;
pub mod lines;
pub mod load;
pub mod metrics;
pub mod origin;
pub mod registry;
pub mod request;
pub mod response;
pub mod rollouts;
pub mod sources;
pub mod streaming;
pub mod tls;
pub mod tokens;
pub mod wire;

pub use client::{Client, ask};
pub use dns::NameServer;
pub use gateway::{Gateway, Reload, Setup};
pub use identity_provider::IdentityProvider;
pub use load::Load;
pub use origin::{Answer, Origin, OriginProcess};
pub use registry::Registry;
pub use request::{Request, get, request};
pub use response::Response;
