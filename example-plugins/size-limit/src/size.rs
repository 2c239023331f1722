//! A number of bytes as the document writes it: `1MiB`, `500KB`, `4096`.

use alloc::format;
use alloc::string::String;

use serde::Deserialize;
use serde_json::Value;

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Value")]
pub struct Size(u64);

impl Size {
    /// The bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }

    fn from_text(text: &str) -> Option<Self> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let scale = match unit.trim_start_matches(' ') {
            "" | "B" => 1,
            "KB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return None,
        };
        number.parse::<u64>().ok()?.checked_mul(scale).map(Self)
    }
}

impl TryFrom<Value> for Size {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let size = match &value {
            Value::Number(number) => number.as_u64().map(Self),
            Value::String(text) => Self::from_text(text),
            _ => None,
        };
        size.ok_or_else(|| format!("got {value}, want a size such as 1MiB, 500KB or 4096"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(value: Value, expected: Option<u64>) {
        assert_eq!(Size::try_from(value.clone()).ok().map(Size::bytes), expected, "{value}");
    }

    #[test]
    fn a_size_is_a_number_and_perhaps_a_unit() {
        check(json!(4096), Some(4096));
        check(json!(0), Some(0));
        check(json!("4096"), Some(4096));
        check(json!("7B"), Some(7));
        check(json!("500KB"), Some(500_000));
        check(json!("1 MiB"), Some(1 << 20));
        check(json!("2GiB"), Some(2 << 30));
        for none in [json!(-1), json!(1.5), json!(""), json!("MiB"), json!("1mib"), json!("1.5MiB"), json!("99999999999GiB"), json!(null)] {
            check(none, None);
        }
    }
}
