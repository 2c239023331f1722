//! A plan as people read it: a line for each resource, and below it a line for each value that changes.

use serde_json::Value;

/// Whether nothing would change.
pub fn is_empty(outcome: &Value) -> bool {
    changes(outcome).next().is_none()
}

/// What changes, or would.
pub fn describe(outcome: &Value) -> String {
    let mut lines: Vec<String> = changes(outcome).flat_map(one).collect();
    let shown = changes(outcome).count() as u64;
    let count = outcome["total"].as_u64().unwrap_or(shown);
    if count > shown {
        lines.push(format!("and {} more", count - shown));
    }
    lines.push(match count {
        0 => "nothing to change".into(),
        1 => "1 change".into(),
        several => format!("{several} changes"),
    });
    let warnings = outcome["warnings"].as_array().into_iter().flatten();
    lines.extend(
        warnings
            .map(|warning| format!("warning: {}: got {}, want {}", text(&warning["path"]), text(&warning["got"]), text(&warning["want"]))),
    );
    lines.join("\n")
}

/// What became of it.
pub fn applied(outcome: &Value) -> String {
    let workers = &outcome["workers"];
    format!("applied as revision {} ({} of {} workers have it in hand)", outcome["revision"], workers["serving"], workers["of"])
}

fn changes(outcome: &Value) -> impl Iterator<Item = &Value> {
    outcome["changes"].as_array().into_iter().flatten()
}

fn one(change: &Value) -> Vec<String> {
    let named = format!("{}/{}", text(&change["kind"]), text(&change["name"]));
    match (&change["before"], &change["after"]) {
        (Value::Null, _) => vec![format!("+ {named}")],
        (_, Value::Null) => vec![format!("- {named}")],
        (before, after) => {
            let mut lines = vec![format!("~ {named}")];
            compare("", before, after, &mut lines);
            lines
        }
    }
}

fn compare(path: &str, before: &Value, after: &Value, lines: &mut Vec<String>) {
    match (before, after) {
        (before, after) if before == after => {}
        (Value::Object(old), Value::Object(new)) => {
            let keys: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for key in keys {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                compare(&path, &before[key.as_str()], &after[key.as_str()], lines);
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            for index in 0..old.len().max(new.len()) {
                compare(&format!("{path}[{index}]"), &before[index], &after[index], lines);
            }
        }
        _ => lines.push(format!("    {path}: {} -> {}", shown(before), shown(after))),
    }
}

/// What is not there is null in JSON, and nothing to people.
fn shown(value: &Value) -> String {
    if value.is_null() { "nothing".into() } else { value.to_string() }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_plan_names_what_comes_what_goes_and_what_changes_inside() {
        let route = |rate: u32, hosts: &[&str]| json!({"hosts": hosts, "chain": [{"plugin": "rate-limit", "config": {"rate": rate}}]});
        let outcome = json!({"changes": [
            {"kind": "routes", "name": "new", "before": null, "after": route(1, &[])},
            {"kind": "clients", "name": "old", "before": {"name": "old"}, "after": null},
            {"kind": "routes", "name": "orders", "before": route(100, &["a"]), "after": route(200, &["a", "b"])},
        ]});
        let expected =
            "+ routes/new\n- clients/old\n~ routes/orders\n    chain[0].config.rate: 100 -> 200\n    hosts[1]: nothing -> \"b\"\n3 changes";
        assert_eq!(describe(&outcome), expected);
        let many = json!({"changes": [{"kind": "routes", "name": "a", "before": null, "after": {}}], "total": 5});
        assert_eq!(describe(&many), "+ routes/a\nand 4 more\n5 changes");
        assert_eq!(describe(&json!({"changes": []})), "nothing to change");
    }
}
