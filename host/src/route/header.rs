//! Header conditions of a rule. Names in any case; values as bytes.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;

use super::{error::RuleError, pattern::Pattern};

/// A condition on one header. Lines of the same name count as one value, joined by `, ` as RFC 9110 §5.3 has it.
#[derive(Clone, Debug)]
pub struct HeaderMatch {
    name: HeaderName,
    value: Value,
}

#[derive(Clone, Debug)]
enum Value {
    Exact(HeaderValue),
    Regex(Pattern),
    Present,
}

const SEPARATOR: &[u8] = b", ";

impl HeaderMatch {
    /// The header has this value.
    pub fn exact(name: &str, value: &str) -> Result<Self, RuleError> {
        let name = parse_name(name)?;
        // Spaces at either end are no part of a value on the wire.
        let trimmed = value.trim_matches([' ', '\t']) == value;
        match HeaderValue::from_str(value) {
            Ok(value) if trimmed => Ok(Self { name, value: Value::Exact(value) }),
            _ => Err(RuleError::BadHeaderValue { name: name.to_string(), value: value.into() }),
        }
    }

    /// The header has a value that the expression covers whole.
    pub fn regex(name: &str, pattern: &str) -> Result<Self, RuleError> {
        let (pattern, _) = Pattern::parse(pattern)?;
        Ok(Self { name: parse_name(name)?, value: Value::Regex(pattern) })
    }

    /// The header is there, with any value.
    pub fn present(name: &str) -> Result<Self, RuleError> {
        Ok(Self { name: parse_name(name)?, value: Value::Present })
    }

    /// The header's name.
    pub fn name(&self) -> &HeaderName {
        &self.name
    }

    /// Whether the condition holds.
    pub fn matches(&self, headers: &HeaderMap) -> bool {
        match &self.value {
            Value::Present => headers.contains_key(&self.name),
            Value::Exact(value) => joined_equals(headers, &self.name, value.as_bytes()),
            Value::Regex(pattern) => joined_matches(headers, &self.name, pattern),
        }
    }
}

impl fmt::Display for HeaderMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Value::Present => write!(f, "{} present", self.name),
            Value::Exact(value) => write!(f, "{} exact {}", self.name, String::from_utf8_lossy(value.as_bytes())),
            Value::Regex(pattern) => write!(f, "{} regex {}", self.name, pattern.as_str()),
        }
    }
}

fn parse_name(name: &str) -> Result<HeaderName, RuleError> {
    name.parse().map_err(|_| RuleError::BadHeaderName(name.into()))
}

fn joined_equals(headers: &HeaderMap, name: &HeaderName, expected: &[u8]) -> bool {
    let mut lines = headers.get_all(name).iter();
    let Some(first) = lines.next() else { return false };
    let rest = lines.try_fold(expected.strip_prefix(first.as_bytes()), |rest, line| {
        let rest = rest?.strip_prefix(SEPARATOR)?;
        Some(rest.strip_prefix(line.as_bytes()))
    });
    rest.flatten().is_some_and(<[u8]>::is_empty)
}

fn joined_matches(headers: &HeaderMap, name: &HeaderName, pattern: &Pattern) -> bool {
    let mut lines = headers.get_all(name).iter();
    let Some(first) = lines.next() else { return false };
    let Some(second) = lines.next() else { return pattern.matches(first.as_bytes()) };
    let mut joined = SmallVec::<[u8; 512]>::from_slice(first.as_bytes());
    for line in [second].into_iter().chain(lines) {
        joined.extend_from_slice(SEPARATOR);
        joined.extend_from_slice(line.as_bytes());
    }
    pattern.matches(&joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &[u8])]) -> HeaderMap {
        let line = |(name, value): &(&'static str, &[u8])| (HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap());
        let mut headers = HeaderMap::new();
        for (name, value) in lines.iter().map(line) {
            headers.append(name, value);
        }
        headers
    }

    #[track_caller]
    fn check(rule: Result<HeaderMatch, RuleError>, lines: &[(&'static str, &[u8])], expected: bool) {
        let rule = rule.unwrap();
        assert_eq!(rule.matches(&headers(lines)), expected, "{rule} and {lines:?}");
    }

    #[test]
    fn exact_compares_the_value_with_its_case_and_the_name_without() {
        check(HeaderMatch::exact("X-Tier", "gold"), &[("x-tier", b"gold")], true);
        check(HeaderMatch::exact("x-tier", "gold"), &[("x-tier", b"Gold")], false);
        check(HeaderMatch::exact("x-tier", "gold"), &[("x-tier", b"golden")], false);
        check(HeaderMatch::exact("x-tier", "gold"), &[("x-tier", b"gol")], false);
        check(HeaderMatch::exact("x-tier", "gold"), &[("x-other", b"gold")], false);
        check(HeaderMatch::exact("x-tier", ""), &[("x-tier", b"")], true);
        check(HeaderMatch::exact("x-tier", ""), &[], false);
    }

    #[test]
    fn repeated_lines_are_one_value() {
        let lines: [(&str, &[u8]); 2] = [("x-tier", b"gold"), ("x-tier", b"new")];
        check(HeaderMatch::exact("x-tier", "gold, new"), &lines, true);
        check(HeaderMatch::exact("x-tier", "gold"), &lines, false);
        check(HeaderMatch::exact("x-tier", "new"), &lines, false);
        check(HeaderMatch::exact("x-tier", "gold, new, x"), &lines, false);
        check(HeaderMatch::regex("x-tier", "gold, n.w"), &lines, true);
        check(HeaderMatch::regex("x-tier", "gold"), &lines, false);
        let long = [b'a'; 600];
        check(HeaderMatch::regex("x-tier", "a{600}, a{600}"), &[("x-tier", &long), ("x-tier", &long)], true);
    }

    #[test]
    fn regex_covers_the_value_and_present_takes_any() {
        check(HeaderMatch::regex("x-tier", "go.*"), &[("x-tier", b"gold")], true);
        check(HeaderMatch::regex("x-tier", "ol"), &[("x-tier", b"gold")], false);
        check(HeaderMatch::regex("x-tier", ".*"), &[], false);
        check(HeaderMatch::present("x-tier"), &[("x-tier", b"")], true);
        check(HeaderMatch::present("x-tier"), &[("x-tier", b"\xff")], true);
        check(HeaderMatch::present("x-tier"), &[("x-other", b"a")], false);
        check(HeaderMatch::regex("x-tier", "(?-u:\\xff)"), &[("x-tier", b"\xff")], true);
    }

    #[test]
    fn names_and_values_that_no_request_has_are_refused() {
        for name in ["", "a b", "é", "a:"] {
            assert_eq!(HeaderMatch::present(name).err(), Some(RuleError::BadHeaderName(name.into())), "{name:?}");
        }
        for value in [" a", "a ", "a\tb\t", "a\nb", "a\0"] {
            let expected = RuleError::BadHeaderValue { name: "x-a".into(), value: value.into() };
            assert_eq!(HeaderMatch::exact("X-A", value).err(), Some(expected), "{value:?}");
        }
        assert!(HeaderMatch::regex("x-a", "(").is_err(), "a broken expression is refused");
    }
}
