//! One stage of a contract's `via`: a hop's name, or a list of names.
//!
//! Contract: each name keeps its place. Design: read by hand, because serde's untagged enums forget places.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use serde::{Serialize, Serializer};

use crate::config::located::Located;

/// What stands for one stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) enum StageFile {
    /// A hop.
    One(String),
    /// Any one of these hops.
    AnyOf(Vec<Located<String>>),
}

impl Located<StageFile> {
    /// The names and their places.
    pub(in crate::config) fn names(&self) -> Vec<Located<&str>> {
        match &self.value {
            StageFile::One(name) => vec![Located { value: name, span: self.span, id: self.id }],
            StageFile::AnyOf(names) => {
                names.iter().map(|name| Located { value: name.value.as_str(), span: name.span, id: name.id }).collect()
            }
        }
    }
}

impl Serialize for StageFile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::One(name) => serializer.serialize_str(name),
            Self::AnyOf(names) => names.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for StageFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StageVisitor)
    }
}

struct StageVisitor;

impl StageVisitor {
    fn refuse<E: Error>(found: &str) -> E {
        E::custom(format_args!(
            "expected the name of a hop or a list of names, found {found}; such as via: [gateway, [proxy-a, proxy-b]]"
        ))
    }
}

impl<'de> Visitor<'de> for StageVisitor {
    type Value = StageFile;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a hop, or a list of names")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<StageFile, E> {
        Ok(StageFile::One(name.to_owned()))
    }

    /// A name of digits alone.
    fn visit_u64<E: Error>(self, name: u64) -> Result<StageFile, E> {
        Ok(StageFile::One(name.to_string()))
    }

    fn visit_bool<E: Error>(self, found: bool) -> Result<StageFile, E> {
        Err(Self::refuse(if found { "true" } else { "false" }))
    }

    fn visit_unit<E: Error>(self) -> Result<StageFile, E> {
        Err(Self::refuse("nothing"))
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, _: A) -> Result<StageFile, A::Error> {
        Err(Self::refuse("a mapping"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<StageFile, A::Error> {
        let mut names = Vec::new();
        while let Some(name) = seq.next_element()? {
            names.push(name);
        }
        Ok(StageFile::AnyOf(names))
    }
}

impl JsonSchema for StageFile {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Stage".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}],
        })
    }
}
