//! The shape of a document: each file with something broken in it is held against the JSON Schema,
//! and what the validator says is put into the words of our own findings.

use std::collections::HashSet;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::paths::{Location, LocationSegment};
use jsonschema::{JsonType, ValidationError};
use serde_json::Value;

use super::Findings;
use super::draft::{Draft, SINGLES};
use crate::config::place::{Finding, KeyPath, Segment, Spot};
use crate::config::problem::Code;
use crate::config::schema;
use crate::config::yaml::Parsed;

/// Finds what is wrong with the shape of each file.
pub(super) fn review(draft: &Draft, parsed: &[Parsed], findings: &mut Findings) {
    let broken = draft.broken();
    review_singles(draft, findings);
    if broken.is_empty() && draft.unfit.is_empty() {
        return;
    }
    let schema = schema::schema();
    let validator = schema::validator(&schema);
    let suspects: HashSet<usize> = broken.iter().map(|(file, ..)| *file).chain(draft.unfit.iter().copied()).collect();
    for (file, parsed) in parsed.iter().enumerate() {
        let suspect = suspects.contains(&file);
        let Some(value) = parsed.value.as_ref().filter(|_| suspect) else { continue };
        let mut review = Review { file, schema: &schema, findings };
        validator.iter_errors(value).for_each(|error| review.error(&error));
    }
    add_unexplained(&broken, findings);
}

// What serde refuses and the schema does not is a gap in the schema, but the user must hear of it all the same.
fn add_unexplained(broken: &[(usize, &'static str, Option<usize>, &str)], findings: &mut Findings) {
    let explained: HashSet<Spot> = findings.iter().map(|finding| item_of(&finding.spot)).collect();
    for (file, section, index, error) in broken {
        let section = KeyPath::default().key(*section);
        let path = index.map_or(section.clone(), |index| section.index(index));
        let spot = Spot::File(*file, path);
        if !explained.contains(&spot) {
            findings.add(Finding::new(spot, Code::Value, *error, "a valid item"));
        }
    }
}

// The item that a place is in: `routes[2]` for `routes[2].chain`, `drain` for `drain.deadline`.
fn item_of(spot: &Spot) -> Spot {
    let (Spot::File(_, path) | Spot::Document(path)) = spot;
    let length = if matches!(path.segments().get(1), Some(Segment::Index(_))) { 2 } else { 1 };
    let item: KeyPath = path.segments().iter().take(length).cloned().collect::<Vec<_>>().into();
    match spot {
        Spot::File(file, _) => Spot::File(*file, item),
        Spot::Document(_) => Spot::Document(item),
    }
}

fn review_singles(draft: &Draft, findings: &mut Findings) {
    let files = [
        draft.admin.iter().map(|slot| slot.file).collect::<Vec<_>>(),
        draft.access_log.iter().map(|slot| slot.file).collect(),
        draft.drain.iter().map(|slot| slot.file).collect(),
    ];
    for (section, files) in SINGLES.iter().zip(files) {
        for file in files.iter().skip(1) {
            let spot = Spot::File(*file, KeyPath::default().key(*section));
            let got = format!("a second {section}");
            findings.add(Finding::new(spot, Code::Conflict, got, "one in all files together").on_key());
        }
    }
}

struct Review<'a> {
    file: usize,
    schema: &'a Value,
    findings: &'a mut Findings,
}

impl<'a> Review<'a> {
    fn error(&mut self, error: &ValidationError<'_>) {
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
            _ => self.add(error, Code::Value, format!("a valid value ({error})")),
        }
    }

    fn add(&mut self, error: &ValidationError<'_>, code: Code, want: String) {
        self.findings.add(Finding::new(self.spot(error), code, describe(error.instance()), want));
    }

    fn spot(&self, error: &ValidationError<'_>) -> Spot {
        Spot::File(self.file, key_path(error.instance_path()))
    }

    fn unknown_keys(&mut self, error: &ValidationError<'_>, unexpected: &[String]) {
        let known = self.schema_around(error).and_then(|schema| schema["properties"].as_object());
        let known: Vec<&str> = known.into_iter().flat_map(|keys| keys.keys().map(String::as_str)).collect();
        for key in unexpected {
            let path = key_path(error.instance_path()).key(key);
            let want = one_of(&known);
            let hint = self.findings.suggest(key, known.iter().copied());
            let spot = Spot::File(self.file, path);
            let finding = Finding::new(spot, Code::UnknownKey, format!("the unknown key {key:?}"), want);
            self.findings.add(finding.on_key().maybe_hint(hint));
        }
    }

    fn missing(&mut self, error: &ValidationError<'_>, property: &Value) {
        let property = property.as_str().unwrap_or_default();
        let spot = Spot::File(self.file, key_path(error.instance_path()).key(property));
        self.findings.add(Finding::new(spot, Code::Missing, "nothing", format!("{property:?}, which is required")));
    }

    fn wrong_type(&mut self, error: &ValidationError<'_>, kind: &TypeKind) {
        let types = types_of(kind);
        let format = self.schema_around(error).and_then(|schema| schema["format"].as_str()).and_then(schema::find_format);
        let want = match format {
            Some(format) => format.want.to_string(),
            None => one_of(&types.iter().filter(|kind| **kind != JsonType::Null).map(|kind| type_name(*kind)).collect::<Vec<_>>()),
        };
        let hint = type_hint(error.instance(), &types, want.starts_with("a duration"));
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

fn key_path(location: &Location) -> KeyPath {
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

fn type_hint(value: &Value, types: &[JsonType], duration: bool) -> Option<String> {
    let wants = |kind| types.contains(&kind);
    match value {
        Value::Number(number) if duration => Some(format!("write {number}s for seconds")),
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
