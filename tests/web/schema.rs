//! As much of JSON Schema (2020-12) as the description of the interface uses. What it does not know, it refuses.

use serde_json::Value;

/// Fails where a value is not as its schema says.
pub fn check(root: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let schema_map = schema.as_object().ok_or("a schema is no object")?;
    for (key, rule) in schema_map {
        let wrong = || format!("{key}: {rule} does not fit {}", short(value));
        let fits = match key.as_str() {
            "description" | "format" | "default" => true,
            "$ref" => {
                let pointer =
                    rule.as_str().and_then(|r| r.strip_prefix('#')).ok_or("no pointer")?;
                check(root, root.pointer(pointer).ok_or_else(wrong)?, value)?;
                true
            }
            "type" => match rule {
                Value::Array(types) => types.iter().any(|one| is(one, value)),
                one => is(one, value),
            },
            "enum" => rule.as_array().ok_or("no list")?.contains(value),
            "const" => rule == value,
            "minimum" => value.as_f64() >= rule.as_f64(),
            "maximum" => value.as_f64() <= rule.as_f64(),
            "minLength" => value.as_str().map(str::len) >= rule.as_u64().map(|n| n as usize),
            "maxLength" => value
                .as_str()
                .is_none_or(|s| s.chars().count() as u64 <= rule.as_u64().unwrap_or(0)),
            "minItems" => value.as_array().map(Vec::len) >= rule.as_u64().map(|n| n as usize),
            "pattern" => matches(rule.as_str().unwrap_or(""), value.as_str().unwrap_or(""))?,
            "required" => {
                let names = rule.as_array().ok_or("no list")?;
                names.iter().all(|name| value.get(name.as_str().unwrap_or("")).is_some())
            }
            "properties" => {
                for (name, inner) in value.as_object().ok_or_else(wrong)? {
                    if let Some(rule) = rule.get(name) {
                        check(root, rule, inner).map_err(|e| format!("{name}: {e}"))?;
                    }
                }
                true
            }
            "additionalProperties" => {
                let known = schema.get("properties");
                let names = value.as_object().ok_or_else(wrong)?.keys();
                let extra =
                    names.filter(|name| known.is_none_or(|k| k.get(name.as_str()).is_none()));
                extra.count() == 0
            }
            "items" => {
                for (place, inner) in value.as_array().ok_or_else(wrong)?.iter().enumerate() {
                    check(root, rule, inner).map_err(|e| format!("{place}: {e}"))?;
                }
                true
            }
            "oneOf" => {
                let all = rule.as_array().ok_or("no list")?;
                all.iter().filter(|one| check(root, one, value).is_ok()).count() == 1
            }
            unknown => return Err(format!("the test does not know '{unknown}'")),
        };
        if !fits {
            return Err(wrong());
        }
    }
    Ok(())
}

fn is(kind: &Value, value: &Value) -> bool {
    match kind.as_str().unwrap_or("") {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        _ => false,
    }
}

/// The two patterns that there are.
fn matches(pattern: &str, text: &str) -> Result<bool, String> {
    match pattern {
        "^[a-z_]+$" => {
            Ok(!text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
        }
        "^data:image/jpeg;base64," => Ok(text.starts_with("data:image/jpeg;base64,")),
        _ => Err(format!("the test does not know the pattern '{pattern}'")),
    }
}

fn short(value: &Value) -> String {
    value.to_string().chars().take(120).collect()
}
