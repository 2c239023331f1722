//! A rate as the document writes it: `100` a second, or `"100/m"`.

use alloc::format;
use alloc::string::String;

use serde::Deserialize;
use serde_json::Value;

/// Tokens in a time: more than 0 and at most 1e9 a second.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Value")]
pub struct Rate {
    tokens: f64,
    seconds: f64,
}

const WANT: &str = "want > 0 and at most 1e9 a second, or a text such as \"100/m\" (s, m, h or d)";

impl Rate {
    /// Tokens a second.
    pub fn per_second(self) -> f64 {
        self.tokens / self.seconds
    }

    /// The tokens of its own time, at least one: what a bucket holds that was given no size.
    pub fn burst(self) -> u32 {
        u32::try_from(rounded_up(self.tokens).max(1)).unwrap_or(u32::MAX)
    }

    fn new(tokens: f64, seconds: f64) -> Option<Self> {
        let rate = Self { tokens, seconds };
        (rate.per_second() > 0.0 && rate.per_second() <= 1e9).then_some(rate)
    }

    fn from_text(text: &str) -> Option<Self> {
        let (tokens, unit) = text.split_once('/')?;
        let seconds = match unit.trim() {
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        Self::new(tokens.trim().parse().ok()?, seconds)
    }
}

impl TryFrom<Value> for Rate {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let rate = match &value {
            Value::Number(number) => number.as_f64().and_then(|tokens| Self::new(tokens, 1.0)),
            Value::String(text) => Self::from_text(text),
            _ => None,
        };
        rate.ok_or_else(|| format!("rate: got {value}, {WANT}"))
    }
}

/// The next whole number. `f64::ceil` belongs to std.
pub fn rounded_up(number: f64) -> u64 {
    let whole = number as u64;
    whole.saturating_add(u64::from((whole as f64) < number))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(value: Value, expected: Option<(f64, u32)>) {
        let rate = Rate::try_from(value.clone()).ok().map(|rate| (rate.per_second(), rate.burst()));
        assert_eq!(rate, expected, "{value}");
    }

    #[test]
    fn a_rate_is_a_number_a_second_or_a_number_in_a_time() {
        check(json!(100), Some((100.0, 100)));
        check(json!(2.5), Some((2.5, 3)));
        check(json!(0.01), Some((0.01, 1)));
        check(json!("90/m"), Some((1.5, 90)));
        check(json!("1.5/s"), Some((1.5, 2)));
        check(json!("36 / h"), Some((0.01, 36)));
        check(json!("86400/d"), Some((1.0, 86_400)));
        for none in
            [json!(0), json!(-1), json!(1e10), json!("100"), json!("100/w"), json!("/m"), json!("nan/s"), json!("inf/s"), json!(null)]
        {
            check(none, None);
        }
    }
}
