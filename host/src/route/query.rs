//! Query conditions of a rule. Names and values are compared decoded, as forms write them.

use std::{fmt, iter};

use smallvec::SmallVec;

use super::{error::RuleError, pattern::Pattern};

/// A condition on the first value of one query parameter.
#[derive(Clone, Debug)]
pub struct QueryMatch {
    name: Box<str>,
    value: Value,
}

#[derive(Clone, Debug)]
enum Value {
    Present,
    Exact(Box<str>),
    Regex(Pattern),
}

impl QueryMatch {
    /// The parameter has this value.
    pub fn exact(name: &str, value: &str) -> Result<Self, RuleError> {
        Ok(Self { name: parse_name(name)?, value: Value::Exact(value.into()) })
    }

    /// The parameter has a value that the expression covers whole.
    pub fn regex(name: &str, pattern: &str) -> Result<Self, RuleError> {
        let (pattern, _) = Pattern::parse(pattern)?;
        Ok(Self { name: parse_name(name)?, value: Value::Regex(pattern) })
    }

    /// The parameter is there, with any value or none.
    pub fn present(name: &str) -> Result<Self, RuleError> {
        Ok(Self { name: parse_name(name)?, value: Value::Present })
    }

    /// The parameter's name, decoded.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the condition holds for an encoded query.
    pub fn matches(&self, query: Option<&str>) -> bool {
        let Some(value) = query.and_then(|query| first_value(query, &self.name)) else {
            return false;
        };
        match &self.value {
            Value::Present => true,
            Value::Exact(expected) => decoded_equals(value, expected),
            Value::Regex(pattern) => decoded_matches(value, pattern),
        }
    }
}

impl fmt::Display for QueryMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Value::Present => write!(f, "{} present", self.name),
            Value::Exact(value) => write!(f, "{} exact {value}", self.name),
            Value::Regex(pattern) => write!(f, "{} regex {}", self.name, pattern.as_str()),
        }
    }
}

fn parse_name(name: &str) -> Result<Box<str>, RuleError> {
    if name.is_empty() { Err(RuleError::EmptyQueryName) } else { Ok(name.into()) }
}

/// The encoded value of the first parameter of that name; one without `=` is empty.
fn first_value<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.into_iter().find(|(found, _)| decoded_equals(found, name)).map(|(_, value)| value)
}

fn decoded_equals(encoded: &str, text: &str) -> bool {
    decode(encoded).eq(text.bytes())
}

fn decoded_matches(encoded: &str, pattern: &Pattern) -> bool {
    if !encoded.contains(['%', '+']) {
        return pattern.matches(encoded.as_bytes());
    }
    let decoded: SmallVec<[u8; 256]> = decode(encoded).collect();
    pattern.matches(&decoded)
}

/// `+` is a space and `%41` an `A`; an escape that is none stands for itself.
fn decode(encoded: &str) -> impl Iterator<Item = u8> {
    let mut rest = encoded.as_bytes();
    iter::from_fn(move || {
        let (byte, after) = match rest {
            [] => return None,
            [b'+', after @ ..] => (b' ', after),
            [b'%', after @ ..] => escaped(after).unwrap_or((b'%', after)),
            [byte, after @ ..] => (*byte, after),
        };
        rest = after;
        Some(byte)
    })
}

fn escaped(rest: &[u8]) -> Option<(u8, &[u8])> {
    let (digits, after) = rest.split_first_chunk::<2>()?;
    Some((hex(digits[0])? << 4 | hex(digits[1])?, after))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rule: Result<QueryMatch, RuleError>, query: &str, expected: bool) {
        let rule = rule.unwrap();
        assert_eq!(rule.matches(Some(query)), expected, "{rule} and {query}");
        assert!(!rule.matches(None), "{rule} needs a query");
    }

    #[test]
    fn exact_compares_the_first_value_of_a_parameter() {
        check(QueryMatch::exact("a", "1"), "a=1", true);
        check(QueryMatch::exact("a", "1"), "b=2&a=1&c", true);
        check(QueryMatch::exact("a", "1"), "a=1&a=2", true);
        check(QueryMatch::exact("a", "2"), "a=1&a=2", false);
        check(QueryMatch::exact("a", "1"), "A=1", false);
        check(QueryMatch::exact("a", "1"), "aa=1", false);
        check(QueryMatch::exact("a", "1"), "a=11", false);
        check(QueryMatch::exact("a", "1"), "", false);
        check(QueryMatch::exact("a", "1=2"), "a=1=2", true);
        check(QueryMatch::exact("a", ""), "a", true);
        check(QueryMatch::exact("a", ""), "&&a=&", true);
        check(QueryMatch::exact("a", ""), "b", false);
    }

    #[test]
    fn names_and_values_are_compared_decoded() {
        check(QueryMatch::exact("a b", "c d"), "a+b=c%20d", true);
        check(QueryMatch::exact("a", "+"), "a=%2B", true);
        check(QueryMatch::exact("a", "+"), "a=+", false);
        check(QueryMatch::exact("a", "é"), "%61=%c3%A9", true);
        check(QueryMatch::exact("a", "1&b=2"), "a=1%26b=2", true);
        check(QueryMatch::exact("a", "100%"), "a=100%", true);
        check(QueryMatch::exact("a", "%4"), "a=%4", true);
        check(QueryMatch::exact("a", "%+1"), "a=%%2B1", true);
        check(QueryMatch::exact("a", "%zz"), "a=%zz", true);
    }

    #[test]
    fn regex_covers_the_decoded_value() {
        check(QueryMatch::regex("a", "[0-9]+"), "a=42", true);
        check(QueryMatch::regex("a", "[0-9]+"), "a=42x", false);
        check(QueryMatch::regex("a", "[0-9]+"), "a=x&a=42", false);
        check(QueryMatch::regex("a", "x y"), "a=x+y", true);
        check(QueryMatch::regex("a", "é{200}"), &format!("a={}", "%C3%A9".repeat(200)), true);
        check(QueryMatch::regex("a", ".*"), "b=1", false);
    }

    #[test]
    fn present_takes_any_value_and_none() {
        check(QueryMatch::present("a b"), "x=1&a+b=2", true);
        check(QueryMatch::present("a"), "a", true);
        check(QueryMatch::present("a"), "a=", true);
        check(QueryMatch::present("a"), "b=a", false);
        check(QueryMatch::present("a"), "", false);
    }

    #[test]
    fn a_parameter_needs_a_name_and_a_sound_expression() {
        assert_eq!(QueryMatch::exact("", "x").err(), Some(RuleError::EmptyQueryName), "no name");
        assert!(QueryMatch::regex("a", "[").is_err(), "a broken expression is refused");
    }
}
