//! The rules of a route for the router, and what keeps a condition from being one. A condition that could never match,
//! or would match more than it says, is refused.

use crate::config::KeyPath;
use crate::config::document::{self, ValueMatch};
use crate::route::{HeaderMatch, HostPattern, PathMatch, QueryMatch, Rule, RuleError};
use crate::server::target;

/// A condition that cannot be used.
#[derive(Debug)]
pub struct Misfit {
    /// Where it is in the route.
    pub path: KeyPath,
    /// What stands there.
    pub got: String,
    /// What should.
    pub want: String,
    /// What to write instead, where that is known.
    pub hint: Option<String>,
}

/// The rules of a route: one for each host and row of `match`; no host is all hosts, and no row all paths.
pub fn route_rules(configured: &document::Route) -> Result<Vec<Rule>, Vec<Misfit>> {
    let everything = [document::RouteMatch::default()];
    let rows = if configured.matches.is_empty() { &everything[..] } else { &configured.matches };
    let mut misfits = Misfits::default();
    let hosts = misfits.hosts(&configured.hosts);
    let rows: Vec<Rule> =
        rows.iter().enumerate().map(|(place, row)| misfits.row(row, &KeyPath::default().key("match").index(place))).collect();
    if !misfits.0.is_empty() {
        return Err(misfits.0);
    }
    Ok(rows.iter().flat_map(|row| hosts.iter().map(|host| Rule { host: host.clone(), ..row.clone() })).collect())
}

/// What was found so far. What cannot be used is left out, and then nothing is used.
#[derive(Default)]
struct Misfits(Vec<Misfit>);

impl Misfits {
    fn hosts(&mut self, hosts: &[String]) -> Vec<HostPattern> {
        if hosts.is_empty() {
            return vec![HostPattern::Any];
        }
        self.each(hosts, &KeyPath::default().key("hosts"), |host| HostPattern::parse(host).map_err(|error| refused(host, &error)))
    }

    fn row(&mut self, row: &document::RouteMatch, at: &KeyPath) -> Rule {
        let everywhere = || PathMatch::prefix("/").expect("the root is a path");
        Rule {
            host: HostPattern::Any,
            path: row.path.as_ref().and_then(|path| self.path(path, &at.clone().key("path"))).unwrap_or_else(everywhere),
            methods: self.each(&row.methods, &at.clone().key("methods"), method),
            headers: self.each(&row.headers, &at.clone().key("headers"), header),
            query: self.each(&row.query, &at.clone().key("query"), query),
        }
    }

    fn path(&mut self, path: &document::PathMatch, at: &KeyPath) -> Option<PathMatch> {
        let (key, made) = match (&path.exact, &path.prefix, &path.regex) {
            (Some(exact), ..) => ("exact", plain_path(exact, PathMatch::exact)),
            (_, Some(prefix), _) => ("prefix", plain_path(prefix, PathMatch::prefix)),
            (.., Some(regex)) => ("regex", PathMatch::regex(regex).map_err(|error| refused(regex, &error))),
            _ => return None,
        };
        self.keep(made, || at.clone().key(key))
    }

    fn each<T, R>(&mut self, list: &[T], at: &KeyPath, make: impl Fn(&T) -> Result<R, Misfit>) -> Vec<R> {
        list.iter().enumerate().filter_map(|(place, item)| self.keep(make(item), || at.clone().index(place))).collect()
    }

    fn keep<R>(&mut self, made: Result<R, Misfit>, at: impl FnOnce() -> KeyPath) -> Option<R> {
        made.map_err(|misfit| self.0.push(Misfit { path: at().join(&misfit.path), ..misfit })).ok()
    }
}

/// Requests are matched by their normal path, so a rule that is not in that form would never match.
fn plain_path(path: &str, make: fn(&str) -> Result<PathMatch, RuleError>) -> Result<PathMatch, Misfit> {
    let made = make(path).map_err(|error| refused(path, &error))?;
    let misfit = |want: String, hint| Misfit { path: KeyPath::default(), got: format!("{path:?}"), want, hint };
    match target::normalise(path) {
        Ok(normal) if normal == path => Ok(made),
        Ok(normal) => {
            Err(misfit("a path in its normal form, which is what requests are matched by".into(), Some(format!("write {normal}"))))
        }
        Err(error) => Err(misfit(format!("a path that a request can have, but {error}"), None)),
    }
}

