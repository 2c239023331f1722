//! Values that are written as text with a unit: `10ms`, `32MiB`, `20%`.
//! Each knows how to read and print itself and describes itself in the JSON Schema.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};

use super::text::{Text, text};

/// A length of time, written `10ms`, `1s`, `5m` or `1m30s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period(Duration);

/// A number of bytes, written `32MiB`, `10KB` or as a plain number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(u64);

/// A share between nothing and all, written `20%`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Percent(f64);

// === impl Period ===

// Longest first, so that each value prints in the largest unit that holds it whole.
const PERIOD_UNITS: [(&str, u64); 6] =
    [("d", 86_400_000_000), ("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1_000), ("us", 1)];

impl Period {
    /// So many milliseconds.
    pub const fn millis(count: u64) -> Self {
        Period(Duration::from_millis(count))
    }

    /// So many seconds.
    pub const fn secs(count: u64) -> Self {
        Period(Duration::from_secs(count))
    }

    /// The same as a `Duration`.
    pub const fn get(self) -> Duration {
        self.0
    }

    /// Whether it lasts no time at all (`0s`).
    pub const fn is_zero(self) -> bool {
        self.0.is_zero()
    }
}

impl From<Duration> for Period {
    fn from(duration: Duration) -> Period {
        Period(duration)
    }
}

impl From<Period> for Duration {
    fn from(period: Period) -> Duration {
        period.0
    }
}

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("empty".into());
        }
        let mut rest = text;
        let mut micros: u64 = 0;
        while !rest.is_empty() {
            let (count, after) = leading_number(rest)?;
            let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
            let (unit, after) = after.split_at(end);
            let scale = period_scale(unit)?;
            micros = count.checked_mul(scale).and_then(|part| micros.checked_add(part)).ok_or("too long")?;
            rest = after;
        }
        Ok(Period(Duration::from_micros(micros)))
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.as_micros();
        let whole = PERIOD_UNITS.iter().find(|(_, scale)| micros > 0 && micros.is_multiple_of(u128::from(*scale)));
        match whole {
            Some((unit, scale)) => write!(f, "{}{unit}", micros / u128::from(*scale)),
            None => f.write_str("0s"),
        }
    }
}

fn leading_number(text: &str) -> Result<(u64, &str), String> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let number = digits.parse().map_err(|_| if digits.is_empty() { "not a number" } else { "too large" })?;
    Ok((number, rest))
}

fn period_scale(unit: &str) -> Result<u64, String> {
    match PERIOD_UNITS.iter().find(|(name, _)| *name == unit) {
        Some((_, scale)) => Ok(*scale),
        None if unit.is_empty() => Err("the unit is missing".into()),
        None => Err(format!("unknown unit {unit}")),
    }
}

text!(Period, "gatehouse-duration", "a duration such as 10ms, 1s or 5m");

// === impl Size ===

const SIZE_UNITS: [(&str, u64); 7] =
    [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("GB", 1_000_000_000), ("MB", 1_000_000), ("KB", 1_000), ("B", 1)];

impl Size {
    /// So many bytes.
    pub const fn bytes(count: u64) -> Self {
        Size(count)
    }

    /// So many kibibytes.
    pub const fn kib(count: u64) -> Self {
        Size(count << 10)
    }

    /// So many mebibytes.
    pub const fn mib(count: u64) -> Self {
        Size(count << 20)
    }

    /// The number of bytes.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The number of bytes as a length in memory, capped at the largest this machine has.
    pub fn as_len(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (count, unit) = leading_number(text)?;
        let unit = unit.trim_start();
        if unit.is_empty() {
            return Ok(Size(count));
        }
        let (_, scale) = SIZE_UNITS.iter().find(|(name, _)| *name == unit).ok_or(format!("unknown unit {unit}"))?;
        count.checked_mul(*scale).map(Size).ok_or("too large".into())
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = SIZE_UNITS.iter().find(|(_, scale)| self.0 > 0 && self.0.is_multiple_of(*scale));
        match whole {
            Some((unit, scale)) => write!(f, "{}{unit}", self.0 / scale),
            None => f.write_str("0B"),
        }
    }
}

