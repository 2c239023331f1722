//! The path condition of a rule: exact, prefix by elements, or a regular expression over the whole path.
//! Paths are compared as normalised bytes, case and escapes included.

use std::fmt;

use super::{error::RuleError, pattern::Pattern};

/// The paths a rule serves. Made by its constructors, which refuse what could never match.
#[derive(Clone, Debug)]
pub struct PathMatch(pub(super) Kind);

/// The three ways to name paths.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Exact(Box<str>),
    /// Without a trailing slash, so every path is the empty text.
    Prefix(Box<str>),
    Regex {
        pattern: Pattern,
        /// The whole elements that every match starts with, as in `Prefix`.
        below: Box<str>,
    },
}

/// Text that normalising removes from a path, or that a path cannot hold.
const NEVER_IN_A_PATH: [&str; 5] = ["//", "/./", "/../", "#", "?"];

impl PathMatch {
    /// This path and no other; a trailing slash counts.
    pub fn exact(path: &str) -> Result<Self, RuleError> {
        check_path(path)?;
        Ok(Self(Kind::Exact(path.into())))
    }

    /// This path and all below it, by whole elements: `/abc` serves `/abc/d` and not `/abcd`.
    /// A trailing slash is ignored, and `/` serves every path.
    pub fn prefix(path: &str) -> Result<Self, RuleError> {
        check_path(path)?;
        Ok(Self(Kind::Prefix(path.strip_suffix('/').unwrap_or(path).into())))
    }

    /// Paths that the expression covers from the first character to the last.
    pub fn regex(text: &str) -> Result<Self, RuleError> {
        let (pattern, literal) = Pattern::parse(text)?;
        if text.is_empty() || literal.first().is_some_and(|first| *first != b'/') {
            return Err(RuleError::RelativePattern(text.into()));
        }
        Ok(Self(Kind::Regex { pattern, below: whole_elements(&literal) }))
    }

    /// Whether this condition serves the path.
    pub fn matches(&self, path: &str) -> bool {
        match &self.0 {
            Kind::Exact(exact) => **exact == *path,
            Kind::Prefix(prefix) => is_below(path, prefix),
            Kind::Regex { pattern, .. } => path.starts_with('/') && pattern.matches(path.as_bytes()),
        }
    }
}

impl fmt::Display for PathMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Exact(path) => write!(f, "exact {path}"),
            Kind::Prefix(prefix) if prefix.is_empty() => f.write_str("prefix /"),
            Kind::Prefix(prefix) => write!(f, "prefix {prefix}"),
            Kind::Regex { pattern, .. } => write!(f, "regex {}", pattern.as_str()),
        }
    }
}

fn is_below(path: &str, prefix: &str) -> bool {
    let rest = path.strip_prefix(prefix);
    // The empty prefix serves every path, yet `*` of `OPTIONS *` is none.
    rest.is_some_and(|rest| rest.starts_with('/') || rest.is_empty() && !prefix.is_empty())
}

/// A literal up to its last slash: what comes after may go on within the same element.
fn whole_elements(literal: &[u8]) -> Box<str> {
    let end = literal.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    // An expression may name bytes that are no text; it is then filed at the root and as correct.
    str::from_utf8(&literal[..end]).unwrap_or("").into()
}

fn check_path(path: &str) -> Result<(), RuleError> {
    if !path.starts_with('/') {
        return Err(RuleError::RelativePath(path.into()));
    }
    match never_matches(path) {
        Some(found) => Err(RuleError::PathNeverMatches { path: path.into(), found }),
        None => Ok(()),
    }
}

