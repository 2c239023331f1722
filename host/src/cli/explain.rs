//! `gatehouse explain`: which route a request takes, why each other candidate lost, its chain and its upstream.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};

use crate::config;
use crate::config::document::{Document, Route};
use crate::route::{Head, Outcome, Router};
use crate::server::target;
use crate::snapshot::build::route_rules;

use super::builtin_names;
use super::check::BAD_CONFIG;

/// A request, and the configuration to ask.
#[derive(Args)]
pub struct ExplainArgs {
    /// A configuration file, or a folder of *.yaml files
    #[arg(long)]
    config: PathBuf,
    /// The request's method
    method: Method,
    /// The request's URL, with or without scheme and host
    url: Uri,
    /// A header of the request; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(HeaderName, HeaderValue)>,
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or_else(|| format!("got {text:?}, want NAME: VALUE"))?;
    let name = name.trim().parse().map_err(|_| format!("{name:?} is not a header name"))?;
    Ok((name, value.trim().parse().map_err(|_| format!("{value:?} is not a header value"))?))
}

/// Prints the explanation. Exit 0 if a route takes the request, 1 if none does.
pub fn run(arguments: &ExplainArgs) -> ExitCode {
    match config::load(&arguments.config, &builtin_names()) {
        Ok(loaded) => explain(arguments, &loaded.document),
        Err(problems) => {
            eprintln!("{problems}");
            ExitCode::from(BAD_CONFIG)
        }
    }
}

fn explain(arguments: &ExplainArgs, document: &Document) -> ExitCode {
    let path = match target::normalise(arguments.url.path()) {
        Ok(path) => path,
        Err(error) => {
            println!("400: {error}");
            return ExitCode::FAILURE;
        }
    };
    let headers: HeaderMap = arguments.headers.iter().cloned().collect();
    let host = arguments.url.authority().map(|authority| authority.as_str());
    let host = host.or_else(|| headers.get(http::header::HOST).and_then(|host| host.to_str().ok())).unwrap_or_default();
    let head = Head { host, path: &path, query: arguments.url.query(), method: &arguments.method, headers: &headers };
    let router = router(document);
    let candidates = router.explain(&head);
    for candidate in &candidates {
        println!("{}: {}", candidate.value.name, candidate.outcome);
    }
    match candidates.iter().find(|candidate| matches!(candidate.outcome, Outcome::Won)) {
        Some(winner) => {
            describe(winner.value);
            ExitCode::SUCCESS
        }
        None => {
            println!("404: no route matches");
            ExitCode::FAILURE
        }
    }
}

fn router(document: &Document) -> Router<&Route> {
    let rules = document.routes.iter().flat_map(|route| route_rules(route).unwrap_or_default().into_iter().map(move |rule| (rule, route)));
    Router::build(rules)
}

fn describe(route: &Route) {
    println!("\nroute {}", route.name);
    for step in &route.chain {
        println!("  plugin {} {}", step.name.as_deref().unwrap_or(&step.plugin), step.config);
    }
    match &route.upstream {
        Some(upstream) => println!("  upstream {upstream}"),
        None => route.upstreams.iter().for_each(|upstream| println!("  upstream {} (weight {})", upstream.name, upstream.weight)),
    }
}
