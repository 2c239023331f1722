//! Other YAML than the document's: read into any type that describes itself, with problems as those of the document.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::check::Findings;
use super::misfit::Misfits;
use super::place::{Finding, KeyPath, Spot};
use super::problem::{Code, Problem, Problems};
use super::source::{Source, Sources};
use super::{schema, yaml};

/// Reads a text. Nothing in it is an empty map.
///
/// # Errors
/// Everything that is wrong with it, at once.
pub fn read<T: DeserializeOwned + JsonSchema>(source: Source) -> Result<T, Problems> {
    let parsed = yaml::read(&source.text);
    if !parsed.mistakes.is_empty() {
        return Err(mistakes(&source, parsed.mistakes));
    }
    let value = parsed.value.filter(|value| !value.is_null()).unwrap_or_else(|| Value::Object(Map::new()));
    let findings = misfits::<T>(&value);
    let findings = match (findings.is_empty(), serde_json::from_value(value)) {
        (true, Ok(read)) => return Ok(read),
        // What the schema lets through and the type does not is a gap in the schema; it has to be said all the same.
        (true, Err(error)) => {
            vec![Finding::new(Spot::File(0, KeyPath::default()), Code::Value, error.to_string(), "a value that can be read")]
        }
        (false, _) => findings,
    };
    let sources = Sources::new(vec![source], "");
    Err(Problems::new(sources.locate(findings)))
}

fn misfits<T: JsonSchema>(value: &Value) -> Vec<Finding> {
    let schema = schemars::schema_for!(T).to_value();
    let mut findings = Findings::default();
    let mut misfits = Misfits { at: Spot::File(0, KeyPath::default()), schema: &schema, findings: &mut findings };
    schema::validator(&schema).iter_errors(value).for_each(|error| misfits.error(&error));
    findings.into_list()
}

fn mistakes(source: &Source, mistakes: Vec<yaml::Mistake>) -> Problems {
    let lines: Vec<&str> = source.text.lines().collect();
    let problem = |mistake: yaml::Mistake| {
        let mut problem = Problem::with_file(&source.name, mistake.code, mistake.got, mistake.want);
        problem.set_position(mistake.line, mistake.column, &lines);
        problem
    };
    Problems::new(mistakes.into_iter().map(problem).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[serde(default)]
        names: BTreeMap<String, Vec<u32>>,
    }

    #[track_caller]
    fn refused(text: &str, said: &str) {
        let problems = read::<Sample>(Source::new("cases.yaml", text)).expect_err("refused").to_string();
        assert!(problems.contains(said), "{problems} should say {said}");
    }

    #[test]
    fn a_text_is_read_and_nothing_is_an_empty_map() {
        let read = |text: &str| read::<Sample>(Source::new("a", text)).unwrap();
        assert_eq!(read("names: {a: [1, 2]}").names["a"], [1, 2]);
        assert!(read("").names.is_empty());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        refused("names: {a: [1, }\n", "cases.yaml:1:");
        refused("name: {}", "cases.yaml:1:1");
        refused("names:\n  a: [1, x]\n", "cases.yaml:2:10");
    }
}
