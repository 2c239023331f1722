//! JSON read strictly, for what strangers sign or publish: no member named twice, no deep nesting.

use std::fmt;

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

/// Reads one JSON object, `depth` levels deep at most, itself included.
///
/// A member named twice is an error: two readers could each believe another of the two.
pub fn object(text: &[u8], depth: usize) -> serde_json::Result<Map<String, Value>> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = Strict { depth }.deserialize(&mut reader)?;
    reader.end()?;
    match value {
        Value::Object(members) => Ok(members),
        _ => Err(serde_json::Error::custom("not a JSON object")),
    }
}

#[derive(Debug, Clone, Copy)]
struct Strict {
    // Levels that may still open.
    depth: usize,
}

impl Strict {
    fn inner<E: Error>(self) -> Result<Self, E> {
        match self.depth.checked_sub(1) {
            Some(depth) => Ok(Self { depth }),
            None => Err(E::custom("nested too deep")),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut values = Vec::new();
        while let Some(value) = elements.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut values = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(inner)?;
            if values.contains_key(&name) {
                return Err(A::Error::custom(format_args!("member {name:?} is there twice")));
            }
            values.insert(name, value);
        }
        Ok(Value::Object(values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_reads_as_itself() {
        let text = r#"{"a":[null,true,-1,1.5,18446744073709551615,"x",{"b":{}}]}"#;
        let expected: Map<String, Value> = serde_json::from_str(text).unwrap();
        assert_eq!(object(text.as_bytes(), 8).unwrap(), expected, "as serde_json reads it");
    }

    #[test]
    fn what_is_doubtful_is_refused() {
        for (text, why) in [
            (r#"{"a":1,"a":1}"#, "a member twice"),
            (r#"{"a":{"b":1,"c":2,"b":1}}"#, "twice further down"),
            (r#"{"a":1,"\u0061":1}"#, "twice in other letters"),
            (r#"{"a":1}x"#, "something after the end"),
            (r#"[1]"#, "no object"),
            (r#"{"a":1e999}"#, "no number"),
            ("{\"a\":\"\u{0}\"}", "a bare control character"),
            ("", "nothing"),
        ] {
            assert!(object(text.as_bytes(), 8).is_err(), "{why}");
        }
        assert!(object(b"{\"a\":\"\xff\"}", 8).is_err(), "not UTF-8");
    }

    #[test]
    fn depth_counts_objects_and_arrays() {
        let nested = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
        assert!(object(nested(8).as_bytes(), 8).is_ok(), "eight levels");
        assert!(object(nested(9).as_bytes(), 8).is_err(), "nine levels");
        assert!(object(nested(4_000).as_bytes(), 8).is_err(), "very many");
    }
}
