//! Texts with a form: address ranges, ports, labels, dates, globs, sockets.

use std::fmt::{self, Display};
use std::net::{IpAddr, SocketAddr};

use globset::GlobMatcher;
use ipnetwork::IpNetwork;
use serde::de::{Deserialize, Deserializer};
use serde::{Serialize, Serializer};

use crate::config::problem::quoted;
use crate::input::Protocol;
use crate::path::{PortSpec, checked_glob, parse_range};
use crate::time::Timestamp;

macro_rules! text_scalar {
    ($name:ident, $schema:tt) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }

        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!($schema)
            }
        }
    };
}
pub(super) use text_scalar;

/// An address range, or one address: `10.20.0.0/16`, `2001:db8::/32`, `10.1.2.3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) struct Cidr(pub IpNetwork);

text_scalar!(Cidr, {"type": "string", "examples": ["10.20.0.0/16", "2001:db8::/32", "10.1.2.3"]});

impl Cidr {
    pub fn parse(text: &str) -> Result<Self, String> {
        parse_range(text).map(Self).map_err(|error| error.to_string())
    }
}

/// A single address without its prefix.
impl Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = if matches!(self.0.ip(), IpAddr::V4(_)) { 32 } else { 128 };
        if self.0.prefix() == whole { write!(f, "{}", self.0.ip()) } else { write!(f, "{}", self.0) }
    }
}

/// A port, with or without protocol: `3128`, `53/udp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) struct Port(pub PortSpec);

text_scalar!(Port, {
    "type": ["integer", "string"], "minimum": 1, "maximum": 65535, "pattern": "^[0-9]{1,5}(/(tcp|udp))?$",
    "examples": [3128, "53/udp"],
});

impl Port {
    pub fn parse(text: &str) -> Result<Self, String> {
        let refuse = |why: &str| format!("{} {why}; write a port like 3128, 53/udp or 53/tcp", quoted(text));
        let (port, protocol) = match text.split_once('/') {
            None => (text, None),
            Some((port, "tcp")) => (port, Some(Protocol::TCP)),
            Some((port, "udp")) => (port, Some(Protocol::UDP)),
            Some(_) => return Err(refuse("has an unknown protocol")),
        };
        if port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()) {
            return Err(refuse("is not a port"));
        }
        match port.parse() {
            Ok(0) | Err(_) => Err(refuse("is not a port from 1 to 65535")),
            Ok(port) => Ok(Self(PortSpec { port, protocol })),
        }
    }
}

impl Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.protocol {
            None => write!(f, "{}", self.0.port),
            Some(Protocol::UDP) => write!(f, "{}/udp", self.0.port),
            Some(_) => write!(f, "{}/tcp", self.0.port),
        }
    }
}

/// A name that is also a metric label: small letters, digits, `_` and `-`, at most 64.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::config) struct Label(pub String);

text_scalar!(Label, {"type": "string", "pattern": "^[a-z0-9_-]{1,64}$"});

impl Label {
    const LONGEST: usize = 64;

    pub fn parse(text: &str) -> Result<Self, String> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
        if !text.is_empty() && text.len() <= Self::LONGEST && text.chars().all(allowed) {
            return Ok(Self(text.to_owned()));
        }
        let why = format!("{} cannot be a name, because it becomes a metric label", quoted(text));
        let better: String =
            text.to_lowercase().chars().map(|c| if allowed(c) { c } else { '-' }).take(Self::LONGEST).collect();
        let better = better.trim_matches('-');
        let rule = "use a-z, 0-9, _ and -, at most 64 characters";
        if better.is_empty() {
            Err(format!("{why}; {rule}"))
        } else {
            Err(format!("{why}; {rule}, such as {better:?}"))
        }
    }
}

impl Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that must say something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::config) struct Sentence(pub String);

text_scalar!(Sentence, {"type": "string", "minLength": 1});

impl Sentence {
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("this is empty; say it in a few words".to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}

impl Display for Sentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Until when: a day (to its end, UTC) or a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct Expiry {
    /// From when on it no longer counts.
    pub at: Timestamp,
    text: String,
}

text_scalar!(Expiry, {"type": "string", "examples": ["2027-01-31", "2027-01-31T18:00:00Z"]});

impl Expiry {
    pub fn parse(text: &str) -> Result<Self, String> {
        let day = || -> Option<Timestamp> {
            let day = text.parse::<jiff::civil::Date>().ok()?.tomorrow().ok()?;
            format!("{day}T00:00:00Z").parse().ok()
        };
        let at = if text.len() == "2027-01-31".len() { day() } else { text.parse().ok() };
        at.map(|at| Self { at, text: text.to_owned() }).ok_or_else(|| {
            format!("{} is not a date; write a day like 2027-01-31 or a time like 2027-01-31T18:00:00Z", quoted(text))
        })
    }
}

impl Display for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A glob over interface names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct InterfaceGlob(pub String);

text_scalar!(InterfaceGlob, {"type": "string", "minLength": 1, "examples": ["docker0", "br-*"]});

impl InterfaceGlob {
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("an empty name matches no interface; write one like docker0 or br-*".to_owned());
        }
        match checked_glob(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(why) => Err(format!("{} is not a glob: {why}; write one like docker0 or br-*", quoted(text))),
        }
    }

    /// Ready to match; a text that was parsed always is.
    pub fn matcher(&self) -> Option<GlobMatcher> {
        checked_glob(&self.0).ok().map(|glob| glob.compile_matcher())
    }
}

