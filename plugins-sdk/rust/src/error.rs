//! The one error a plugin returns: a sentence. In `new` it refuses the configuration, in a phase it is a fault.

use alloc::string::{String, ToString};
use core::fmt::Display;

/// A sentence that says what went wrong, for the operator and the log. The client never reads it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

/// What most functions of a plugin return.
pub type Result<T, E = Error> = core::result::Result<T, E>;

impl Error {
    /// An error that reads like `reason`.
    pub fn new(reason: impl Display) -> Self {
        Self(reason.to_string())
    }

    #[cfg(target_family = "wasm")]
    pub(crate) fn into_string(self) -> String {
        self.0
    }
}

impl From<&str> for Error {
    fn from(reason: &str) -> Self {
        Self(reason.into())
    }
}

impl From<String> for Error {
    fn from(reason: String) -> Self {
        Self(reason)
    }
}

impl From<serde_json::Error> for Error {
    /// The position is left out: the gateway writes the JSON, so its lines and columns mean nothing to anybody.
    fn from(error: serde_json::Error) -> Self {
        let text = error.to_string();
        match text.rfind(" at line ") {
            Some(end) => Self(text[..end].into()),
            None => Self(text),
        }
    }
}

macro_rules! from_capability_errors {
    ($($error:ty),+) => {$(
        impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::new(error)
            }
        }
    )+};
}

from_capability_errors!(
    core::str::Utf8Error,
    crate::http::Error,
    crate::introspection::Refusal,
    crate::json::PathError,
    crate::jwt::Refusal,
    crate::kv::Error
);
