//! A time zone by its name or rule.
//!
//! Contract: only the form is checked, since a name is known on the host alone that learns. Limits: 64 characters; a name stays below the folder of zones.

use std::fmt::{self, Display};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::text::text_scalar;
use crate::config::problem::quoted;

/// A time zone: a rule in POSIX form, or a name below `/usr/share/zoneinfo`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct ZoneName(pub String);

text_scalar!(ZoneName, {"type": "string", "examples": ["Europe/Berlin", "CET-1CEST,M3.5.0,M10.5.0/3"]});

impl ZoneName {
    pub fn parse(text: &str) -> Result<Self, String> {
        let is_part = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+-,:<>".contains(&byte) || byte == b'.')
        };
        let is_name = text.len() <= 64 && !text.contains("..") && text.split('/').all(is_part);
        if is_name {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "{} is no time zone; write a name like Europe/Berlin, or a rule like CET-1CEST,M3.5.0,M10.5.0/3",
            quoted(text)
        ))
    }
}

impl Display for ZoneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_rules_are_zones_and_paths_are_not() {
        for text in
            ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "CET-1CEST,M3.5.0,M10.5.0/3", "<+0330>-3:30"]
        {
            assert!(ZoneName::parse(text).is_ok(), "{text}");
        }
        for text in ["", "/etc/passwd", "../x", "Europe/../x", "a b", "Europe/", &"x".repeat(65)] {
            assert!(ZoneName::parse(text).is_err(), "{text}");
        }
    }
}
