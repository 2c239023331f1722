//! What was expected against what came: each difference in a line, with the path of what was expected.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;

use super::bodies;
use super::capture::Line;
use super::cases::{self, Answered, Call, Content, Expect, Expected, Lines, Text};
use super::play::{self, Played};
use super::upstreams::Asked;
use super::world::World;

/// Bytes of a body that are shown.
const SHOWN: usize = 400;

/// Everything that is not as expected.
pub fn all(world: &World, expect: &Expect, played: &Played, logged: &[Line]) -> Vec<String> {
    let mut differences = Differences::default();
    differences.verdict(expect, played);
    if let Some(response) = &expect.response {
        differences.answered("response", response, &played.response);
    }
    differences.logs(&expect.logs, logged);
    differences.metrics(&expect.metrics, world);
    differences.kv(&expect.kv, world);
    if let Some(calls) = &expect.http {
        differences.calls(calls, &played.asked);
    }
    if let Some(client) = &expect.client {
        differences.same("client", client.as_str(), played.client.as_deref().unwrap_or("nobody"));
    }
    differences.0
}

#[derive(Default)]
struct Differences(Vec<String>);

impl Differences {
    fn add(&mut self, path: &str, want: impl Display, got: impl Display) {
        self.0.push(format!("{path}\n    - want {want}\n    + got  {got}"));
    }

    fn same<T: PartialEq + Display + ?Sized>(&mut self, path: &str, want: &T, got: &T) {
        if want != got {
            self.add(path, want, got);
        }
    }

    // === what the plugin decided ===

    fn verdict(&mut self, expect: &Expect, played: &Played) {
        if expect.refused.is_some() {
            return self.add("refused", "a configuration that is refused", "one that is taken");
        }
        match (&expect.fault, &played.fault) {
            (None, None) => {}
            (Some(part), Some(fault)) if fault.contains(part.as_str()) => {}
            (Some(part), fault) => self.add("fault", format_args!("{part:?}"), fault.as_deref().unwrap_or("none")),
            (None, Some(fault)) => self.add("fault", "none", fault.replace(" < ", "\n           < ")),
        }
        if let Some(next) = &expect.next {
            match &played.sent {
                Some(sent) => self.sent(next, sent),
                None => self.add("next", "a request that goes on", outcome(played)),
            }
        }
        if let Some(respond) = &expect.respond {
            match played.responded {
                true => self.answered("respond", respond, &played.response),
                false => self.add("respond", "an answer of the plugin", outcome(played)),
            }
        }
    }

    fn sent(&mut self, want: &cases::Sent, got: &play::Sent) {
        if let Some(method) = &want.method {
            self.same("next.method", method.as_str(), got.method.as_str());
        }
        if let Some(path) = &want.path {
            self.same("next.path", path, &got.path);
        }
        self.headers("next.headers", &want.headers, &got.headers);
        self.body("next.body", want.body.as_ref(), &got.body);
    }

    fn answered(&mut self, path: &str, want: &Answered, got: &play::Answered) {
        if let Some(status) = want.status {
            self.same(&format!("{path}.status"), &status, &got.status.as_u16());
        }
        self.headers(&format!("{path}.headers"), &want.headers, &got.headers);
        self.body(&format!("{path}.body"), want.body.as_ref(), &got.body);
    }

    // === parts of messages ===

    fn headers(&mut self, path: &str, want: &BTreeMap<String, Option<Lines>>, got: &HeaderMap) {
        for (name, lines) in want {
            let got: Vec<Vec<u8>> = got.get_all(name.as_str()).iter().map(|value| value.as_bytes().to_vec()).collect();
            let path = format!("{path}.{name}");
            match lines.as_ref().map_or_else(|| Ok(Vec::new()), play::lines) {
                Ok(want) if want == got => {}
                Ok(want) => self.add(&path, shown(&want), shown(&got)),
                Err(error) => self.0.push(format!("{path}: {error}")),
            }
        }
    }

