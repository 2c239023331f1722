//! Redirects: where a client is sent instead of an upstream.

use std::borrow::Cow;

use http::header::{HOST, HeaderName, LOCATION};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Response, StatusCode, request};

use crate::body::Body;
use crate::error::Error;

use super::rewrite::{NewPath, with_query};

/// Where clients are sent. What is None stays as the client asked for it; the query always does.
#[derive(Debug)]
pub struct Redirect {
    /// 301, 302, 303, 307 or 308.
    pub status: StatusCode,
    /// Another scheme.
    pub scheme: Option<Scheme>,
    /// Another host.
    pub host: Option<Box<str>>,
    /// Another port. A new scheme or host without one comes with the default port.
    pub port: Option<u16>,
    /// Another path.
    pub path: NewPath,
}

/// How a URL begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

impl Redirect {
    /// The answer to a request; `secure` says that it came over TLS.
    ///
    /// # Errors
    /// When there is no place to send the client to: 400.
    pub fn answer(&self, head: &request::Parts, secure: bool) -> Result<Response<Body>, Error> {
        let location = HeaderValue::try_from(self.location(head, secure)?).map_err(|_| Error::bad_request("there is no such place"))?;
        let mut response = Response::new(Body::Empty);
        *response.status_mut() = self.status;
        response.headers_mut().insert(LOCATION, location);
        Ok(response)
    }

    /// A whole URL if anything before the path is new. Otherwise the path alone, which is right behind any proxy.
    fn location(&self, head: &request::Parts, secure: bool) -> Result<String, Error> {
        // The asterisk of OPTIONS is no path, and would end up in the host.
        let asked = if head.uri.path() == "*" { "/" } else { head.uri.path() };
        let path = self.path.of(asked)?;
        if self.scheme.is_none() && self.host.is_none() && self.port.is_none() {
            return Ok(with_query(beside(&path).into_owned(), head.uri.query()));
        }
        let asked = asked_authority(&head.headers);
        let (scheme, asked_scheme) = (self.scheme, asked_scheme(&head.headers, secure));
        let host = self.host.as_deref().or_else(|| asked.as_ref().map(Authority::host));
        let host = host.ok_or_else(|| Error::bad_request("without a host there is nowhere to redirect to"))?;
        let scheme = scheme.unwrap_or(asked_scheme);
        let port = match self.port.filter(|port| *port != scheme.default_port()) {
            Some(port) => format!(":{port}"),
            None => String::new(),
        };
        Ok(with_query(format!("{}://{host}{port}{path}", scheme.name()), head.uri.query()))
    }
}

impl Scheme {
    fn name(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

/// A path that a client takes for one: two slashes at its front would be the beginning of a host (RFC 3986 §4.2).
fn beside(path: &str) -> Cow<'_, str> {
    match path.starts_with("//") {
        true => Cow::Owned(["/.", path].concat()),
        false => Cow::Borrowed(path),
    }
}

/// What the client itself asked for: proxies that are not trusted had no say in these headers.
fn asked_authority(headers: &HeaderMap) -> Option<Authority> {
    let parse = |name| headers.get(name).and_then(|value| Authority::try_from(value.as_bytes()).ok());
    parse(&X_FORWARDED_HOST).or_else(|| parse(&HOST))
}

fn asked_scheme(headers: &HeaderMap, secure: bool) -> Scheme {
    match headers.get(&X_FORWARDED_PROTO).map(HeaderValue::as_bytes) {
        Some(b"https") => Scheme::Https,
        Some(b"http") => Scheme::Http,
        _ if secure => Scheme::Https,
        _ => Scheme::Http,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same() -> Redirect {
        Redirect { status: StatusCode::FOUND, scheme: None, host: None, port: None, path: NewPath::Same }
    }

    fn head(target: &str, headers: &[(&'static str, &str)]) -> request::Parts {
        let mut request = http::Request::builder().uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[track_caller]
    fn check(redirect: &Redirect, target: &str, headers: &[(&'static str, &str)], expected: &str) {
        let answer = redirect.answer(&head(target, headers), false).expect("a redirect");
        assert_eq!(answer.headers()[LOCATION], expected, "{target} by {redirect:?}");
    }

    const ASKED: [(&str, &str); 2] = [("x-forwarded-host", "a.example:8080"), ("x-forwarded-proto", "http")];

    #[test]
    fn what_is_not_given_stays() {
        check(&Redirect { scheme: Some(Scheme::Https), ..same() }, "/a?b=c", &ASKED, "https://a.example/a?b=c");
        check(&Redirect { scheme: Some(Scheme::Https), port: Some(8443), ..same() }, "/a", &ASKED, "https://a.example:8443/a");
        check(&Redirect { scheme: Some(Scheme::Https), port: Some(443), ..same() }, "/a", &ASKED, "https://a.example/a");
        check(&Redirect { host: Some("b.example".into()), ..same() }, "/a", &ASKED, "http://b.example/a");
        check(&Redirect { port: Some(8081), ..same() }, "/a", &ASKED, "http://a.example:8081/a");
        check(&Redirect { path: NewPath::Whole("/new".into()), ..same() }, "/a?b=c", &ASKED, "/new?b=c");
        check(&Redirect { path: NewPath::prefix("/old", "/new"), ..same() }, "/old/x?", &ASKED, "/new/x?");
    }

    #[test]
    fn the_scheme_and_host_are_those_of_the_client_wherever_they_are_known() {
        let port = Redirect { port: Some(1), ..same() };
        check(&port, "/", &[("host", "[::1]:8080")], "http://[::1]:1/");
        check(&port, "/", &[("host", "inner"), ("x-forwarded-host", "outer"), ("x-forwarded-proto", "https")], "https://outer:1/");
        check(&port, "/", &[("host", "inner"), ("x-forwarded-host", "a, b"), ("x-forwarded-proto", "gopher")], "http://inner:1/");
    }

    #[test]
    fn a_path_never_becomes_a_host() {
        let root = Redirect { path: NewPath::prefix("/old", "/"), ..same() };
        check(&root, "/old//evil.example/x", &ASKED, "/.//evil.example/x");
        check(&Redirect { scheme: Some(Scheme::Https), path: root.path, ..same() }, "/old//x", &ASKED, "https://a.example//x");
    }

    #[test]
    fn the_server_as_a_whole_is_at_its_root() {
        check(&Redirect { scheme: Some(Scheme::Https), ..same() }, "*", &ASKED, "https://a.example/");
        check(&Redirect { path: NewPath::Whole("/new".into()), ..same() }, "*", &ASKED, "/new");
    }

    #[test]
    fn without_a_host_there_is_nowhere_to_go() {
        let secure = Redirect { scheme: Some(Scheme::Https), ..same() };
        assert!(secure.answer(&head("/", &[]), false).is_err(), "HTTP/1.0 without a host");
    }
}
