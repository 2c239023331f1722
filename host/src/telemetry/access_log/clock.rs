//! The clock: times as RFC 3339 text. A worker logs thousands of requests a second, so the second is formatted once.

use std::time::{SystemTime, UNIX_EPOCH};

const SECONDS_A_DAY: u64 = 86_400;

/// The last second, formatted.
pub struct Clock {
    second: u64,
    /// `2026-11-24T08:48:06`
    text: [u8; 19],
}

impl Clock {
    /// Writes a time in UTC with milliseconds.
    pub fn write(&mut self, out: &mut Vec<u8>, time: SystemTime) {
        // A clock set before 1970 is wrong anyway; no line is lost over it.
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        if since.as_secs() != self.second {
            self.second = since.as_secs();
            self.text = format_second(self.second);
        }
        let millis = since.subsec_millis();
        out.extend_from_slice(&self.text);
        out.extend_from_slice(&[b'.', digit(millis / 100), digit(millis / 10), digit(millis), b'Z']);
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self { second: 0, text: format_second(0) }
    }
}

fn format_second(second: u64) -> [u8; 19] {
    let (year, month, day) = date(second / SECONDS_A_DAY);
    let time = second % SECONDS_A_DAY;
    let mut text = *b"0000-00-00T00:00:00";
    put(&mut text[..4], year);
    put(&mut text[5..7], month);
    put(&mut text[8..10], day);
    put(&mut text[11..13], time / 3600);
    put(&mut text[14..16], time / 60 % 60);
    put(&mut text[17..], time % 60);
    text
}

/// Year, month and day of a day counted from 1970-01-01 (Howard Hinnant's `civil_from_days`).
fn date(day: u64) -> (u64, u64, u64) {
    // Years begin in March here, so that the leap day is the last of its year.
    let day = day + 719_468;
    let (era, day_of_era) = (day / 146_097, day % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year_of_era + next_year, month, day_of_month)
}

/// Writes a number over all of `out`, with leading zeros.
fn put(out: &mut [u8], mut number: u64) {
    for place in out.iter_mut().rev() {
        *place = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

fn digit(number: u32) -> u8 {
    b'0' + (number % 10) as u8
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[track_caller]
    fn check(clock: &mut Clock, millis: u64, expected: &str) {
        let mut out = Vec::new();
        clock.write(&mut out, UNIX_EPOCH + Duration::from_millis(millis));
        assert_eq!(String::from_utf8(out).unwrap(), expected, "{millis} ms after 1970");
    }

    #[test]
    fn times_are_written_as_in_the_calendar() {
        // Expected values from `date -u --date=@SECONDS`.
        let clock = &mut Clock::default();
        check(clock, 0, "1970-01-01T00:00:00.000Z");
        check(clock, 951_782_399_999, "2000-02-28T23:59:59.999Z");
        check(clock, 951_782_400_000, "2000-02-29T00:00:00.000Z");
        check(clock, 951_868_800_010, "2000-03-01T00:00:00.010Z");
        check(clock, 1_735_689_599_100, "2024-12-31T23:59:59.100Z");
        check(clock, 1_735_689_600_100, "2025-01-01T00:00:00.100Z");
        check(clock, 1_795_510_086_007, "2026-11-24T08:48:06.007Z");
        check(clock, 4_107_542_400_000, "2100-03-01T00:00:00.000Z");
    }

    #[test]
    fn milliseconds_change_within_the_kept_second() {
        let clock = &mut Clock::default();
        check(clock, 1_000_001, "1970-01-01T00:16:40.001Z");
        check(clock, 1_000_987, "1970-01-01T00:16:40.987Z");
    }

    #[test]
    fn a_time_before_1970_is_written_as_the_first() {
        let mut out = Vec::new();
        Clock::default().write(&mut out, UNIX_EPOCH - Duration::from_secs(1));
        assert_eq!(out, b"1970-01-01T00:00:00.000Z", "no panic and no lost line");
    }
}
