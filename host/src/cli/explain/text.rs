//! An explanation as text: the winner in the first line, why each other rule lost in the next ones, then the way the
//! request takes.

use std::fmt::{self, Display};

use super::report::{Plugin, Report, Taken, Upstream};

/// A report, to be printed.
pub struct Text<'a>(pub &'a Report);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        report.candidates.iter().try_for_each(|candidate| writeln!(f, "{}: {}", candidate.route, candidate.why))?;
        if let Some(answer) = &report.answer {
            writeln!(f, "{}: {}", answer.status, answer.why)?;
        }
        report.route.iter().try_for_each(|route| write_route(f, route))
    }
}

fn write_route(f: &mut fmt::Formatter<'_>, route: &Taken) -> fmt::Result {
    writeln!(f, "\nroute {}", route.name)?;
    route.chain.iter().try_for_each(|plugin| write_plugin(f, plugin))?;
    if let Some(redirect) = &route.redirect {
        return writeln!(f, "  redirect {}", json(redirect));
    }
    route.mirror.iter().try_for_each(|mirror| writeln!(f, "  mirror {}", json(mirror)))?;
    route.rewrite.iter().try_for_each(|rewrite| writeln!(f, "  rewrite {}", json(rewrite)))?;
    if let Some(component) = &route.component {
        return writeln!(f, "  component {component}");
    }
    match &*route.upstreams {
        [] => writeln!(f, "  no upstream: the chain answers"),
        [only] => write_upstream(f, only, ""),
        several => several.iter().try_for_each(|upstream| write_upstream(f, upstream, &format!(" (weight {})", upstream.weight))),
    }
}

fn json(rule: &impl serde::Serialize) -> String {
    serde_json::to_string(rule).expect("a rule is plain data")
}

fn write_plugin(f: &mut fmt::Formatter<'_>, plugin: &Plugin) -> fmt::Result {
    write!(f, "  plugin {}", plugin.name)?;
    if plugin.name != plugin.plugin {
        write!(f, " ({})", plugin.plugin)?;
    }
    writeln!(f, " version {} on_error {}", plugin.version, plugin.on_error)?;
    plugin.reference.iter().try_for_each(|reference| writeln!(f, "    from {reference}"))?;
    writeln!(f, "    {}", plugin.config)
}

fn write_upstream(f: &mut fmt::Formatter<'_>, upstream: &Upstream, share: &str) -> fmt::Result {
    writeln!(f, "  upstream {}{share}", upstream.name)?;
    upstream.endpoints.iter().try_for_each(|endpoint| writeln!(f, "    {} (weight {})", endpoint.url, endpoint.weight))?;
    upstream.discovery.iter().try_for_each(|discovery| writeln!(f, "    discovery {}", json(discovery)))
}
