//! Test a plugin without a gateway: configure it, send it requests, script what its capabilities answer.
//! The fakes belong to the thread, so tests do not meet. Not here: limits, grants and faults; `gatehouse plugin test`
//! runs the component in the real host for those.
//!
//! ```
//! # use gatehouse_plugin::{NoConfig, Plugin, Request, Result, Verdict, next, testing};
//! # struct Hello;
//! # impl Plugin for Hello {
//! #     type Config = NoConfig;
//! #     fn new(_: NoConfig) -> Result<Self> { Ok(Self) }
//! #     fn on_request(&self, _: Request) -> Result<Verdict> { Ok(next().set_header("x-hello", "world").into()) }
//! # }
//! let plugin = testing::configure::<Hello>("{}").unwrap();
//! let forwarded = plugin.send(testing::Request::get("/")).forwarded();
//! assert_eq!(forwarded.header("x-hello"), Some("world"));
//! ```

pub(crate) mod fake;

mod answer;
mod edit;
mod outcome;
mod request;
mod tested;

pub use answer::Answer;
pub use fake::http::http;
pub use fake::introspection::introspection;
pub use fake::jwt::{Token, jwt};
pub use fake::keys::{key, plan};
pub use fake::log::{Level, logs};
pub use fake::metrics::{Measurement, measurements};
pub use fake::time::advance;
pub use outcome::{Forwarded, Outcome};
pub use request::Request;
pub use tested::{Tested, configure};
