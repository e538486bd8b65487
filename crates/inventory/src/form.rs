//! The forms that a value can be written in: each with its place in the text, one string or a list of them,
//! a flag's value, a piece of somebody else's configuration.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor, value};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Deref, Range};

/// A value and its place in the text, in bytes. Compared by the value.
#[derive(Clone, Debug)]
pub(crate) struct At<T> {
    pub value: T,
    pub span: Range<usize>,
}

/// A table whose keys are names that the author chose.
pub(crate) type Named<T> = BTreeMap<At<String>, T>;

/// A string or a list of strings.
#[derive(Clone, Debug)]
pub(crate) enum OneOrMany {
    One(String),
    Many(Vec<At<String>>),
}

/// The value of a flag: a string, or a number or boolean that is written as one.
#[derive(Clone, Debug)]
pub(crate) struct Argument(pub String);

/// A value of somebody else's configuration: anything but a date.
#[derive(Clone, Debug)]
pub(crate) struct Overlay(pub serde_json::Value);

impl At<OneOrMany> {
    /// Each string with its place.
    pub fn each(&self) -> Vec<At<&str>> {
        match &self.value {
            OneOrMany::One(one) => vec![At { value: one, span: self.span.clone() }],
            OneOrMany::Many(many) => many.iter().map(At::text).collect(),
        }
    }
}

impl At<String> {
    /// The same place, borrowed.
    pub fn text(&self) -> At<&str> {
        At { value: &self.value, span: self.span.clone() }
    }
}

impl<T> Deref for At<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: PartialEq> PartialEq for At<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for At<T> {}

impl<T: PartialOrd> PartialOrd for At<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.value.partial_cmp(&other.value)
    }
}

impl<T: Ord> Ord for At<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.value.cmp(&other.value)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = toml::Spanned::<T>::deserialize(deserializer)?;
        Ok(Self { span: spanned.span(), value: spanned.into_inner() })
    }
}

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Strings;
        impl<'de> Visitor<'de> for Strings {
            type Value = OneOrMany;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string or a list of strings")
            }
            fn visit_str<E: Error>(self, one: &str) -> Result<OneOrMany, E> {
                Ok(OneOrMany::One(one.into()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, many: A) -> Result<OneOrMany, A::Error> {
                Vec::deserialize(value::SeqAccessDeserializer::new(many)).map(OneOrMany::Many)
            }
        }
        deserializer.deserialize_any(Strings)
    }
}

impl<'de> Deserialize<'de> for Argument {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Scalar;
        impl Visitor<'_> for Scalar {
            type Value = Argument;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string, a number or a boolean")
            }
            fn visit_str<E: Error>(self, value: &str) -> Result<Argument, E> {
                Ok(Argument(value.into()))
            }
            fn visit_i64<E: Error>(self, value: i64) -> Result<Argument, E> {
                Ok(Argument(value.to_string()))
            }
            fn visit_f64<E: Error>(self, value: f64) -> Result<Argument, E> {
                Ok(Argument(value.to_string()))
            }
            fn visit_bool<E: Error>(self, value: bool) -> Result<Argument, E> {
                Ok(Argument(value.to_string()))
            }
        }
        deserializer.deserialize_any(Scalar)
    }
}

impl<'de> Deserialize<'de> for Overlay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        to_json(toml::Value::deserialize(deserializer)?).map(Self).map_err(D::Error::custom)
    }
}

fn to_json(value: toml::Value) -> Result<serde_json::Value, &'static str> {
    Ok(match value {
        toml::Value::String(string) => string.into(),
        toml::Value::Integer(integer) => integer.into(),
        toml::Value::Float(float) if float.is_finite() => float.into(),
        toml::Value::Float(_) => return Err("invalid value: a number without end, expected a finite one"),
        toml::Value::Boolean(boolean) => boolean.into(),
        toml::Value::Datetime(_) => return Err("invalid type: a date, expected a string in quotes"),
        toml::Value::Array(array) => array.into_iter().map(to_json).collect::<Result<Vec<_>, _>>()?.into(),
        toml::Value::Table(table) => table
            .into_iter()
            .map(|(key, value)| Ok((key, to_json(value)?)))
            .collect::<Result<serde_json::Map<_, _>, _>>()?
            .into(),
    })
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }
    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl JsonSchema for OneOrMany {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "OneOrMany".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "array"], "items": { "type": "string" } })
    }
}

impl JsonSchema for Argument {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Argument".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

impl JsonSchema for Overlay {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Overlay".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!(true)
    }
}