fn never_matches(path: &str) -> Option<String> {
    if let Some(found) = NEVER_IN_A_PATH.iter().find(|part| path.contains(**part)) {
        return Some((*found).into());
    }
    if let Some(found) = ["/.", "/.."].iter().find(|end| path.ends_with(**end)) {
        return Some((*found).into());
    }
    if let Some(at) = path.to_ascii_lowercase().find("%2f") {
        return Some(path[at..at + 3].into());
    }
    path.chars().find(|c| !c.is_ascii_graphic()).map(String::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rule: Result<PathMatch, RuleError>, path: &str, expected: bool) {
        let rule = rule.unwrap();
        assert_eq!(rule.matches(path), expected, "{rule} and {path}");
    }

    #[track_caller]
    fn refused(path: &str, found: &str) {
        let expected = RuleError::PathNeverMatches { path: path.into(), found: found.into() };
        assert_eq!(PathMatch::exact(path).err(), Some(expected.clone()), "exact {path}");
        assert_eq!(PathMatch::prefix(path).err(), Some(expected), "prefix {path}");
    }

    #[test]
    fn exact_is_exact() {
        check(PathMatch::exact("/abc"), "/abc", true);
        check(PathMatch::exact("/abc"), "/abc/", false);
        check(PathMatch::exact("/abc/"), "/abc/", true);
        check(PathMatch::exact("/abc/"), "/abc", false);
        check(PathMatch::exact("/abc"), "/ABC", false);
        check(PathMatch::exact("/"), "/", true);
        check(PathMatch::exact("/"), "/a", false);
    }

    #[test]
    fn a_prefix_goes_by_elements() {
        for rule in ["/abc", "/abc/"] {
            check(PathMatch::prefix(rule), "/abc", true);
            check(PathMatch::prefix(rule), "/abc/", true);
            check(PathMatch::prefix(rule), "/abc/def", true);
            check(PathMatch::prefix(rule), "/abc//def", true);
            check(PathMatch::prefix(rule), "/abcd", false);
            check(PathMatch::prefix(rule), "/Abc", false);
            check(PathMatch::prefix(rule), "/ab", false);
            check(PathMatch::prefix(rule), "/", false);
        }
        for path in ["/", "/a", "/a/b/", "//"] {
            check(PathMatch::prefix("/"), path, true);
        }
        check(PathMatch::prefix("/"), "*", false);
        check(PathMatch::prefix("/"), "", false);
    }

    #[test]
    fn a_regex_covers_the_whole_path() {
        check(PathMatch::regex("/users/[0-9]+"), "/users/42", true);
        check(PathMatch::regex("/users/[0-9]+"), "/users/42/x", false);
        check(PathMatch::regex("/users/[0-9]+"), "/v1/users/42", false);
        check(PathMatch::regex(r".*\.php"), "/a/b.php", true);
        check(PathMatch::regex("/./.."), "/a/bc", true);
        check(PathMatch::regex(".*"), "*", false);
    }

    #[test]
    fn what_no_normalised_path_has_is_refused() {
        refused("//", "//");
        refused("/a//b", "//");
        refused("/a/./b", "/./");
        refused("/a/../b", "/../");
        refused("/a/.", "/.");
        refused("/a/..", "/..");
        refused("/a%2fb", "%2f");
        refused("/a%2Fb", "%2F");
        refused("/a#b", "#");
        refused("/a?b", "?");
        refused("/a b", " ");
        refused("/a\tb", "\t");
        refused("/é", "é");
        for path in ["/a.", "/.a", "/..a/b", "/a/...", "/.well-known/x", "/caf%C3%A9", "/~u/a:b;c=d,e@f"] {
            assert!(PathMatch::exact(path).is_ok(), "{path} is a fine path");
        }
    }

    #[test]
    fn relative_paths_are_refused() {
        for path in ["", "a", "a/b", "*", "%2f"] {
            assert_eq!(PathMatch::exact(path).err(), Some(RuleError::RelativePath(path.into())), "exact {path}");
            assert_eq!(PathMatch::prefix(path).err(), Some(RuleError::RelativePath(path.into())), "prefix {path}");
        }
        for pattern in ["", "users/.*", "^users", "(users)/x"] {
            assert_eq!(PathMatch::regex(pattern).err(), Some(RuleError::RelativePattern(pattern.into())), "{pattern}");
        }
    }
}
