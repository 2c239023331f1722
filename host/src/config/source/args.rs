//! Documents from the command line: `gatehouse run --route '/orders=http://127.0.0.1:9001'`.

use std::net::SocketAddr;
use std::str::FromStr;

use crate::config::check::rules;
use crate::config::document::{Document, Endpoint, Listener, PathMatch, Route, RouteMatch, Upstream};

/// A route from the command line: a path prefix and the URL of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteArg {
    prefix: String,
    url: String,
}

impl FromStr for RouteArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (prefix, url) = text.split_once('=').ok_or_else(|| format!("got {text:?}, want PATH=URL"))?;
        rules::path_value(prefix).map_err(|want| format!("got {prefix:?}, want {want}"))?;
        rules::endpoint_url(url).map_err(|want| format!("got {url:?}, want {want}"))?;
        Ok(RouteArg { prefix: prefix.into(), url: url.into() })
    }
}

impl Document {
    /// A document with these routes. A path that is given twice gets both endpoints.
    pub fn from_routes(args: &[RouteArg], listen: Option<SocketAddr>) -> Self {
        let mut document = Document::default();
        for arg in args {
            document.add_route(arg);
        }
        document.listeners.extend(listen.map(|address| Listener::new("default", address)));
        document.ensure_listener();
        document
    }

    fn add_route(&mut self, arg: &RouteArg) {
        let endpoint = Endpoint { url: arg.url.clone(), weight: 1 };
        let name = arg.name();
        if let Some(upstream) = self.upstreams.iter_mut().find(|upstream| upstream.name == name) {
            upstream.endpoints.push(endpoint);
            return;
        }
        let path = PathMatch { prefix: Some(arg.prefix.clone()), ..PathMatch::default() };
        self.upstreams.push(Upstream::new(&name, vec![endpoint]));
        self.routes.push(Route {
            name: name.clone(),
            matches: vec![RouteMatch { path: Some(path), ..RouteMatch::default() }],
            upstream: Some(name),
            ..Route::default()
        });
    }
}

impl RouteArg {
    // A name of its own for each path: `/a/b` becomes `a.b`, and what a name may not hold is written `~2B`.
    fn name(&self) -> String {
        let trimmed = self.prefix.trim_matches('/');
        let mut name = String::new();
        for byte in trimmed.bytes() {
            match byte {
                b'/' => name.push('.'),
                b'-' | b'_' => name.push(char::from(byte)),
                _ if byte.is_ascii_alphanumeric() => name.push(char::from(byte)),
                _ => name.push_str(&format!("~{byte:02X}")),
            }
        }
        if name.is_empty() { "root".into() } else { name }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_of_the_command_line_make_a_whole_document() {
        let args = ["/orders=http://127.0.0.1:9001", "/orders=http://127.0.0.1:9002", "/=http://[::1]:9003"];
        let args: Vec<RouteArg> = args.iter().map(|arg| arg.parse().expect("a good route")).collect();
        let document = Document::from_routes(&args, None);
        assert_eq!(document.routes.len(), 2, "a path given twice is one route");
        assert_eq!(document.upstreams[0].endpoints.len(), 2, "with both endpoints");
        assert_eq!(document.upstreams[1].name, "root", "the root has a name too");
        assert_eq!(document.listeners[0].address.to_string(), "127.0.0.1:8080", "on the default address");
    }

    #[test]
    fn bad_routes_of_the_command_line_are_refused_with_a_reason() {
        for (arg, reason) in [
            ("/orders", "want PATH=URL"),
            ("orders=http://127.0.0.1:1", "begins with /"),
            ("/orders=127.0.0.1:9001", "http://HOST:PORT"),
            ("/orders=http://127.0.0.1:9001/deep", "http://HOST:PORT"),
        ] {
            let error = arg.parse::<RouteArg>().expect_err("a bad route");
            assert!(error.contains(reason), "{arg}: {error:?} should contain {reason:?}");
        }
    }
}
