//! What a JSON Schema validator says, put into the words of our own findings: the schema of the document speaks through
//! this, and so do the schemas of plugins.

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::paths::{Location, LocationSegment};
use jsonschema::{JsonType, ValidationError};
use serde_json::Value;

use super::check::Findings;
use super::place::{Finding, KeyPath, Segment, Spot};
use super::problem::Code;
use super::schema;

/// Turns errors of one value into findings.
pub(super) struct Misfits<'a> {
    /// Where the value is.
    pub(super) at: Spot,
    pub(super) schema: &'a Value,
    pub(super) findings: &'a mut Findings,
}

impl<'a> Misfits<'a> {
    /// Adds what an error says.
    pub(super) fn error(&mut self, error: &ValidationError<'_>) {
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected } => self.unknown_keys(error, unexpected),
            ValidationErrorKind::Required { property } => self.missing(error, property),
            ValidationErrorKind::Type { kind } => self.wrong_type(error, kind),
            ValidationErrorKind::Format { format } => self.wrong_format(error, format),
            ValidationErrorKind::Enum { options } => self.not_an_option(error, &texts(options)),
            ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
                self.no_branch(error, context);
            }
            ValidationErrorKind::Minimum { limit } => self.add(error, Code::Value, format!("{limit} or more")),
            ValidationErrorKind::Maximum { limit } => self.add(error, Code::Value, format!("{limit} or less")),
            ValidationErrorKind::ExclusiveMinimum { limit } => self.add(error, Code::Value, format!("> {limit}")),
            ValidationErrorKind::ExclusiveMaximum { limit } => self.add(error, Code::Value, format!("< {limit}")),
            ValidationErrorKind::MinLength { limit } => self.add(error, Code::Value, format!("{limit} or more characters")),
            ValidationErrorKind::MaxLength { limit } => self.add(error, Code::Value, format!("{limit} or fewer characters")),
            ValidationErrorKind::MinItems { limit } => self.wrong_count(error, format!("{limit} or more")),
            ValidationErrorKind::MaxItems { limit } => self.wrong_count(error, format!("{limit} or fewer")),
            ValidationErrorKind::Pattern { pattern } => self.add(error, Code::Value, format!("a text that matches {pattern}")),
            ValidationErrorKind::Constant { expected_value } => self.add(error, Code::Value, expected_value.to_string()),
            ValidationErrorKind::UniqueItems => self.add(error, Code::Conflict, "each item once".into()),
            ValidationErrorKind::OneOfMultipleValid { .. } => self.add(error, Code::Conflict, "only one of the forms of the schema".into()),
            ValidationErrorKind::UnevaluatedProperties { unexpected } => self.unknown_keys(error, unexpected),
            ValidationErrorKind::FalseSchema => self.add(error, Code::Conflict, "nothing here".into()),
            ValidationErrorKind::Not { schema } => self.excluded(error, schema),
            _ => self.add(error, Code::Value, format!("a valid value ({})", error.to_string().chars().take(200).collect::<String>())),
        }
    }

    fn add(&mut self, error: &ValidationError<'_>, code: Code, want: String) {
        self.findings.add(Finding::new(self.spot(error), code, describe(error.instance()), want));
    }

    fn spot(&self, error: &ValidationError<'_>) -> Spot {
        self.at.join(&key_path(error.instance_path()))
    }

    fn unknown_keys(&mut self, error: &ValidationError<'_>, unexpected: &[String]) {
        let known = self.schema_around(error).and_then(|schema| schema["properties"].as_object());
        let known: Vec<&str> = known.into_iter().flat_map(|keys| keys.keys().map(String::as_str)).collect();
        for key in unexpected {
            let spot = self.at.join(&key_path(error.instance_path()).key(key));
            let want = one_of(&known);
            let hint = self.findings.suggest(key, known.iter().copied());
            let finding = Finding::new(spot, Code::UnknownKey, format!("the unknown key {key:?}"), want);
            self.findings.add(finding.on_key().maybe_hint(hint));
        }
    }

    fn missing(&mut self, error: &ValidationError<'_>, property: &Value) {
        let property = property.as_str().unwrap_or_default();
        let spot = self.at.join(&key_path(error.instance_path()).key(property));
        self.findings.add(Finding::new(spot, Code::Missing, "nothing", format!("{property:?}, which is required")));
    }

    fn wrong_type(&mut self, error: &ValidationError<'_>, kind: &TypeKind) {
        if self.schema_around(error).is_some_and(is_secret) {
            // Its value is not repeated: it may be the secret itself.
            return self.findings.add(Finding::new(self.spot(error), Code::Type, "a value", "{env: NAME} or {file: PATH}"));
        }
        let types = types_of(kind);
        let format = self.schema_around(error).and_then(|schema| schema["format"].as_str()).and_then(schema::find_format);
        let want = match format {
            Some(format) => format.want.to_string(),
            None => one_of(&types.iter().filter(|kind| **kind != JsonType::Null).map(|kind| type_name(*kind)).collect::<Vec<_>>()),
        };
        let hint = type_hint(error.instance(), &types, &want);
        let finding = Finding::new(self.spot(error), Code::Type, describe(error.instance()), want);
        self.findings.add(finding.maybe_hint(hint));
    }

    fn wrong_format(&mut self, error: &ValidationError<'_>, name: &str) {
        let text = error.instance().as_str().unwrap_or_default();
        let Some(format) = schema::find_format(name) else {
            return self.add(error, Code::Value, name.to_string());
        };
        let mut got = describe(error.instance());
        if let Some(reason) = (format.reason)(text) {
            got = format!("{got} ({reason})");
        }
        self.findings.add(Finding::new(self.spot(error), Code::Value, got, format.want));
    }

    fn not_an_option(&mut self, error: &ValidationError<'_>, options: &[String]) {
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let word = error.instance().as_str().unwrap_or_default();
        let hint = match word {
            // The one capability that must say for what.
            "http" if options.contains(&"rate-limit") => Some("write http: [UPSTREAM, …]".to_string()),
            _ => self.findings.suggest(word, options.iter().copied()),
        };
        let finding = Finding::new(self.spot(error), Code::Value, describe(error.instance()), one_of(&options));
        self.findings.add(finding.maybe_hint(hint));
    }

    fn wrong_count(&mut self, error: &ValidationError<'_>, want: String) {
        let items = error.instance().as_array().map_or(0, Vec::len);
        self.findings.add(Finding::new(self.spot(error), Code::Value, format!("{items} items"), want));
    }

    // Keys that exclude each other are written in a schema as `not: {required: [a, b]}`.
    fn excluded(&mut self, error: &ValidationError<'_>, schema: &Value) {
        match texts(&schema["required"]).as_slice() {
            [] => self.add(error, Code::Value, format!("anything that does not fit {schema}")),
            keys => {
                let finding = Finding::new(self.spot(error), Code::Conflict, keys.join(" and "), "no more than one of them");
                self.findings.add(finding);
            }
        }
    }

    // None of several shapes fits: speak of the one that was meant, or of the texts that were allowed.
    fn no_branch(&mut self, error: &ValidationError<'_>, branches: &[Vec<ValidationError<'static>>]) {
        let options: Vec<String> = branches.iter().flatten().flat_map(allowed_texts).collect();
        let meant: Vec<&Vec<ValidationError<'static>>> =
            branches.iter().filter(|errors| !errors.iter().any(|inner| is_other_type(inner, error))).collect();
        match meant.as_slice() {
            [one] if !one.iter().all(|inner| is_choice(inner)) => one.iter().for_each(|inner| self.error(inner)),
            _ if !options.is_empty() => self.not_an_option(error, &options),
            [] => branches.iter().flatten().take(1).for_each(|inner| self.error(inner)),
            _ => self.add(error, Code::Value, "one of the forms of the schema".into()),
        }
    }

    // The schema whose keyword has failed.
    fn schema_around(&self, error: &ValidationError<'_>) -> Option<&'a Value> {
        let pointer = error.schema_path().as_str();
        let (around, _) = pointer.rsplit_once('/')?;
        self.schema.pointer(around)
    }
}

