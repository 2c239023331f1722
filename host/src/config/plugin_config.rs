//! The configuration of a step held against the JSON Schema that its plugin exports. The schema is a stranger's work:
//! it is bounded, and fetches nothing.

mod bound;

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::{Map, Value};
use thiserror::Error;

use super::check::Findings;
use super::misfit::Misfits;
use super::place::{Finding, KeyPath, Spot};

/// The largest schema that is looked at.
const LARGEST: usize = 256 << 10;

/// The JSON Schema of a plugin's configuration.
#[derive(Debug)]
pub struct ConfigSchema {
    schema: Value,
    validator: Validator,
}

/// Why a plugin's schema is not used.
#[derive(Debug, Error)]
pub enum SchemaError {
    /// More text than any schema needs.
    #[error("the schema has {0} bytes, more than {LARGEST}")]
    Large(usize),
    /// Not JSON.
    #[error("the schema is not JSON")]
    NotJson(#[from] serde_json::Error),
    /// Validating by it might take for ever.
    #[error("the schema may take for ever: {0}")]
    Unbounded(String),
    /// Not a schema.
    #[error("the schema cannot be used: {0}")]
    Unusable(String),
}

impl ConfigSchema {
    /// Reads a schema.
    ///
    /// # Errors
    /// When it is too large, or no schema.
    pub fn parse(text: &str) -> Result<Self, SchemaError> {
        if text.len() > LARGEST {
            return Err(SchemaError::Large(text.len()));
        }
        let schema: Value = serde_json::from_str(text)?;
        bound::check(&schema).map_err(SchemaError::Unbounded)?;
        // The default engine backtracks, and so can be kept busy for ever.
        let options = jsonschema::options().with_draft(Draft::Draft202012).with_pattern_options(PatternOptions::regex());
        let validator = options.build(&schema).map_err(|error| SchemaError::Unusable(error.to_string()))?;
        Ok(ConfigSchema { schema, validator })
    }

    /// What does not fit of a configuration that stands at a place; none is an empty one.
    pub fn review(&self, config: &Value, at: KeyPath) -> Vec<Finding> {
        let empty = Value::Object(Map::new());
        let config = if config.is_null() { &empty } else { config };
        let mut findings = Findings::default();
        let mut misfits = Misfits { at: Spot::Document(at), schema: &self.schema, findings: &mut findings };
        self.validator.iter_errors(config).for_each(|error| misfits.error(&error));
        findings.into_list()
    }

    /// The configuration with the defaults of what it does not speak of. None is an empty one.
    pub fn with_defaults(&self, config: &Value) -> Value {
        let mut whole = if config.is_null() { Value::Object(Map::new()) } else { config.clone() };
        self.fill(&mut whole, &self.schema);
        whole
    }

    fn fill(&self, value: &mut Value, schema: &Value) {
        let schema = self.resolve(schema);
        match value {
            Value::Object(map) => {
                let properties = schema.get("properties").and_then(Value::as_object);
                properties.into_iter().flatten().for_each(|(name, property)| self.fill_property(map, name, property));
            }
            Value::Array(items) => {
                let of_items = schema.get("items");
                of_items.into_iter().for_each(|schema| items.iter_mut().for_each(|item| self.fill(item, schema)));
            }
            _ => {}
        }
    }

    fn fill_property(&self, map: &mut Map<String, Value>, name: &str, property: &Value) {
        if let Some(inner) = map.get_mut(name) {
            return self.fill(inner, property);
        }
        let default = property.get("default").or_else(|| self.resolve(property).get("default"));
        if let Some(default) = default.filter(|default| !default.is_null()) {
            map.insert(name.to_owned(), default.clone());
        }
    }

    /// What a schema refers to within its document. One that refers to itself was refused.
    fn resolve<'a>(&'a self, mut schema: &'a Value) -> &'a Value {
        let target = |schema: &'a Value| self.schema.pointer(schema.get("$ref")?.as_str()?.strip_prefix('#')?);
        while let Some(found) = target(schema) {
            schema = found;
        }
        schema
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::source::Sources;
    use serde_json::json;

    const SCHEMA: &str = r##"{
        "type": "object", "additionalProperties": false, "required": ["rate"],
        "properties": {
            "rate": {"type": "number", "exclusiveMinimum": 0},
            "burst": {"type": "integer", "minimum": 1, "exclusiveMaximum": 10},
            "mode": {"enum": ["soft", "hard"]},
            "names": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/name"}},
            "a": {}, "b": {}
        },
        "not": {"required": ["a", "b"]},
        "$defs": {"name": {"type": "string", "pattern": "^[a-z]+$"}}
    }"##;

