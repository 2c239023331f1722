//! Regular expressions that cover a whole value, and the literal text that each of their matches starts with.
//! The engine is linear in the input, so a request cannot make one slow.

use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::hir::{Hir, HirKind};

use super::error::RuleError;

/// An expression that matches a value from its first byte to its last.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    text: Box<str>,
    regex: Regex,
}

/// What one compiled expression may take; `\w{1,50}` fits, a nest of counted repetitions does not.
const MAX_COMPILED_BYTES: usize = 1 << 20;

impl Pattern {
    /// Also gives the literal bytes that each match starts with.
    pub(super) fn parse(text: &str) -> Result<(Self, Vec<u8>), RuleError> {
        // Parsed alone first: `a)|(b` is broken, yet would compile inside the group and escape the anchors.
        let parsed = regex_syntax::ParserBuilder::new().utf8(false).build().parse(text);
        let hir = parsed.map_err(|error| refuse(text, syntax_reason(&error)))?;
        let regex = RegexBuilder::new(&format!(r"\A(?:{text})\z")).size_limit(MAX_COMPILED_BYTES).build();
        let regex = regex.map_err(|error| refuse(text, compile_reason(&error)))?;
        let mut literal = Vec::new();
        push_literal(&hir, &mut literal);
        Ok((Self { text: text.into(), regex }, literal))
    }

    pub(super) fn matches(&self, value: &[u8]) -> bool {
        self.regex.is_match(value)
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }
}

fn refuse(pattern: &str, reason: String) -> RuleError {
    RuleError::BadPattern { pattern: pattern.into(), reason }
}

/// One line instead of the parser's drawing, for the config check has its own.
fn syntax_reason(error: &regex_syntax::Error) -> String {
    let (kind, at) = match error {
        regex_syntax::Error::Parse(error) => (error.kind().to_string(), error.span().start),
        regex_syntax::Error::Translate(error) => (error.kind().to_string(), error.span().start),
        other => return other.to_string(),
    };
    format!("{kind} (character {})", at.column)
}

fn compile_reason(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(limit) => format!("it takes more than {limit} bytes when compiled"),
        // It parsed alone, so the wrapping broke it, and only a comment swallows the closing group.
        regex::Error::Syntax(_) => "a comment at its end hides what follows".into(),
        other => other.to_string(),
    }
}

/// Appends the text that every match has next; false once that is no longer certain.
fn push_literal(hir: &Hir, literal: &mut Vec<u8>) -> bool {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => true,
        HirKind::Literal(text) => {
            literal.extend_from_slice(&text.0);
            true
        }
        HirKind::Capture(capture) => push_literal(&capture.sub, literal),
        HirKind::Concat(parts) => parts.iter().all(|part| push_literal(part, literal)),
        HirKind::Class(_) | HirKind::Repetition(_) | HirKind::Alternation(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn literal(pattern: &str, expected: &str) {
        let (_, literal) = Pattern::parse(pattern).unwrap();
        assert_eq!(String::from_utf8(literal).unwrap(), expected, "the literal start of {pattern}");
    }

    #[track_caller]
    fn check(pattern: &str, value: &str, expected: bool) {
        let (pattern, _) = Pattern::parse(pattern).unwrap();
        assert_eq!(pattern.matches(value.as_bytes()), expected, "{} and {value}", pattern.as_str());
    }

    #[track_caller]
    fn refused(pattern: &str, expected: &str) {
        let error = Pattern::parse(pattern).expect_err("must be refused");
        assert_eq!(error.to_string(), format!("`{pattern}` is not a usable regular expression: {expected}"));
    }

    #[test]
    fn an_expression_covers_the_whole_value() {
        check("/a", "/a", true);
        check("/a", "/ab", false);
        check("/a", "x/a", false);
        check("/a|/b", "/b", true);
        check("/a|/b", "/bc", false);
        check("/a|/b", "c/a", false);
        check("^/a$", "/a", true);
        check("(?i)/a", "/A", true);
        check("/a.*", "/a/b/c", true);
        check("/a", "/a\n", false);
        check("(?m)/a$", "/a\nb", false);
    }

    #[test]
    fn the_literal_start_stops_where_matches_may_differ() {
        literal("/users/[0-9]+", "/users/");
        literal("^/users/.*$", "/users/");
        literal("/users", "/users");
        literal("/users?", "/user");
        literal("/a(/b)?", "/a");
        literal("/a/(b)/.", "/a/b/");
        literal("/a/(b|c)", "/a/");
        literal("/a/x|/b/x", "");
        literal("/v1\\.0/x*", "/v1.0/");
        literal("(?i)/users", "/");
        literal(".*", "");
        literal("/{2}", "");
    }

    #[test]
    fn broken_expressions_say_what_is_wrong_and_where() {
        refused("/[a", "unclosed character class (character 2)");
        refused("/(a", "unclosed group (character 2)");
        refused("a)|(b", "unopened group (character 2)");
        refused("*", "repetition operator missing expression (character 1)");
        refused("/a(?=b)", "look-around, including look-ahead and look-behind, is not supported (character 3)");
        refused("(?x)/a # b", "a comment at its end hides what follows");
        refused("(\\w{100}){100}", "it takes more than 1048576 bytes when compiled");
    }
}
