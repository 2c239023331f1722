//! Media types (RFC 9110 §8.3.1) that a plugin takes bodies of, held against a `Content-Type`.

use http::{HeaderMap, header};

/// Patterns a plugin may declare.
const MAX_PATTERNS: usize = 32;

/// The types of the bodies a plugin is shown. None at all stands for every type.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MediaTypes(Box<[Pattern]>);

/// `type/subtype` in lower case. None stands for any.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    kind: Option<Box<str>>,
    subtype: Subtype,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Subtype {
    Any,
    Exact(Box<str>),
    /// With its `+`.
    Suffix(Box<str>),
}

impl MediaTypes {
    /// Reads what a plugin declared.
    ///
    /// # Errors
    /// For the plugin's author.
    pub fn parse(declared: &[String]) -> Result<Self, String> {
        if declared.len() > MAX_PATTERNS {
            return Err(format!("needs {} body types, {MAX_PATTERNS} at most", declared.len()));
        }
        let pattern = |text: &String| Pattern::parse(text).ok_or_else(|| format!("needs bodies of {text:?}, which is not a media type"));
        declared.iter().map(pattern).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a body with these headers is of one of the types. One that does not say, or not legibly, might be.
    pub fn take(&self, headers: &HeaderMap) -> bool {
        if self.0.is_empty() {
            return true;
        }
        let mut lines = headers.get_all(header::CONTENT_TYPE).iter().peekable();
        lines.peek().is_none() || lines.any(|line| line.to_str().map_or(true, |value| self.holds(value)))
    }

    fn holds(&self, value: &str) -> bool {
        let essence = value.split(';').next().unwrap_or_default().trim();
        match essence.split_once('/') {
            Some((kind, subtype)) => self.0.iter().any(|pattern| pattern.matches(kind, subtype)),
            None => true,
        }
    }
}

impl Pattern {
    fn parse(text: &str) -> Option<Self> {
        let (kind, subtype) = text.split_once('/')?;
        let subtype = match subtype.strip_prefix('*') {
            Some("") => Subtype::Any,
            Some(suffix) => Subtype::Suffix(name(suffix).filter(|suffix| suffix.starts_with('+'))?),
            None => Subtype::Exact(name(subtype)?),
        };
        let kind = if kind == "*" { None } else { Some(name(kind)?) };
        Some(Self { kind, subtype })
    }

    fn matches(&self, kind: &str, subtype: &str) -> bool {
        let of_kind = self.kind.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(kind));
        of_kind
            && match &self.subtype {
                Subtype::Any => true,
                Subtype::Exact(wanted) => wanted.eq_ignore_ascii_case(subtype),
                Subtype::Suffix(suffix) => {
                    let tail = subtype.len().checked_sub(suffix.len()).and_then(|at| subtype.get(at..));
                    tail.is_some_and(|tail| suffix.eq_ignore_ascii_case(tail))
                }
            }
    }
}

/// RFC 6838 §4.2, and never a `*` of its own.
fn name(text: &str) -> Option<Box<str>> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
    (!text.is_empty() && text.bytes().all(legal)).then(|| text.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn types(patterns: &[&str]) -> Result<MediaTypes, String> {
        let patterns: Vec<String> = patterns.iter().map(ToString::to_string).collect();
        MediaTypes::parse(&patterns)
    }

    #[track_caller]
    fn check(patterns: &[&str], content_type: &[&'static str], expected: bool) {
        let mut headers = HeaderMap::new();
        for line in content_type {
            headers.append(header::CONTENT_TYPE, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        assert_eq!(types(patterns).unwrap().take(&headers), expected, "{content_type:?} of {patterns:?}");
    }

    #[test]
    fn a_pattern_stands_for_the_types_it_says() {
        const JSON: &[&str] = &["application/json", "*/*+json"];
        check(&[], &["image/png"], true);
        check(JSON, &["application/json"], true);
        check(JSON, &["Application/JSON ; charset=utf-8"], true);
        check(JSON, &["application/problem+json"], true);
        check(JSON, &["application/jsonp"], false);
        check(JSON, &["text/json"], false);
        check(JSON, &["image/png"], false);
        check(&["text/*"], &["text/x"], true);
        check(&["text/*"], &["image/x"], false);
        check(&["*/*"], &["image/png"], true);
        check(&["*/*+json"], &["a/json"], false);
    }

    #[test]
    fn a_body_that_hides_its_type_is_taken() {
        check(&["text/*"], &[], true);
        check(&["text/*"], &["\u{e9}"], true);
        check(&["text/*"], &["text"], true);
        check(&["text/*"], &["image/png", "text/plain"], true);
    }

    #[test]
    fn what_is_no_media_type_is_refused() {
        for bad in ["", "text", "/", "text/", "/x", "te xt/x", "*a/x", "text/*x", "text/a*", "text/*+*"] {
            assert!(types(&[bad]).unwrap_err().contains("not a media type"), "{bad:?}");
        }
        assert!(types(&["a/b"; 33]).unwrap_err().contains("32 at most"), "the number is bounded");
    }
}
