//! What a route does besides sending to its upstream, from the document's form.

use std::collections::HashMap;
use std::sync::Arc;

use http::{HeaderValue, StatusCode};

use crate::config::document::{self, Scheme};
use crate::config::{Code, KeyPath};
use crate::server::mirror::Mirror;
use crate::server::redirect::{self, Redirect};
use crate::server::rewrite::{NewPath, Rewrite};
use crate::server::target;
use crate::upstream::Upstream;

use super::Build;

impl Build<'_> {
    pub(super) fn redirect(&mut self, route: &document::Route, path: &KeyPath) -> Option<Box<Redirect>> {
        let configured = route.redirect.as_ref()?;
        let at = path.clone().key("redirect");
        Some(Box::new(Redirect {
            status: StatusCode::from_u16(configured.status).unwrap_or(StatusCode::FOUND),
            scheme: configured.scheme.map(scheme),
            host: configured.host.as_deref().map(Into::into),
            port: configured.port,
            path: self.new_path(configured.path.as_deref(), configured.prefix.as_deref(), route, &at),
        }))
    }

    pub(super) fn rewrite(&mut self, route: &document::Route, path: &KeyPath) -> Option<Box<Rewrite>> {
        let configured = route.rewrite.as_ref()?;
        let at = path.clone().key("rewrite");
        Some(Box::new(Rewrite {
            host: configured.host.as_deref().and_then(|host| HeaderValue::from_str(host).ok()),
            path: self.new_path(configured.path.as_deref(), configured.prefix.as_deref(), route, &at),
        }))
    }

    /// What goes together was checked with the document; whether it is a path that a request can have is found here.
    fn new_path(&mut self, path: Option<&str>, prefix: Option<&str>, route: &document::Route, at: &KeyPath) -> NewPath {
        let (key, text) = match (path, prefix) {
            (Some(path), _) => ("path", path),
            (None, Some(prefix)) => ("prefix", prefix),
            (None, None) => return NewPath::Same,
        };
        if let Err(error) = target::normalise(text) {
            self.found(at.clone().key(key), Code::Value, format!("{text:?}"), format!("a path that a request can have, but {error}"));
        }
        match (path, route.only_prefix()) {
            (None, Some(from)) => NewPath::prefix(from, text),
            _ => NewPath::Whole(text.into()),
        }
    }
}

/// References were checked with the document.
pub(super) fn mirrors(route: &document::Route, upstreams: &HashMap<Arc<str>, Arc<Upstream>>) -> Box<[Mirror]> {
    let found = |mirror: &document::Mirror| Some(Mirror::new(upstreams.get(&*mirror.upstream).cloned()?, mirror.percent.ratio()));
    route.mirror.iter().filter_map(found).collect()
}

fn scheme(scheme: Scheme) -> redirect::Scheme {
    match scheme {
        Scheme::Http => redirect::Scheme::Http,
        Scheme::Https => redirect::Scheme::Https,
    }
}
