//! One JSON object a line on standard output, for programs.

use super::{Teller, line};
use engine::Event;
use serde_json::{Value, json};

pub struct Json;

impl Json {
    fn write(value: &Value) {
        line(&mut std::io::stdout(), &value.to_string());
    }
}

impl Teller for Json {
    fn event(&mut self, event: &Event) {
        if let Ok(value) = serde_json::to_value(event) {
            Self::write(&value);
        }
    }

    fn say(&mut self, text: &str) {
        Self::write(&json!({"event": "note", "text": text}));
    }

    fn progress(&mut self, what: &str, done: u64, total: Option<u64>, unit: &str) {
        if total == Some(done) {
            Self::write(
                &json!({"event": "progress", "what": what, "done": done, "total": total, "unit": unit}),
            );
        }
    }

    fn result(&mut self, _text: &str, value: Value) {
        Self::write(&json!({"event": "result", "result": value}));
    }
}