impl Text for Size {
    const FORMAT: &'static str = "gatehouse-size";
    const WANT: &'static str = "a size such as 32MiB, 10KB or 4096";
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SizeVisitor;

        impl Visitor<'_> for SizeVisitor {
            type Value = Size;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(Size::WANT)
            }

            fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<Size, E> {
                Ok(Size(bytes))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Size, E> {
                text.parse().map_err(|reason| E::custom(format!("{text:?}: {reason}; want {}", Size::WANT)))
            }
        }

        deserializer.deserialize_any(SizeVisitor)
    }
}

impl serde::Serialize for Size {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl schemars::JsonSchema for Size {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": ["string", "integer"], "minimum": 0, "format": Size::FORMAT, "description": Size::WANT,
        })
    }
}

// === impl Percent ===

impl Percent {
    /// So many hundredths.
    pub const fn of(hundredths: f64) -> Self {
        Percent(hundredths)
    }

    /// The share as a number between 0 and 1.
    pub fn ratio(self) -> f64 {
        self.0 / 100.0
    }
}

impl FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_suffix('%').ok_or("the % sign is missing")?;
        if !number.chars().all(|c| c.is_ascii_digit() || c == '.') {
            return Err("not a number".into());
        }
        let hundredths: f64 = number.parse().map_err(|_| "not a number")?;
        if hundredths > 100.0 {
            return Err("more than 100%".into());
        }
        Ok(Percent(hundredths))
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

text!(Percent, "gatehouse-percent", "a percentage such as 20%");

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn reads(text: &str, micros: u64, printed: &str) {
        let period: Period = text.parse().expect("a good period");
        assert_eq!(period.get(), Duration::from_micros(micros), "the length of {text}");
        assert_eq!(period.to_string(), printed, "how {text} prints");
    }

    #[test]
    fn periods_read_and_print_in_their_largest_whole_unit() {
        reads("10ms", 10_000, "10ms");
        reads("1s", 1_000_000, "1s");
        reads("1000ms", 1_000_000, "1s");
        reads("5m", 300_000_000, "5m");
        reads("1m30s", 90_000_000, "90s");
        reads("250us", 250, "250us");
        reads("0s", 0, "0s");
    }

    #[test]
    fn periods_without_a_unit_or_with_nonsense_are_refused() {
        for (text, reason) in [
            ("", "empty"),
            ("10", "the unit is missing"),
            ("s", "not a number"),
            ("10 s", "unknown unit  s"),
            ("-1s", "not a number"),
            ("1.5s", "unknown unit ."),
            ("99999999999999d", "too long"),
            ("99999999999999999999s", "too large"),
        ] {
            assert_eq!(text.parse::<Period>(), Err(reason.to_string()), "reading {text:?}");
        }
    }

    #[test]
    fn sizes_read_binary_and_decimal_units_and_plain_numbers() {
        for (text, bytes) in [("32MiB", 33_554_432), ("10KB", 10_000), ("4096", 4096), ("1 GiB", 1 << 30), ("7B", 7)] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "reading {text:?}");
        }
        for text in ["", "MiB", "1.5MiB", "10mb", "-1", "99999999999GiB"] {
            assert!(text.parse::<Size>().is_err(), "{text:?} is not a size");
        }
        assert_eq!(serde_json::from_str::<Size>("4096").expect("a plain number"), Size(4096), "a JSON number is bytes");
        assert_eq!(Size::kib(64).to_string(), "64KiB", "prints in the largest whole unit");
    }

    #[test]
    fn percentages_stay_between_nothing_and_all() {
        assert_eq!("20%".parse(), Ok(Percent(20.0)), "a whole number");
        assert_eq!("2.5%".parse::<Percent>().map(Percent::ratio), Ok(0.025), "a fraction");
        for text in ["20", "%", "-1%", "101%", "NaN%", "1e1%"] {
            assert!(text.parse::<Percent>().is_err(), "{text:?} is not a percentage");
        }
    }
}
