//! The JSON Schema of the document, and the validator made from it.
//! The formats of the schema are the parsers of the document, so the two cannot disagree.

use jsonschema::Validator;
use schemars::Schema;
use schemars::transform::{RecursiveTransform, Transform};
use serde_json::{Value, json};

use super::document::Document;
use super::text::{Address, Cidr, HashOn, HedgeAfter, LogTarget, Sha256, Statuses, Text, Timestamp};
use super::units::{Percent, Period, Size};

/// The JSON Schema (2020-12) of the config document.
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(Document);
    RecursiveTransform(bound_integers).transform(&mut schema);
    schema.insert("title".into(), json!("Gatehouse configuration"));
    schema.to_value()
}

/// A validator for what `schema` describes.
pub(super) fn validator(schema: &Value) -> Validator {
    let mut options = jsonschema::options().should_validate_formats(true);
    for format in &FORMATS {
        options = options.with_format(format.name, |text: &str| (format.reason)(text).is_none());
    }
    options.build(schema).expect("a generated schema is a valid schema")
}

/// A way to write a value as text.
pub(super) struct Format {
    pub(super) name: &'static str,
    pub(super) want: &'static str,
    /// What is wrong with a text, if anything.
    pub(super) reason: fn(&str) -> Option<String>,
}

static FORMATS: [Format; 11] = [
    format::<Period>(),
    format::<Size>(),
    format::<Percent>(),
    format::<Address>(),
    format::<Cidr>(),
    format::<Sha256>(),
    format::<Timestamp>(),
    format::<LogTarget>(),
    format::<HashOn>(),
    format::<HedgeAfter>(),
    format::<Statuses>(),
];

/// The format with that name.
pub(super) fn find_format(name: &str) -> Option<&'static Format> {
    FORMATS.iter().find(|format| format.name == name)
}

const fn format<T: Text>() -> Format {
    Format { name: T::FORMAT, want: T::WANT, reason: |text| text.parse::<T>().err() }
}

// JSON Schema knows no machine integers: without a bound, 2^32 would pass here and fail in serde.
fn bound_integers(schema: &mut Schema) {
    if schema.get("format") == Some(&json!("uint32")) {
        schema.remove("format");
        schema.insert("maximum".into(), json!(u32::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_describes_every_field_of_every_type() {
        let schema = schema();
        let types = schema["$defs"].as_object().expect("definitions");
        let fields = types.iter().flat_map(|(name, schema)| {
            let properties = schema["properties"].as_object().into_iter().flatten();
            properties.map(move |(field, schema)| (format!("{name}.{field}"), schema))
        });
        let bare: Vec<String> = fields.filter(|(_, s)| s["description"].is_null()).map(|(field, _)| field).collect();
        assert_eq!(bare, Vec::<String>::new(), "fields without a description");
    }

    #[test]
    fn the_defaults_of_the_document_fit_its_own_schema() {
        let schema = schema();
        let document = serde_json::to_value(Document::default()).expect("plain data");
        assert!(validator(&schema).is_valid(&document), "{document}");
    }
}
