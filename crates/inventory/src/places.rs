//! `to` of `[archive]` as written: a place or a list of them, each a string or a table.

use crate::form::At;
use crate::{Credentials, Writer};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor, value};
use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

/// One place, or a list.
#[derive(Debug)]
pub(crate) enum RawPlaces {
    One(RawPlace),
    Many(Vec<At<RawPlace>>),
}

/// A place by its URL alone, or with more.
#[derive(Debug)]
pub(crate) enum RawPlace {
    Url(String),
    Table(Box<RawDestination>),
}

/// A place of the archive
#[derive(Debug, Default, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct RawDestination {
    /// A folder, "s3://bucket/prefix" or "ssh://user@host/path".
    #[schemars(required)]
    pub url: Option<At<String>>,
    /// "nodes" or "operator": who writes there. Default: the nodes, where `credentials` are given.
    pub from: Option<At<Writer>>,
    /// Places of one domain fail together.
    pub domain: Option<At<String>>,
    /// S3: "https://host:port" of another server than Amazon's.
    pub endpoint: Option<At<String>>,
    /// S3: the region; default "us-east-1".
    pub region: Option<At<String>>,
    /// S3: the bucket is the first segment of the path; default with `endpoint`.
    pub path_style: Option<At<bool>>,
    /// S3: PEM file with the only CAs that are trusted, relative to the inventory.
    pub ca: Option<At<PathBuf>>,
    /// { file = "…" }, { command = "…" } or "instance". Default: what the operator's environment says.
    pub credentials: Option<At<Credentials>>,
    /// A folder that every node has at the same path.
    pub mounted: Option<At<bool>>,
}

impl<'de> Deserialize<'de> for RawPlace {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Place;
        impl<'de> Visitor<'de> for Place {
            type Value = RawPlace;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string or a table with `url`")
            }
            fn visit_str<E: Error>(self, url: &str) -> Result<RawPlace, E> {
                Ok(RawPlace::Url(url.into()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawPlace, A::Error> {
                let table = RawDestination::deserialize(value::MapAccessDeserializer::new(map))?;
                Ok(RawPlace::Table(Box::new(table)))
            }
        }
        deserializer.deserialize_any(Place)
    }
}

impl<'de> Deserialize<'de> for RawPlaces {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Places;
        impl<'de> Visitor<'de> for Places {
            type Value = RawPlaces;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string, a table with `url`, or a list of these")
            }
            fn visit_str<E: Error>(self, url: &str) -> Result<RawPlaces, E> {
                Ok(RawPlaces::One(RawPlace::Url(url.into())))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawPlaces, A::Error> {
                RawPlace::deserialize(value::MapAccessDeserializer::new(map)).map(RawPlaces::One)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, many: A) -> Result<RawPlaces, A::Error> {
                Vec::deserialize(value::SeqAccessDeserializer::new(many)).map(RawPlaces::Many)
            }
        }
        deserializer.deserialize_any(Places)
    }
}

impl JsonSchema for RawPlaces {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Places".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let table = generator.subschema_for::<RawDestination>();
        let place = json_schema!({ "anyOf": [{ "type": "string" }, table] });
        json_schema!({ "anyOf": [{ "type": "string" }, table, { "type": "array", "items": place }] })
    }
}
