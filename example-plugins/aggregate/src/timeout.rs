//! A time limit as the document writes it: `800ms`, `2s`, `1m`.

use alloc::format;
use alloc::string::String;
use core::time::Duration;

use serde::Deserialize;

/// A time limit above zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Timeout(Duration);

impl Timeout {
    /// The limit.
    pub fn into_duration(self) -> Duration {
        self.0
    }
}

impl TryFrom<String> for Timeout {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let millis = match unit {
            "ms" => Some(1),
            "s" => Some(1000),
            "m" => Some(60_000),
            _ => None,
        };
        let number = number.parse::<u64>().ok().filter(|&number| number > 0);
        let duration = number.zip(millis).and_then(|(number, millis)| number.checked_mul(millis));
        match duration {
            Some(millis) => Ok(Self(Duration::from_millis(millis))),
            None => Err(format!("timeout: got {text:?}, want a time such as 800ms, 2s or 1m")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<Duration>) {
        assert_eq!(Timeout::try_from(String::from(text)).ok().map(Timeout::into_duration), expected, "{text:?}");
    }

    #[test]
    fn a_time_is_a_number_and_a_unit() {
        check("800ms", Some(Duration::from_millis(800)));
        check("2s", Some(Duration::from_secs(2)));
        check("1m", Some(Duration::from_secs(60)));
        check("0s", None);
        check("2", None);
        check("s", None);
        check("-1s", None);
        check("1.5s", None);
        check("18446744073709551615m", None);
    }
}
