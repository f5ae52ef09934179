//! Where receivers are: HTTP addresses, syslog servers.

use std::fmt::{self, Display};
use std::path::PathBuf;

use serde::de::{Deserialize, Deserializer};
use serde::{Serialize, Serializer};

use super::text::text_scalar;
use crate::config::problem::quoted;
use crate::config::sinks::{HostAndPort, SyslogTransport};

/// An address for HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct HttpUrl(pub String);

text_scalar!(HttpUrl, {"type": "string", "pattern": "^https?://", "examples": ["https://hooks.example/alerts"]});

impl HttpUrl {
    pub fn parse(text: &str) -> Result<Self, String> {
        let refuse = |why: &str| format!("{} {why}; write one like https://hooks.example/alerts", quoted(text));
        let uri: http::Uri = text.parse().map_err(|_| refuse("is not an address"))?;
        match (uri.scheme_str(), uri.host()) {
            (Some("http" | "https"), Some(host)) if !host.is_empty() => Ok(Self(text.to_owned())),
            (Some("http" | "https"), _) => Err(refuse("names no host")),
            _ => Err(refuse("does not begin with http:// or https://")),
        }
    }
}

impl Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The address of a rule's page: `{rule}` stands for the rule's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct RuleLink(pub String);

text_scalar!(RuleLink, {"type": "string", "pattern": "^https?://.*\\{rule\\}", "examples": ["https://wiki.example/hopwatch/{rule}"]});

impl RuleLink {
    pub fn parse(text: &str) -> Result<Self, String> {
        let refuse =
            |why: &str| format!("{} {why}; write one like https://wiki.example/hopwatch/{{rule}}", quoted(text));
        if !text.contains("{rule}") {
            return Err(refuse("has no {rule} in it, and would lead to one page for all rules"));
        }
        HttpUrl::parse(&text.replace("{rule}", "beacon")).map_err(|_| refuse("is not an address for a browser"))?;
        Ok(Self(text.to_owned()))
    }
}

impl Display for RuleLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A syslog server or socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct SyslogAddress {
    /// How to get there.
    pub transport: SyslogTransport,
    text: String,
}

text_scalar!(SyslogAddress, {
    "type": "string", "examples": ["tls://logs.example:6514", "udp://192.0.2.10:514", "unix:///dev/log"],
});

impl SyslogAddress {
    pub fn parse(text: &str) -> Result<Self, String> {
        let refuse =
            |why: &str| format!("{} {why}; write one like tls://logs.example:6514 or unix:///dev/log", quoted(text));
        let (scheme, rest) = text.split_once("://").ok_or_else(|| refuse("has no scheme"))?;
        let place = || host_and_port(rest).ok_or_else(|| refuse("has no host and port"));
        let transport = match scheme {
            "unix" if rest.starts_with('/') && rest.len() > 1 => SyslogTransport::Unix(PathBuf::from(rest)),
            "unix" => return Err(refuse("has no whole path")),
            "udp" => SyslogTransport::Udp(place()?),
            "tcp" => SyslogTransport::Tcp(place()?),
            "tls" => SyslogTransport::Tls(place()?),
            _ => return Err(refuse("has an unknown scheme: udp, tcp, tls and unix are possible")),
        };
        Ok(Self { transport, text: text.to_owned() })
    }
}

/// `host:514`, `192.0.2.1:514`, `[2001:db8::1]:514`.
fn host_and_port(text: &str) -> Option<HostAndPort> {
    let (host, port) = text.rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(address) => address.strip_suffix(']')?,
        None if host.contains(':') => return None,
        None => host,
    };
    let port = port.parse().ok().filter(|port| *port != 0)?;
    (!host.is_empty()).then(|| HostAndPort { host: host.to_owned(), port })
}

impl Display for SyslogAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_receivers_name_scheme_host_and_port() {
        for text in ["udp://192.0.2.1:514", "tcp://logs.example:601", "tls://[2001:db8::1]:6514", "unix:///dev/log"] {
            assert_eq!(SyslogAddress::parse(text).map(|address| address.to_string()).as_deref(), Ok(text));
        }
        for text in [
            "",
            "logs:514",
            "udp://",
            "udp://h",
            "udp://h:0",
            "udp://:5",
            "udp://2001:db8::1:5",
            "ftp://h:1",
            "unix://x",
        ] {
            assert!(SyslogAddress::parse(text).is_err(), "{text}");
        }
        assert!(HttpUrl::parse("https://hooks.example/a?b=c").is_ok());
        assert!(RuleLink::parse("https://wiki.example/hopwatch/{rule}?from=alert").is_ok());
        for (wrong, why) in [("https://wiki.example/", "has no {rule}"), ("wiki/{rule}", "is not an address")] {
            assert!(RuleLink::parse(wrong).expect_err(wrong).contains(why), "{wrong}");
        }
        for text in ["", "hooks.example", "ftp://x", "https://", "/path", "http:// x"] {
            assert!(HttpUrl::parse(text).is_err(), "{text}");
        }
    }
}
