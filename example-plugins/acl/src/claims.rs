//! Rules about claims: which values each may have, and where a claim is found by a dotted name.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use gatehouse_plugin::{Error, Result};
use serde::Deserialize;
use serde_json::Value;

/// The values that let a claim pass, by the claim's name.
#[derive(Default, Deserialize)]
#[serde(transparent)]
pub struct Claims(BTreeMap<String, Vec<Value>>);

impl Claims {
    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Finds a rule that nothing could meet.
    ///
    /// # Errors
    /// Which one.
    pub fn check(&self) -> Result<()> {
        for (name, values) in &self.0 {
            if values.is_empty() {
                return Err(Error::new(format!("claims.{name}: got no value, want at least one")));
            }
            if let Some(value) = values.iter().find(|value| value.is_object() || value.is_array() || value.is_null()) {
                return Err(Error::new(format!("claims.{name}: got {value}, want texts, numbers, true or false")));
            }
        }
        Ok(())
    }

    /// Whether each claim has one of its values.
    pub fn allow(&self, claims: &Value) -> bool {
        self.0.iter().all(|(name, values)| any_at(claims, name, &|claim| matches(claim, values)))
    }
}

/// A list of values has all that it contains.
fn matches(claim: &Value, values: &[Value]) -> bool {
    match claim {
        Value::Array(items) => items.iter().any(|item| values.contains(item)),
        one => values.contains(one),
    }
}

/// Whether something by this name passes. A dot leads into a map, but a name may hold dots itself, as URLs do.
fn any_at(claims: &Value, name: &str, passes: &impl Fn(&Value) -> bool) -> bool {
    let Value::Object(map) = claims else { return false };
    map.get(name).is_some_and(passes)
        || name.match_indices('.').any(|(dot, _)| map.get(&name[..dot]).is_some_and(|inner| any_at(inner, &name[dot + 1..], passes)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(rule: Value, claims: Value, expected: bool) {
        let rules: Claims = serde_json::from_value(rule.clone()).unwrap();
        assert_eq!(rules.allow(&claims), expected, "{claims} by {rule}");
    }

    #[test]
    fn a_claim_has_one_of_the_values_or_contains_one() {
        let rule = json!({"role": ["admin", "owner"]});
        check(rule.clone(), json!({"role": "owner"}), true);
        check(rule.clone(), json!({"role": ["user", "admin"]}), true);
        check(rule.clone(), json!({"role": ["user"]}), false);
        check(rule.clone(), json!({"role": "admin owner"}), false);
        check(rule.clone(), json!({"role": {"admin": true}}), false);
        check(rule.clone(), json!({"role": null}), false);
        check(rule, json!({}), false);
        check(json!({"level": [3], "vip": [true]}), json!({"level": 3, "vip": true}), true);
        check(json!({"level": [3], "vip": [true]}), json!({"level": 3, "vip": "true"}), false);
    }

    #[test]
    fn a_dot_leads_inside_unless_it_is_part_of_the_name() {
        let rule = json!({"realm_access.roles": ["admin"]});
        check(rule.clone(), json!({"realm_access": {"roles": ["admin"]}}), true);
        check(rule.clone(), json!({"realm_access.roles": "admin"}), true);
        check(rule, json!({"roles": ["admin"]}), false);
        let rule = json!({"https://example.com/a.roles": ["admin"]});
        check(rule.clone(), json!({"https://example.com/a": {"roles": "admin"}}), true);
        check(rule.clone(), json!({"https://example.com/a.roles": "admin"}), true);
        check(rule, json!({"https://example": {"com/a": {"roles": "user"}}}), false);
    }
}