impl Display for InterfaceGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a container network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct NetworkName(pub String);

text_scalar!(NetworkName, {"type": "string", "minLength": 1, "pattern": "^[^*?\\[\\]{}]+$", "examples": ["shop_default"]});

impl NetworkName {
    pub fn parse(text: &str) -> Result<Self, String> {
        let how = "write the whole name, such as shop_default (docker network ls)";
        if text.trim().is_empty() {
            return Err(format!("an empty name is no network's; {how}"));
        }
        if text.contains(['*', '?', '[', ']', '{', '}']) {
            return Err(format!("{} is no network's name: globs do not work here; {how}", quoted(text)));
        }
        Ok(Self(text.to_owned()))
    }
}

impl Display for NetworkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An address with a port to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) struct Listen(pub SocketAddr);

text_scalar!(Listen, {"type": "string", "examples": ["127.0.0.1:9921", "[::1]:9921"]});

impl Listen {
    pub fn parse(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| {
            format!("{} is not an address with a port; write one like 127.0.0.1:9921 or [::1]:9921", quoted(text))
        })
    }
}

impl Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A runtime's socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct Socket(pub String);

text_scalar!(Socket, {"type": "string", "examples": ["unix:///var/run/docker.sock"]});

impl Socket {
    pub fn parse(text: &str) -> Result<Self, String> {
        let path = text.strip_prefix("unix://").unwrap_or(text);
        if path.starts_with('/') && path.len() > 1 {
            return Ok(Self(text.to_owned()));
        }
        Err(format!("{} is not a socket on this host; write one like unix:///var/run/docker.sock", quoted(text)))
    }
}

impl Display for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A path of a file or folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct FilePath(pub String);

text_scalar!(FilePath, {"type": "string", "examples": ["/var/lib/hopwatch", "baseline.yaml"]});

impl FilePath {
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() || text.contains('\0') {
            return Err(format!("{} is no path; write one like /etc/hopwatch/baseline.yaml", quoted(text)));
        }
        Ok(Self(text.to_owned()))
    }
}

impl Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A public key of minisign: 42 bytes in base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct MinisignKey(pub String);

text_scalar!(MinisignKey, {"type": "string", "examples": ["RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3"]});

impl MinisignKey {
    pub fn parse(text: &str) -> Result<Self, String> {
        minisign_verify::PublicKey::from_base64(text).map(|_| Self(text.to_owned())).map_err(|_| {
            format!(
                "{} is no public key of minisign; it is the second line of minisign.pub, and begins with RW",
                quoted(text)
            )
        })
    }
}

impl Display for MinisignKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_counts_to_its_end() {
        let at = |text: &str| Expiry::parse(text).map(|expiry| expiry.at.to_string());
        assert_eq!(at("2027-01-31").as_deref(), Ok("2027-02-01T00:00:00.000000000Z"));
        assert_eq!(at("2027-12-31").as_deref(), Ok("2028-01-01T00:00:00.000000000Z"));
        assert_eq!(at("2027-01-31T18:00:00+01:00").as_deref(), Ok("2027-01-31T17:00:00.000000000Z"));
        for text in ["", "2027-02-30", "31.01.2027", "2027-1-31", "soon", "9999-12-31", "2027-01-31T18:00", "ééééé"]
        {
            assert!(at(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ports_have_a_protocol_or_none() {
        for text in ["3128", "53/udp", "53/tcp"] {
            assert_eq!(Port::parse(text).map(|port| port.to_string()).as_deref(), Ok(text));
        }
        for text in ["", "0", "65536", "+53", "53/", "53/sctp", "/udp", "udp/53", "53/UDP", "-1", "dns"] {
            assert!(Port::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_range_with_host_bits_is_a_mistake_and_says_which_was_meant() {
        let error = Cidr::parse("10.20.3.4/16").expect_err("host bits");
        assert!(error.ends_with("did you mean \"10.20.0.0/16\"?"), "{error}");
        assert_eq!(Cidr::parse("10.1.2.3").map(|range| range.to_string()).as_deref(), Ok("10.1.2.3"));
        assert_eq!(Cidr::parse("2001:db8::/32").map(|range| range.to_string()).as_deref(), Ok("2001:db8::/32"));
        for text in ["", "10.0.0.0/33", "10.0.0", "internet", "::/129"] {
            assert!(Cidr::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_label_that_cannot_be_one_gets_a_better_one() {
        assert!(
            Label::parse("Egress through Proxy").expect_err("spaces").ends_with("such as \"egress-through-proxy\"")
        );
        assert!(Label::parse(&"a".repeat(64)).is_ok());
        assert!(Label::parse(&"a".repeat(65)).is_err());
        assert!(Label::parse("").is_err());
    }
}
