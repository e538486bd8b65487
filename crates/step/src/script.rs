//! POSIX sh, with its one quoting function.

use crate::Secret;

/// A piece of POSIX sh for a node, and what it reads on standard input.
///
/// The body is written by us and is the same on every run; values come in by [`Script::set`], which is the
/// only place where text becomes shell. Secrets go to `input`, never into the body.
#[derive(Clone, Debug)]
pub struct Script {
    settings: String,
    body: String,
    input: Option<Secret>,
}

impl Script {
    /// A script from a body that holds no foreign text.
    pub fn new(body: impl Into<String>) -> Self {
        Self { settings: String::new(), body: body.into(), input: None }
    }

    /// A script that does nothing and succeeds.
    pub fn nothing() -> Self {
        Self::new(":")
    }

    /// Sets a shell variable that the body uses as `"$NAME"`.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        debug_assert!(is_variable(name), "`{name}` is not a shell variable");
        self.settings.push_str(name);
        self.settings.push('=');
        self.settings.push_str(&quote(value));
        self.settings.push('\n');
        self
    }

    /// What the script reads on standard input; without it, that is empty.
    pub fn input(mut self, secret: Secret) -> Self {
        self.input = Some(secret);
        self
    }

    /// The whole text: settings first, then the body.
    pub fn text(&self) -> String {
        format!("{}{}", self.settings, self.body)
    }

    /// What goes to standard input.
    pub fn stdin(&self) -> Option<&Secret> {
        self.input.as_ref()
    }
}

fn is_variable(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// One word of POSIX sh that stands for exactly `text`. A NUL, which no argument can hold, is dropped.
///
/// Source: POSIX.1-2024, Shell Command Language, 2.2.2 Single-Quotes.
pub fn quote(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:=,@%+".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\0', "").replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_survives_a_real_shell() {
        let cases = [
            "",
            "plain",
            "two words",
            "it's",
            "$(id)",
            "`id`",
            "a\nb\n",
            "\\",
            "\"",
            "*",
            "~",
            "é",
            "''",
            "!x",
        ];
        for text in cases {
            let output = std::process::Command::new("sh")
                .arg("-c")
                .arg(format!("printf %s {}", quote(text)))
                .output()
                .unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stdout), text);
        }
    }

    #[test]
    fn settings_come_before_the_body() {
        let script = Script::new("echo \"$A\"").set("A", "x y");
        assert_eq!(script.text(), "A='x y'\necho \"$A\"");
    }
}