    #[track_caller]
    fn says(config: &Value, expected: &[&str]) {
        let schema = ConfigSchema::parse(SCHEMA).expect("a good schema");
        let at = KeyPath::default().key("routes").index(2).key("chain").index(0).key("config");
        let problems = Sources::default().locate(schema.review(config, at));
        let mut printed: Vec<String> = problems.iter().map(ToString::to_string).collect();
        printed.sort();
        assert_eq!(printed, expected, "what is said of {config}");
    }

    #[test]
    fn what_does_not_fit_a_plugins_schema_is_shown_in_the_words_of_the_document() {
        says(&json!({"rate": 1, "burst": 9, "mode": "soft", "names": ["x"], "a": 1}), &[]);
        says(&json!({"rate": 0}), &["routes[2].chain[0].config.rate: got 0, want > 0"]);
        says(
            &json!({"rate": "5", "burst": 10, "mode": "sotf", "names": []}),
            &[
                "routes[2].chain[0].config.burst: got 10, want < 10",
                "routes[2].chain[0].config.mode: got \"sotf\", want soft or hard (hint: did you mean soft?)",
                "routes[2].chain[0].config.names: got 0 items, want 1 or more",
                "routes[2].chain[0].config.rate: got \"5\", want a number",
            ],
        );
        says(
            &json!({"rate": 1, "brst": 2, "names": ["x", "X"]}),
            &[
                "routes[2].chain[0].config.brst: got the unknown key \"brst\", want one of a, b, burst, mode, names, rate (hint: did you mean burst?)",
                "routes[2].chain[0].config.names[1]: got \"X\", want a text that matches ^[a-z]+$",
            ],
        );
        says(&json!({"rate": 1, "a": 1, "b": 2}), &["routes[2].chain[0].config: got a and b, want no more than one of them"]);
    }

    #[test]
    fn no_configuration_is_an_empty_one() {
        says(&Value::Null, &["routes[2].chain[0].config.rate: got nothing, want \"rate\", which is required"]);
    }

    #[track_caller]
    fn unusable(text: &str, said: &str) {
        let error = ConfigSchema::parse(text).expect_err("no usable schema").to_string();
        assert!(error.contains(said), "{error:?} should contain {said:?}");
    }

    #[test]
    fn schemas_that_ask_for_too_much_are_not_used() {
        unusable("{", "not JSON");
        unusable("5", "cannot be used");
        unusable(r#"{"$ref": "file:///etc/hostname"}"#, "not a pointer");
        unusable(r#"{"pattern": "(?=x)"}"#, "cannot be used");
        unusable(&format!("{{\"title\": \"{}\"}}", "x".repeat(LARGEST)), "more than 262144");
    }

    #[test]
    fn what_a_config_does_not_speak_of_is_as_the_schema_says() {
        let schema = r##"{
            "properties": {
                "on": {"default": true},
                "none": {"default": null},
                "parts": {"items": {"$ref": "#/$defs/part"}},
                "inner": {"$ref": "#/$defs/part"},
                "far": {"$ref": "#/$defs/to-part"}
            },
            "$defs": {
                "part": {"properties": {"timeout": {"default": "1s"}}, "default": {"a": 1}},
                "to-part": {"$ref": "#/$defs/part"}
            }
        }"##;
        let schema = ConfigSchema::parse(schema).expect("a good schema");
        assert_eq!(schema.with_defaults(&Value::Null), json!({"on": true, "inner": {"a": 1}, "far": {"a": 1}}));
        let config = json!({"on": false, "parts": [{}, {"timeout": "2s"}], "inner": {}, "far": {}});
        let whole =
            json!({"on": false, "parts": [{"timeout": "1s"}, {"timeout": "2s"}], "inner": {"timeout": "1s"}, "far": {"timeout": "1s"}});
        assert_eq!(schema.with_defaults(&config), whole);
    }
}
