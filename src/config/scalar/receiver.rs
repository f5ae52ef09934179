//! What receivers of alerts demand of a name: data streams, channels.

use std::fmt::{self, Display};

use serde::de::{Deserialize, Deserializer};
use serde::{Serialize, Serializer};

use super::text::text_scalar;
use crate::config::problem::quoted;

/// A data stream of Elasticsearch or `OpenSearch`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct DataStream(pub String);

text_scalar!(DataStream, {"type": "string", "maxLength": 255, "examples": ["logs-hopwatch.alert-default"]});

impl DataStream {
    const LONGEST: usize = 255;

    pub fn parse(text: &str) -> Result<Self, String> {
        let refuse = |why: &str| format!("{} {why}; write one like logs-hopwatch.alert-default", quoted(text));
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
        if text.is_empty() || text.len() > Self::LONGEST {
            return Err(refuse("is no name of a data stream, which has 1 to 255 characters"));
        }
        if !text.chars().all(allowed) {
            return Err(refuse("is no name of a data stream, which has only a-z, 0-9, -, _ and ."));
        }
        if text.starts_with(['-', '_', '.']) {
            return Err(refuse("is no name of a data stream, which begins with a letter or a digit"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl Display for DataStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A GUID: 32 hexadecimal digits in five groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct Guid(pub String);

text_scalar!(Guid, {"type": "string", "pattern": "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"});

impl Guid {
    const GROUPS: [usize; 5] = [8, 4, 4, 4, 12];

    pub fn parse(text: &str) -> Result<Self, String> {
        let groups: Vec<_> = text.split('-').collect();
        let is_group =
            |(group, length): (&&str, usize)| group.len() == length && group.chars().all(|c| c.is_ascii_hexdigit());
        if groups.len() == Self::GROUPS.len() && groups.iter().zip(Self::GROUPS).all(is_group) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!("{} is no GUID; write one like 5f0e3a52-6c1b-4d0e-9d3a-0242ac110002", quoted(text)))
    }
}

impl Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_stream_has_a_name_that_the_server_takes() {
        for text in ["logs-hopwatch.alert-default", "a", "0_1"] {
            assert_eq!(DataStream::parse(text).map(|name| name.to_string()).as_deref(), Ok(text));
        }
        let long = "a".repeat(256);
        for text in ["", "Logs", "-a", "_a", ".a", "a/b", "a b", "a?b", "é", "a*", &long] {
            assert!(DataStream::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_channel_is_a_guid() {
        let text = "5F0E3A52-6c1b-4d0e-9d3a-0242ac110002";
        assert_eq!(Guid::parse(text).map(|guid| guid.to_string()).as_deref(), Ok(text));
        for text in [
            "",
            "5f0e3a52",
            "5f0e3a52-6c1b-4d0e-9d3a-0242ac11000g",
            "5f0e3a52-6c1b-4d0e-9d3a-0242ac110002-",
            "é-é-é-é-é",
        ] {
            assert!(Guid::parse(text).is_err(), "{text}");
        }
    }
}
