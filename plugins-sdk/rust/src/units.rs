//! Sizes and times in a configuration, as the gateway's own document writes them: `1MiB`, `800ms`.

use alloc::format;
use alloc::string::String;
use core::time::Duration;

use serde::Deserialize;
use serde_json::Value;

/// A number of bytes: `1MiB`, `500KB`, or a plain number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "Value")]
pub struct Size(u64);

/// A length of time above zero: `800ms`, `2s`, `1m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Period(Duration);

const SIZES: &[(&str, u64)] =
    &[("", 1), ("B", 1), ("KB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
const PERIODS: &[(&str, u64)] = &[("ms", 1), ("s", 1_000), ("m", 60_000)];

impl Size {
    /// So many bytes.
    #[must_use]
    pub const fn of(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl Period {
    /// So long.
    #[must_use]
    pub const fn of(duration: Duration) -> Self {
        Self(duration)
    }

    /// The time.
    #[must_use]
    pub fn duration(self) -> Duration {
        self.0
    }
}

impl TryFrom<Value> for Size {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let bytes = match &value {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => scaled(text, SIZES),
            _ => None,
        };
        bytes.map(Self).ok_or_else(|| format!("got {value}, want a size such as 1MiB, 500KB or 4096"))
    }
}

impl TryFrom<String> for Period {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let millis = scaled(&text, PERIODS).filter(|&millis| millis > 0);
        let period = millis.map(|millis| Self(Duration::from_millis(millis)));
        period.ok_or_else(|| format!("got {text:?}, want a time such as 800ms, 2s or 1m"))
    }
}

fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, scale) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_period(text: &str, expected: Option<u64>) {
        let period = Period::try_from(String::from(text)).ok();
        assert_eq!(period.map(Period::duration), expected.map(Duration::from_millis), "{text:?}");
    }

    #[test]
    fn a_time_is_a_number_and_a_unit() {
        check_period("800ms", Some(800));
        check_period("2s", Some(2_000));
        check_period("1m", Some(60_000));
        check_period("0s", None);
        check_period("2", None);
        check_period("s", None);
        check_period("-1s", None);
        check_period("1.5s", None);
        check_period("18446744073709551615m", None);
    }

    #[track_caller]
    fn check_size(value: impl Into<Value>, expected: Option<u64>) {
        let value = value.into();
        assert_eq!(Size::try_from(value.clone()).ok().map(Size::bytes), expected, "{value}");
    }

    #[test]
    fn a_size_is_a_number_with_or_without_a_unit() {
        check_size(4096, Some(4096));
        check_size("4096", Some(4096));
        check_size("1MiB", Some(1 << 20));
        check_size("500KB", Some(500_000));
        check_size("0B", Some(0));
        check_size("1 MiB", None);
        check_size("1mib", None);
        check_size(-1, None);
        check_size("99999999999GiB", None);
    }
}
