//! `gatehouse explain`: which route a request takes, why each other candidate lost, its chain and its upstream.

mod report;
mod text;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};

use crate::config::{self, Loaded, Problems};
use crate::route::{Head, Router};
use crate::server::target;
use crate::snapshot::build::{ExplainedStep, route_rules};

use super::check::{BAD_CONFIG, builder};
use super::stock;
use report::{Asked, Report};

/// A request, and the configuration to ask.
#[derive(Args)]
pub struct ExplainArgs {
    /// A configuration file, or a folder of *.yaml files
    #[arg(long)]
    config: PathBuf,
    /// The gateway's data folder, for copies of what it pulled from registries
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// The request's method
    method: Method,
    /// The request's URL, with or without scheme and host
    url: Uri,
    /// A header of the request; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or_else(|| format!("got {text:?}, want NAME: VALUE"))?;
    let name = name.trim().parse().map_err(|_| format!("{name:?} is not a header name"))?;
    Ok((name, value.trim().parse().map_err(|_| format!("{value:?} is not a header value"))?))
}

/// Prints the explanation. Exit 0 if a route takes the request, 1 if none does, 78 for a configuration that cannot be used.
pub fn run(arguments: &ExplainArgs) -> ExitCode {
    let report = match config::load(&arguments.config, &stock()).and_then(|loaded| explain(arguments, &loaded)) {
        Ok(report) => report,
        Err(problems) => {
            eprintln!("{problems}");
            return ExitCode::from(BAD_CONFIG);
        }
    };
    match arguments.json {
        true => println!("{}", serde_json::to_string_pretty(&report).expect("a report is plain data")),
        false => print!("{}", text::Text(&report)),
    }
    if report.route.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn explain(arguments: &ExplainArgs, loaded: &Loaded) -> Result<Report, Problems> {
    let headers: HeaderMap = arguments.headers.iter().cloned().collect();
    let host = arguments.url.authority().map(|authority| authority.as_str());
    let host = host.or_else(|| headers.get(http::header::HOST).and_then(|host| host.to_str().ok())).unwrap_or_default();
    let (method, query) = (&arguments.method, arguments.url.query());
    let path = match target::normalise(arguments.url.path()) {
        Ok(path) => path,
        Err(error) => return Ok(Report::refused(Asked::new(method, host, arguments.url.path(), query), &error.to_string())),
    };
    let head = Head { host, path: &path, query, method, headers: &headers };
    let asked = Asked::new(method, host, &path, query);
    let router = router(loaded);
    let candidates = router.explain(&head);
    match report::winner(&candidates) {
        None => Ok(Report::without_route(asked, &candidates, loaded)),
        Some(place) => Ok(Report::with_route(asked, &candidates, loaded, place, chain(loaded, place, arguments.data.as_deref())?)),
    }
}

/// Leads to the routes by their places in the document.
fn router(loaded: &Loaded) -> Router<usize> {
    let routes = loaded.document.routes.iter().enumerate();
    Router::build(routes.flat_map(|(place, route)| route_rules(route).unwrap_or_default().into_iter().map(move |rule| (rule, place))))
}

/// The plugins of a route as they would run: loaded, and asked about their configurations.
fn chain(loaded: &Loaded, place: usize, data: Option<&Path>) -> Result<Vec<ExplainedStep>, Problems> {
    if loaded.document.routes[place].chain.is_empty() {
        return Ok(Vec::new());
    }
    let problems = |findings| Problems::new(loaded.sources.locate(findings));
    let builder = builder(data).map_err(|finding| problems(vec![finding]))?;
    builder.explain(loaded, place).map_err(problems)
}
