//! JSON values as block YAML, the way that Kubernetes' own tools print it: keys sorted, plain where plain is
//! safe, quoted as JSON elsewhere (every JSON string is a YAML 1.2 scalar).

use serde_json::Value;
use std::fmt::Write;

/// One YAML document without `---`, ending in a newline.
pub fn document(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => object(&mut text, map, 0),
        Value::Array(items) if !items.is_empty() => array(&mut text, items, 0),
        leaf => {
            text.push_str(&scalar(leaf));
            text.push('\n');
        }
    }
    text
}

fn object(text: &mut String, map: &serde_json::Map<String, Value>, indent: usize) {
    for (i, (key, value)) in map.iter().enumerate() {
        // The first key of an object in a list stands behind its dash.
        let pad = if i == 0 && text.ends_with("- ") { 0 } else { indent };
        let _ = write!(text, "{:pad$}{}:", "", plain_or_quoted(key));
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                text.push('\n');
                object(text, inner, indent + 2);
            }
            Value::Array(items) if !items.is_empty() => {
                text.push('\n');
                array(text, items, indent);
            }
            leaf => {
                let _ = writeln!(text, " {}", scalar(leaf));
            }
        }
    }
}

fn array(text: &mut String, items: &[Value], indent: usize) {
    for item in items {
        let _ = write!(text, "{:indent$}- ", "");
        match item {
            Value::Object(inner) if !inner.is_empty() => object(text, inner, indent + 2),
            leaf => {
                let _ = writeln!(text, "{}", scalar(leaf));
            }
        }
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(string) => plain_or_quoted(string),
        other => other.to_string(),
    }
}

/// Plain only where no YAML reader could see a number, a boolean, a null or a sign in it.
fn plain_or_quoted(string: &str) -> String {
    let letter = string.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let duration = string
        .strip_suffix(['s', 'm', 'h'])
        .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    let address = string.parse::<std::net::Ipv4Addr>().is_ok();
    let safe = string.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b))
        || (string.starts_with("unix://")
            && string.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./:".contains(&b)));
    let word = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
        .contains(&string.to_ascii_lowercase().as_str());
    if safe && !word && (letter || duration || address) {
        string.into()
    } else {
        Value::from(string).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_become_block_yaml() {
        let value = json!({
            "b": {"enabled": false, "empty": {}, "none": []},
            "a": ["10.96.0.10", {"name": "x", "value": "8589934592"}],
            "s": ["0s", "yes", "1e3", "a: b", "", "unix:///run/x.sock", "-flag", "cluster.local", "1.36"],
        });
        insta::assert_snapshot!(document(&value));
    }
}
