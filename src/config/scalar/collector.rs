//! Where an IPFIX collector is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::text::text_scalar;

/// Where a collector is: `udp://HOST:PORT` or `tcp://HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectorUrl {
    /// Whether that is UDP, else TCP.
    pub is_udp: bool,
    /// Host and port.
    pub place: String,
}

text_scalar!(CollectorUrl, {"type": "string", "examples": ["udp://192.0.2.1:4739", "tcp://collector.example:4739"]});

impl CollectorUrl {
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no collector; write udp://192.0.2.1:4739 or tcp://collector.example:4739");
        let (scheme, place) = text.split_once("://").ok_or_else(wrong)?;
        let is_udp = match scheme {
            "udp" => true,
            "tcp" => false,
            _ => return Err(wrong()),
        };
        let (host, port) = place.rsplit_once(':').ok_or_else(wrong)?;
        let is_right = !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0) && !place.contains('/');
        is_right.then(|| Self { is_udp, place: place.to_owned() }).ok_or_else(wrong)
    }
}

impl FromStr for CollectorUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text)
    }
}

impl fmt::Display for CollectorUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.is_udp { "udp" } else { "tcp" }, self.place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_a_scheme_a_host_and_a_port() {
        for right in ["udp://192.0.2.1:4739", "tcp://[2001:db8::1]:4739", "udp://collector.example:2055"] {
            assert_eq!(right.parse::<CollectorUrl>().expect(right).to_string(), right);
        }
        for wrong in [
            "192.0.2.1:4739",
            "http://192.0.2.1:4739",
            "udp://:4739",
            "udp://host",
            "tcp://host:0",
            "tcp://host:1/path",
        ] {
            assert!(wrong.parse::<CollectorUrl>().is_err_and(|why| why.contains("udp://")), "{wrong}");
        }
    }
}
