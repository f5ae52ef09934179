//! How much of a packet is kept: a number of bytes, or by what it holds.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error as _};
use serde::{Serialize, Serializer};

use crate::config::SnapLength;
use crate::config::problem::quoted;

const ADAPTIVE: &str = "adaptive";
const LEAST: u32 = 64;
const MOST: u32 = 65_535;

impl SnapLength {
    fn parse(text: &str) -> Result<Self, String> {
        let help = format!("write {ADAPTIVE}, or a number from {LEAST} to {MOST}");
        if text == ADAPTIVE {
            return Ok(Self::Adaptive);
        }
        match text.parse() {
            Ok(bytes) if (LEAST..=MOST).contains(&bytes) => Ok(Self::Bytes(bytes)),
            Ok(bytes) => Err(format!("{bytes} is out of range; {help}")),
            Err(_) => Err(format!("{} is no length; {help}", quoted(text))),
        }
    }
}

impl Serialize for SnapLength {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Adaptive => serializer.serialize_str(ADAPTIVE),
            Self::Bytes(bytes) => serializer.serialize_u32(*bytes),
        }
    }
}

impl<'de> Deserialize<'de> for SnapLength {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl JsonSchema for SnapLength {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "SnapLength".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "oneOf": [{"const": ADAPTIVE}, {"type": "integer", "minimum": LEAST, "maximum": MOST}],
            "examples": [256],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_a_number_in_range_or_the_one_word() {
        assert_eq!(SnapLength::parse("adaptive"), Ok(SnapLength::Adaptive));
        assert_eq!(SnapLength::parse("65535"), Ok(SnapLength::Bytes(65_535)));
        for text in ["", "63", "65536", "-1", "Adaptive", "4k", "99999999999999999999"] {
            let error = SnapLength::parse(text).expect_err(text);
            assert!(error.ends_with("; write adaptive, or a number from 64 to 65535"), "{error}");
        }
    }
}