fn is_other_type(inner: &ValidationError<'_>, outer: &ValidationError<'_>) -> bool {
    matches!(inner.kind(), ValidationErrorKind::Type { .. }) && inner.instance_path() == outer.instance_path()
}

fn is_choice(error: &ValidationError<'_>) -> bool {
    matches!(error.kind(), ValidationErrorKind::Constant { .. } | ValidationErrorKind::Enum { .. })
}

fn allowed_texts(error: &ValidationError<'static>) -> Vec<String> {
    match error.kind() {
        ValidationErrorKind::Constant { expected_value } => expected_value.as_str().map(str::to_string).into_iter().collect(),
        ValidationErrorKind::Enum { options } => texts(options),
        _ => Vec::new(),
    }
}

fn texts(options: &Value) -> Vec<String> {
    options.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_string).collect()
}

/// A place as the validator names it.
pub(super) fn key_path(location: &Location) -> KeyPath {
    let segments = location.segments().map(|segment| match segment {
        LocationSegment::Property(key) => Segment::Key(key.into_owned()),
        LocationSegment::Index(index) => Segment::Index(index),
    });
    segments.collect::<Vec<_>>().into()
}

/// A value in a few words.
pub(super) fn describe(value: &Value) -> String {
    const LONGEST: usize = 60;
    match value {
        Value::Null => "nothing".into(),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "a map".into(),
        Value::String(text) if text.chars().count() > LONGEST => {
            format!("{:?}", text.chars().take(LONGEST).chain(['…']).collect::<String>())
        }
        scalar => scalar.to_string(),
    }
}

