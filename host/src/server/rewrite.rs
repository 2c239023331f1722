//! Rewrites: another path and host for the upstream, written over the head after the chain had its say.
//! [`NewPath`] serves redirects too.

use std::borrow::Cow;

use http::header::HOST;
use http::uri::PathAndQuery;
use http::{HeaderValue, request};

use crate::error::Error;

use super::target::{self, BadTarget};

/// What the upstream is asked for instead.
#[derive(Debug)]
pub struct Rewrite {
    /// Another `Host`.
    pub host: Option<HeaderValue>,
    /// Another path.
    pub path: NewPath,
}

/// What becomes of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewPath {
    /// It stays.
    Same,
    /// Another one.
    Whole(Box<str>),
    /// Other first elements. A path that a plugin moved out of `from` stays.
    Prefix {
        /// What the route matches by, without a slash at its end.
        from: Box<str>,
        /// What stands there instead, without a slash at its end.
        to: Box<str>,
    },
}

impl Rewrite {
    /// Writes it over the head of a request.
    ///
    /// # Errors
    /// When what comes out is no path that a client could have asked for: 400.
    pub fn apply(&self, head: &mut request::Parts) -> Result<(), Error> {
        if let Some(host) = &self.host {
            head.headers.insert(HOST, host.clone());
        }
        if let Cow::Owned(path) = self.path.of(head.uri.path())? {
            let target = with_query(path, head.uri.query());
            let target = PathAndQuery::try_from(target).map_err(|_| Error::bad_request("the rewritten target is not a path"))?;
            head.uri = target.into();
        }
        Ok(())
    }
}

impl NewPath {
    /// Other first elements; slashes at the ends mean nothing.
    pub fn prefix(from: &str, to: &str) -> Self {
        NewPath::Prefix { from: from.trim_end_matches('/').into(), to: to.trim_end_matches('/').into() }
    }

    /// What becomes of this path, in normal form. Borrowed if nothing does.
    ///
    /// # Errors
    /// When there is no normal form of it.
    pub fn of<'a>(&'a self, path: &'a str) -> Result<Cow<'a, str>, BadTarget> {
        let made = match self {
            NewPath::Same => return Ok(Cow::Borrowed(path)),
            // The asterisk of OPTIONS stands for the server, which has no path.
            _ if path == "*" => return Ok(Cow::Borrowed(path)),
            NewPath::Whole(whole) => Cow::Borrowed(&**whole),
            NewPath::Prefix { from, to } => match path.strip_prefix(&**from).filter(|rest| rest.is_empty() || rest.starts_with('/')) {
                None => return Ok(Cow::Borrowed(path)),
                Some("") if to.is_empty() => Cow::Borrowed("/"),
                Some(rest) => Cow::Owned([to, rest].concat()),
            },
        };
        target::normalise(&made).map(|normal| Cow::Owned(normal.into_owned()))
    }
}

/// A path with the query it had.
pub(super) fn with_query(mut path: String, query: Option<&str>) -> String {
    if let Some(query) = query {
        path.push('?');
        path.push_str(query);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rule: &NewPath, path: &str, expected: Result<&str, BadTarget>) {
        assert_eq!(rule.of(path).as_deref().map_err(|error| *error), expected, "{path} by {rule:?}");
    }

    // The table of Gateway API's HTTPPathModifier.
    #[test]
    fn a_prefix_is_replaced_by_whole_elements() {
        for from in ["/foo", "/foo/"] {
            for to in ["/xyz", "/xyz/"] {
                let rule = NewPath::prefix(from, to);
                check(&rule, "/foo/bar", Ok("/xyz/bar"));
                check(&rule, "/foo/", Ok("/xyz/"));
                check(&rule, "/foo", Ok("/xyz"));
                check(&rule, "/foobar", Ok("/foobar"));
                check(&rule, "/elsewhere", Ok("/elsewhere"));
            }
            let to_root = NewPath::prefix(from, "/");
            check(&to_root, "/foo/bar", Ok("/bar"));
            check(&to_root, "/foo/", Ok("/"));
            check(&to_root, "/foo", Ok("/"));
        }
        let from_root = NewPath::prefix("/", "/v1");
        check(&from_root, "/", Ok("/v1/"));
        check(&from_root, "/a/b", Ok("/v1/a/b"));
    }

    #[test]
    fn what_comes_out_is_in_normal_form() {
        let rule = NewPath::prefix("/foo", "/x");
        check(&rule, "/foo/%61/../b", Ok("/x/b"));
        check(&rule, "/foo/a%2fb", Ok("/x/a%2Fb"));
        check(&rule, "/foo/..%2Fb", Err(BadTarget::ParentSegment));
        check(&NewPath::prefix("/foo", "/"), "/foo//bar", Ok("//bar"));
        check(&NewPath::Whole("/a/./b".into()), "/anything", Ok("/a/b"));
        check(&NewPath::Same, "/foo", Ok("/foo"));
        check(&rule, "*", Ok("*"));
    }
}
