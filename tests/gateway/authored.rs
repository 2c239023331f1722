//! Plugins in JavaScript and Python: what their SDKs promise beyond the conformance kit, the examples, and what a bad one
//! of them costs the others.

mod examples;
mod from_nothing;
mod hostile;
mod promises;
