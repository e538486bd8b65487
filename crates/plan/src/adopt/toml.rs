//! Values as TOML writes them on one line. A JSON string is a basic string of TOML.

use serde_json::Value;

/// A string.
pub fn string(text: &str) -> String {
    // JSON leaves DEL as it is, which TOML wants escaped.
    Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// A list of strings.
pub fn list(items: &[String]) -> String {
    format!("[{}]", items.iter().map(|item| string(item)).collect::<Vec<_>>().join(", "))
}

/// A key, quoted where it must be.
pub fn key(text: &str) -> String {
    let bare =
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if bare { text.into() } else { string(text) }
}

/// Any value; TOML has no null, so fields without a value are left out.
pub fn inline(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let fields = map.iter().filter(|(_, value)| !value.is_null());
            let fields: Vec<String> =
                fields.map(|(name, value)| format!("{} = {}", key(name), inline(value))).collect();
            if fields.is_empty() { "{}".into() } else { format!("{{ {} }}", fields.join(", ")) }
        }
        Value::Array(items) => {
            format!(
                "[{}]",
                items.iter().filter(|item| !item.is_null()).map(inline).collect::<Vec<_>>().join(", ")
            )
        }
        Value::String(text) => string(text),
        Value::Null => "\"\"".into(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}
