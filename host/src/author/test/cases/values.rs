//! Values in cases: text, lines of headers, bodies.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// Bytes: text as it is, JSON, or base64.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Content {
    /// Text.
    Text(Text),
    /// A JSON value.
    Json {
        /// The value.
        json: Value,
    },
    /// Bytes.
    Base64 {
        /// In base64.
        base64: String,
    },
}

/// What bytes are to be.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Expected {
    /// A part of it.
    Contains {
        /// The part.
        contains: String,
    },
    /// All of it. JSON may be written in any way.
    Content(Content),
}

/// The lines of a header, or one of them.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Lines {
    /// One line.
    One(Text),
    /// One, in base64.
    Base64 {
        /// In base64.
        base64: String,
    },
    /// Several.
    Many(Vec<Text>),
}

/// Text. A number or a truth value is text as well: `x-limit: 5` needs no quotes.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Text {
    /// Text.
    Text(String),
    /// A number.
    Number(serde_json::Number),
    /// True or false.
    Truth(bool),
}

impl std::fmt::Display for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Text::Text(text) => f.write_str(text),
            Text::Number(number) => number.fmt(f),
            Text::Truth(truth) => truth.fmt(f),
        }
    }
}