    fn body(&mut self, path: &str, want: Option<&Expected>, got: &Bytes) {
        let text = |bytes: &[u8]| format!("{:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN)]));
        match want {
            None => {}
            Some(Expected::Contains { contains }) => {
                if memchr::memmem::find(got, contains.as_bytes()).is_none() {
                    self.add(path, format_args!("a body with {contains:?} in it"), text(got));
                }
            }
            Some(Expected::Content(Content::Json { json })) => {
                if serde_json::from_slice::<Value>(got).ok().as_ref() != Some(json) {
                    self.add(path, json, text(got));
                }
            }
            Some(Expected::Content(content)) => match bodies::bytes(content) {
                Ok(want) if want == got => {}
                Ok(want) => self.add(path, text(&want), text(got)),
                Err(error) => self.0.push(format!("{path}: {error}")),
            },
        }
    }

    // === what the plugin did beside ===

    fn logs(&mut self, want: &[String], logged: &[Line]) {
        let mut lines = logged.iter().filter(|line| line.is_plugins);
        for (place, part) in want.iter().enumerate() {
            if !lines.any(|line| line.text.contains(part.as_str())) {
                let said: Vec<&str> = logged.iter().filter(|line| line.is_plugins).map(|line| &*line.text).collect();
                return self.add(&format!("logs[{place}]"), format_args!("a line with {part:?}"), format_args!("{said:?}"));
            }
        }
    }

    fn metrics(&mut self, want: &BTreeMap<String, f64>, world: &World) {
        if want.is_empty() {
            return;
        }
        let published = published(&world.metrics.render(), &world.plugin);
        for (name, value) in want {
            let got = published.get(name);
            if got != Some(value) {
                let names = || published.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                let got = got.map_or_else(|| format!("none of that name, but [{}]", names()), ToString::to_string);
                self.add(&format!("metrics[{name:?}]"), value, got);
            }
        }
    }

    fn kv(&mut self, want: &BTreeMap<String, Option<Text>>, world: &World) {
        for (key, want) in want {
            let got = world.kv.get(key, Instant::now()).map(|value| String::from_utf8_lossy(&value).into_owned());
            let want = want.as_ref().map(ToString::to_string);
            if want != got {
                self.add(&format!("kv.{key}"), want.as_deref().unwrap_or("nothing"), got.as_deref().unwrap_or("nothing"));
            }
        }
    }

    fn calls(&mut self, want: &[Call], got: &[Asked]) {
        if want.len() != got.len() {
            let made: Vec<String> = got.iter().map(|call| format!("{} {} of {}", call.method, call.path, call.upstream)).collect();
            return self.add("http", format_args!("{} calls", want.len()), format_args!("{made:?}"));
        }
        for (place, (want, got)) in want.iter().zip(got).enumerate() {
            self.call(&format!("http[{place}]"), want, got);
        }
    }

    fn call(&mut self, path: &str, want: &Call, got: &Asked) {
        self.same(&format!("{path}.upstream"), &want.upstream, &got.upstream);
        if let Some(method) = &want.method {
            self.same(&format!("{path}.method"), method.as_str(), got.method.as_str());
        }
        if let Some(wanted) = &want.path {
            self.same(&format!("{path}.path"), wanted, &got.path);
        }
        self.headers(&format!("{path}.headers"), &want.headers, &got.headers);
        self.body(&format!("{path}.body"), want.body.as_ref(), &got.body);
    }
}

fn outcome(played: &Played) -> String {
    match (&played.fault, &played.sent) {
        (Some(_), _) => "a fault".into(),
        (None, Some(_)) => "a request that goes on".into(),
        (None, None) => format!("an answer with status {}", played.response.status.as_u16()),
    }
}

fn shown(lines: &[Vec<u8>]) -> String {
    match lines {
        [] => "none".into(),
        lines => lines.iter().map(|line| format!("{:?}", String::from_utf8_lossy(line))).collect::<Vec<_>>().join(", "),
    }
}

/// The plugin's own series, by their names without what all of them have.
fn published(text: &str, plugin: &str) -> BTreeMap<String, f64> {
    let label = format!("plugin=\"{plugin}\"");
    let series = text.lines().filter(|line| line.starts_with("gatehouse_plugin_") && line.contains(&label));
    let sample = |line: &str| {
        let (name, value) = line.strip_prefix("gatehouse_plugin_")?.rsplit_once(' ')?;
        let name = name.replace(&format!("{label},"), "").replace(&label, "").replace("{}", "");
        Some((name, value.parse().ok()?))
    };
    series.filter_map(sample).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_known_by_what_is_theirs() {
        let text = "gatehouse_plugin_seen_total{plugin=\"a.0\",kind=\"x\"} 2\n\
            gatehouse_plugin_level{plugin=\"a.0\"} -1.5\n\
            gatehouse_plugin_level{plugin=\"a.1\"} 7\n";
        let published = published(text, "a.0");
        assert_eq!(published.into_iter().collect::<Vec<_>>(), [("level".into(), -1.5), ("seen_total{kind=\"x\"}".into(), 2.0)]);
    }
}