fn one_of(options: &[&str]) -> String {
    match options {
        [] => "nothing".into(),
        [one] => (*one).to_string(),
        [first, second] => format!("{first} or {second}"),
        many => format!("one of {}", many.join(", ")),
    }
}

fn types_of(kind: &TypeKind) -> Vec<JsonType> {
    match kind {
        TypeKind::Single(one) => vec![*one],
        TypeKind::Multiple(many) => many.iter().collect(),
    }
}

fn type_name(kind: JsonType) -> &'static str {
    match kind {
        JsonType::Array => "a list",
        JsonType::Boolean => "true or false",
        JsonType::Integer => "a whole number",
        JsonType::Null => "nothing",
        JsonType::Number => "a number",
        JsonType::Object => "a map",
        JsonType::String => "a text",
    }
}

// What a `Secret` is in a schema: two keys that say where it is.
fn is_secret(schema: &Value) -> bool {
    schema["properties"].as_object().is_some_and(|keys| keys.len() == 2 && ["env", "file"].iter().all(|key| keys.contains_key(*key)))
}

fn type_hint(value: &Value, types: &[JsonType], want: &str) -> Option<String> {
    let wants = |kind| types.contains(&kind);
    match value {
        Value::Number(number) if want.starts_with("a duration") => Some(format!("write {number}s for seconds")),
        Value::Number(number) if want.starts_with("a percentage") => Some(format!("write {number}%")),
        Value::Number(_) | Value::Bool(_) if wants(JsonType::String) => Some(format!("write \"{value}\" in quotes")),
        Value::String(text) if wants(JsonType::Boolean) => match text.as_str() {
            "yes" | "on" | "y" => Some("write true".into()),
            "no" | "off" | "n" => Some("write false".into()),
            _ => None,
        },
        Value::String(_) | Value::Number(_) if wants(JsonType::Array) => Some(format!("write [{}]", describe(value))),
        _ => None,
    }
}