fn method(text: &String) -> Result<http::Method, Misfit> {
    text.parse().map_err(|_| Misfit { path: KeyPath::default(), got: format!("{text:?}"), want: "a method such as GET".into(), hint: None })
}

fn header(value: &ValueMatch) -> Result<HeaderMatch, Misfit> {
    let made = match (&value.exact, &value.regex) {
        (Some(exact), _) => HeaderMatch::exact(&value.name, exact),
        (None, Some(regex)) => HeaderMatch::regex(&value.name, regex),
        (None, None) => present(value).map(|()| HeaderMatch::present(&value.name))?,
    };
    made.map_err(|error| refused(&value.name, &error))
}

fn query(value: &ValueMatch) -> Result<QueryMatch, Misfit> {
    let made = match (&value.exact, &value.regex) {
        (Some(exact), _) => QueryMatch::exact(&value.name, exact),
        (None, Some(regex)) => QueryMatch::regex(&value.name, regex),
        (None, None) => present(value).map(|()| QueryMatch::present(&value.name))?,
    };
    made.map_err(|error| refused(&value.name, &error))
}

/// The router has no condition for what a request lacks; taken for its opposite, one would open a route to everybody.
fn present(value: &ValueMatch) -> Result<(), Misfit> {
    if value.present != Some(false) {
        return Ok(());
    }
    let want = "true; that something is absent cannot be a condition in this version".into();
    Err(Misfit { path: KeyPath::default().key("present"), got: "false".into(), want, hint: None })
}

fn refused(got: &str, error: &RuleError) -> Misfit {
    Misfit { path: KeyPath::default(), got: format!("{got:?}"), want: format!("a condition that can be met, but {error}"), hint: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(json: &str) -> document::Route {
        serde_json::from_str(&format!("{{\"name\": \"a\", {json}}}")).expect("a route")
    }

    #[track_caller]
    fn refuses(json: &str, expected: &[(&str, &str)]) {
        let misfits = route_rules(&route(json)).expect_err("a route with conditions that cannot be used");
        let found: Vec<String> = misfits.iter().map(|misfit| misfit.path.to_string()).collect();
        assert_eq!(found, expected.iter().map(|(path, _)| *path).collect::<Vec<_>>(), "the places in {json}");
        for (misfit, (_, said)) in misfits.iter().zip(expected) {
            assert!(format!("{misfit:?}").contains(said), "{misfit:?} says {said:?}");
        }
    }

    #[test]
    fn paths_that_no_request_has_after_normalising_are_refused_with_the_form_it_has() {
        refuses(r#""match": [{"path": {"exact": "/a%7eb"}}]"#, &[("match[0].path.exact", "write /a~b")]);
        refuses(r#""match": [{"path": {"prefix": "/caf%c3%a9"}}]"#, &[("match[0].path.prefix", "write /caf%C3%A9")]);
        refuses(r#""match": [{"path": {"prefix": "/%zz"}}]"#, &[("match[0].path.prefix", "malformed percent escape")]);
        refuses(r#""match": [{"path": {"exact": "/a/..;/b"}}]"#, &[("match[0].path.exact", "parent folder")]);
        refuses(r#""match": [{"path": {"exact": "/a//b"}}]"#, &[("match[0].path.exact", "`//`")]);
        for fine in ["/", "/a~b", "/caf%C3%A9", "/a/", "/.well-known/x"] {
            assert!(route_rules(&route(&format!(r#""match": [{{"path": {{"prefix": "{fine}"}}}}]"#))).is_ok(), "{fine} is normal");
        }
    }

    #[test]
    fn a_condition_that_cannot_be_used_is_never_dropped() {
        refuses(
            r#""hosts": ["a", "*"], "match": [{"methods": ["GET", "A B"]}, {"headers": [{"name": "a", "present": false}]},
                {"query": [{"name": "q", "regex": "("}]}]"#,
            &[
                ("hosts[1]", "leave `hosts` out"),
                ("match[0].methods[1]", "such as GET"),
                ("match[1].headers[0].present", "absent"),
                ("match[2].query[0]", "regular expression"),
            ],
        );
    }

    #[test]
    fn each_host_and_each_row_make_a_rule() {
        assert_eq!(route_rules(&route(r#""hosts": ["a", "b"], "match": [{}, {"methods": ["GET"]}]"#)).expect("good").len(), 4, "2 x 2");
        assert_eq!(route_rules(&route(r#""hosts": []"#)).expect("good").len(), 1, "everything");
    }
}
