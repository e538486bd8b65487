//! Templates to text: embedded, strict about what is undefined, without escaping.

use include_dir::{Dir, include_dir};
use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};

static TEMPLATES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../templates");

/// A template could not be rendered: a bug of ours, found by the test that renders every one.
#[derive(Debug, thiserror::Error)]
#[error("template {name}")]
pub struct TemplateError {
    /// The template's file name.
    pub name: String,
    /// What minijinja said, with the line.
    pub source: minijinja::Error,
}

/// Renders `templates/NAME.j2`.
pub fn template(name: &str, values: impl serde::Serialize) -> Result<String, TemplateError> {
    let file = format!("{name}.j2");
    let wrap = |source| TemplateError { name: file.clone(), source };
    let text = TEMPLATES.get_file(&file).and_then(|file| file.contents_utf8()).unwrap_or_default();
    let mut builder = SyntaxConfig::builder();
    builder.trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true);
    let syntax = builder.build().map_err(wrap)?;
    let mut environment = Environment::new();
    environment.set_syntax(syntax);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.render_str(text, Value::from(minijinja::value::Serde(values))).map_err(wrap)
}
