//! A bound on the work that a schema can ask for: its references followed, it stays a small tree. Otherwise a few lines
//! that refer to each other twice over would keep a reload busy for ever.

use std::collections::HashMap;
use std::ptr;

use serde_json::Value;

/// Values in a schema, each counted as often as something leads to it.
const MOST_VALUES: usize = 20_000;
/// Values inside each other.
const DEEPEST: usize = 200;

/// Whether validating by a schema ends soon; if not, why.
pub(super) fn check(schema: &Value) -> Result<(), String> {
    let mut walk = Walk { root: schema, extents: HashMap::new() };
    walk.extent(schema, 0).map(drop)
}

struct Walk<'a> {
    root: &'a Value,
    /// Of what was measured; none while it is being measured.
    extents: HashMap<*const Value, Option<Extent>>,
}

/// How much is in a value.
#[derive(Clone, Copy)]
struct Extent {
    values: usize,
    height: usize,
}

impl<'a> Walk<'a> {
    fn extent(&mut self, value: &'a Value, depth: usize) -> Result<Extent, String> {
        match self.extents.get(&ptr::from_ref(value)) {
            Some(Some(extent)) => return Ok(*extent),
            Some(None) => return Err("it refers to itself".into()),
            None if depth > DEEPEST => return Err(too_deep()),
            None => {}
        }
        self.extents.insert(value, None);
        let mut whole = Extent { values: 1, height: 1 };
        for inside in self.parts(value)? {
            let inside = self.extent(inside, depth + 1)?;
            whole = Extent { values: whole.values + inside.values, height: whole.height.max(inside.height + 1) };
            if whole.values > MOST_VALUES {
                return Err(format!("it unfolds to more than {MOST_VALUES} values"));
            }
        }
        // What was measured before was measured at another depth.
        if whole.height > DEEPEST {
            return Err(too_deep());
        }
        self.extents.insert(value, Some(whole));
        Ok(whole)
    }

    fn parts(&self, value: &'a Value) -> Result<Vec<&'a Value>, String> {
        match value {
            Value::Array(items) => Ok(items.iter().collect()),
            Value::Object(map) => {
                let in_root = ptr::eq(map, self.root_map());
                let referred = map.iter().filter_map(|(key, value)| self.referred(key, value, in_root));
                let referred = referred.collect::<Result<Vec<_>, _>>()?;
                Ok(map.iter().filter(|(key, _)| !(in_root && is_shelf(key))).map(|(_, value)| value).chain(referred).collect())
            }
            _ => Ok(Vec::new()),
        }
    }

    fn root_map(&self) -> *const serde_json::Map<String, Value> {
        self.root.as_object().map_or(ptr::null(), ptr::from_ref)
    }

    // Only references that are followed the same way here and by the validator: by a plain pointer from the root.
    fn referred(&self, key: &str, value: &'a Value, in_root: bool) -> Option<Result<&'a Value, String>> {
        let text = value.as_str()?;
        match key {
            "$ref" => {
                let target = text.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
                Some(target.ok_or_else(|| format!("the reference {text:?} is not a pointer to a part of it")))
            }
            "$dynamicRef" | "$recursiveRef" => Some(Err(format!("it has a {key}"))),
            "$id" if !in_root => Some(Err("it has a schema with an $id inside".into())),
            _ => None,
        }
    }
}

/// Definitions take part where something refers to them.
fn is_shelf(key: &str) -> bool {
    key == "$defs" || key == "definitions"
}

fn too_deep() -> String {
    format!("it is nested more than {DEEPEST} deep")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Map, json};

    #[track_caller]
    fn refuses(schema: &Value, said: &str) {
        let error = check(schema).expect_err("a schema without a bound");
        assert!(error.contains(said), "{error:?} should contain {said:?}");
    }

    // Each definition asks for the next one twice.
    fn doubling(levels: usize) -> Value {
        let next = |level: usize| json!({"$ref": format!("#/$defs/{}", level + 1)});
        let mut defs: Map<String, Value> =
            (0..levels).map(|level| (level.to_string(), json!({"allOf": [next(level), next(level)]}))).collect();
        defs.insert(levels.to_string(), json!({"type": "object"}));
        json!({"$ref": "#/$defs/0", "$defs": defs})
    }

    #[test]
    fn schemas_that_unfold_without_end_are_refused() {
        refuses(&json!({"$ref": "#"}), "refers to itself");
        refuses(&json!({"items": {"$ref": "#/$defs/a"}, "$defs": {"a": {"items": {"$ref": "#/$defs/a"}}}}), "refers to itself");
        refuses(&doubling(40), "unfolds to more than");
    }

    #[test]
    fn long_chains_of_references_are_refused_however_they_are_met() {
        let link = |at: usize| (at.to_string(), json!({"$ref": format!("#/$defs/{}", at - 1)}));
        let mut chain: Map<String, Value> = (1..=300).map(link).collect();
        chain.insert("0".into(), json!({}));
        let refer = |to: &[usize]| -> Vec<Value> { to.iter().map(|to| json!({"$ref": format!("#/$defs/{to}")})).collect() };
        assert_eq!(check(&json!({"allOf": refer(&[150]), "$defs": chain})), Ok(()), "half of it is not too long");
        refuses(&json!({"allOf": refer(&[300]), "$defs": chain}), "nested more than");
        refuses(&json!({"allOf": refer(&[150, 300]), "$defs": chain}), "nested more than");
    }

    #[test]
    fn references_that_only_the_validator_understands_are_refused() {
        refuses(&json!({"$ref": "#a%20b"}), "not a pointer");
        refuses(&json!({"$ref": "other.json"}), "not a pointer");
        refuses(&json!({"$dynamicRef": "#x"}), "$dynamicRef");
        refuses(&json!({"items": {"$id": "x", "$ref": "#/a"}, "a": {}}), "$id");
    }

    #[test]
    fn ordinary_schemas_pass() {
        let name = json!({"type": "string"});
        let schema = json!({"$id": "x", "properties": {"$id": {}, "a": {"$ref": "#/$defs/name"}, "b": {"$ref": "#/$defs/name"}}, "$defs": {"name": name}});
        assert_eq!(check(&schema), Ok(()), "a definition may be used twice");
        assert_eq!(check(&doubling(8)), Ok(()), "and in definitions that are used twice");
    }
}
