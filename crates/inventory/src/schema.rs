//! The JSON Schema of an inventory, for editors.

use crate::raw::Raw;
use serde_json::Value;

/// JSON Schema (2020-12) of the file as written: keys, types and what each key means. Rules across values
/// are [`crate::parse`]'s.
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(Raw).to_value();
    drop_null(&mut schema);
    schema
}

/// A key of TOML is left out, never null.
fn drop_null(schema: &mut Value) {
    match schema {
        Value::Array(list) => list.iter_mut().for_each(drop_null),
        Value::Object(object) => {
            if let Some(Value::Array(kinds)) = object.get_mut("type") {
                kinds.retain(|kind| kind != "null");
                if let [one] = &kinds[..] {
                    object["type"] = one.clone();
                }
            }
            if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
                choices.retain(|choice| choice["type"] != "null");
                if let [Value::Object(one)] = &choices[..] {
                    let one = one.clone();
                    object.remove("anyOf");
                    object.extend(one);
                }
            }
            object.values_mut().for_each(drop_null);
        }
        _ => {}
    }
}
