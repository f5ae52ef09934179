//! Which collector it is: by its service, by its address, as the configuration names it, as a log driver names it.
//!
//! Contract: an address of a log driver is read from settings in clear; a driver without an address on the network (`json-file`, `unix://`) has
//! no target. Limits: a driver that finds its collector by a cloud's region (awslogs, gcplogs) has none either.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use ipnetwork::IpNetwork;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::input::{Endpoint, Logging, Protocol};
use crate::inventory::configuration::ServiceKey;
use crate::path::parse_range;

/// Ports at which collectors listen: syslog, syslog over TLS, OTLP, Beats, Splunk, GELF, Fluent forward.
pub const LOG_PORTS: [u16; 8] = [514, 4317, 4318, 5044, 6514, 9997, 12_201, 24_224];

/// Who receives logs: a service of this host, whichever address it has now, or an address elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Collector {
    /// Containers of one service.
    Service(ServiceKey),
    /// An address.
    Address(IpAddr),
}

impl fmt::Display for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(service) => write!(f, "{service}"),
            Self::Address(ip) => write!(f, "{ip}"),
        }
    }
}

/// A collector as the configuration names it: an address or range, with or without a port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", example = &"10.0.0.5:24224")]
pub struct DeclaredCollector {
    range: IpNetwork,
    port: Option<u16>,
}

impl DeclaredCollector {
    /// Whether it is this end.
    pub fn contains(&self, end: Endpoint) -> bool {
        self.range.contains(end.ip.to_canonical()) && self.port.is_none_or(|port| port == end.port)
    }
}

impl TryFrom<String> for DeclaredCollector {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if let Ok(range) = parse_range(&text) {
            return Ok(Self { range, port: None });
        }
        if let Ok(socket) = text.parse::<SocketAddr>() {
            return Ok(Self { range: socket.ip().into(), port: Some(socket.port()) });
        }
        let with_port = text.rsplit_once(':').and_then(|(range, port)| {
            let range = parse_range(range.trim_start_matches('[').trim_end_matches(']')).ok()?;
            Some(Self { range, port: Some(port.parse().ok()?) })
        });
        with_port.ok_or_else(|| {
            let shown: String = text.chars().take(80).collect();
            format!("{shown:?} is not a collector; write an address or range, with or without a port: 10.0.0.5:24224")
        })
    }
}

impl From<DeclaredCollector> for String {
    fn from(collector: DeclaredCollector) -> Self {
        let DeclaredCollector { range, port } = collector;
        let is_one = range.prefix() == if range.is_ipv4() { 32 } else { 128 };
        match port {
            None if is_one => range.ip().to_string(),
            None => range.to_string(),
            Some(port) if is_one => SocketAddr::new(range.ip(), port).to_string(),
            Some(port) if range.is_ipv4() => format!("{range}:{port}"),
            Some(port) => format!("[{range}]:{port}"),
        }
    }
}

/// Where a log driver sends to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DriverTarget {
    /// `fluentd`, `gelf`, …
    pub driver: String,
    /// Address or name; a loopback address is the host itself.
    pub host: String,
    /// Port.
    pub port: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
}

impl DriverTarget {
    /// Of these settings; `None` where the driver sends nothing over the network, or the address is not known.
    pub fn of(logging: &Logging) -> Option<Self> {
        let (option, default, port) = match logging.driver.as_str() {
            "syslog" => ("syslog-address", None, 514),
            "gelf" => ("gelf-address", None, 12_201),
            "fluentd" => ("fluentd-address", Some("127.0.0.1:24224"), 24_224),
            "splunk" => ("splunk-url", None, 8088),
            "loki" => ("loki-url", None, 3100),
            _ => return None,
        };
        let address = match logging.options.get(option) {
            Some(setting) => setting.clear()?,
            None => default?,
        };
        let (scheme, rest) = address.split_once("://").unwrap_or(("tcp", address));
        let protocol = match scheme {
            "udp" => Protocol::UDP,
            "tcp" | "tcp+tls" | "tls" | "http" | "https" => Protocol::TCP,
            _ => return None,
        };
        let rest = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (host, port) = host_and_port(rest, port)?;
        Some(Self { driver: logging.driver.clone(), host, port, protocol })
    }

    /// Its address, where it has one that is not the host's own.
    pub fn address(&self) -> Option<Endpoint> {
        let ip: IpAddr = self.host.parse().ok()?;
        (!ip.is_loopback() && !ip.is_unspecified()).then_some(Endpoint { ip, port: self.port })
    }
}

impl fmt::Display for DriverTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = self.protocol;
        if self.host.contains(':') {
            write!(f, "{protocol}://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{protocol}://{}:{}", self.host, self.port)
        }
    }
}

fn host_and_port(text: &str, default: u16) -> Option<(String, u16)> {
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return Some((socket.ip().to_string(), socket.port()));
    }
    if let Some(ip) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        return Some((ip.parse::<IpAddr>().ok()?.to_string(), default));
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => (host, port.parse().ok()?),
        _ => (text, default),
    };
    (!host.is_empty()).then(|| (if host == "localhost" { "127.0.0.1" } else { host }.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::Setting;

    fn target(driver: &str, option: Option<(&str, &str)>) -> Option<String> {
        let options = option.map(|(name, value)| (name.to_owned(), Setting::Clear(value.to_owned())));
        let logging = Logging { driver: driver.to_owned(), options: options.into_iter().collect(), path: None };
        DriverTarget::of(&logging).map(|target| target.to_string())
    }

    #[test]
    fn the_address_of_each_driver_is_read_as_the_driver_reads_it() {
        for (driver, option, expected) in [
            ("syslog", Some(("syslog-address", "udp://10.0.0.5:5514")), Some("udp://10.0.0.5:5514")),
            ("syslog", Some(("syslog-address", "tcp+tls://logs.internal")), Some("tcp://logs.internal:514")),
            ("syslog", Some(("syslog-address", "unix:///dev/log")), None),
            ("syslog", None, None),
            ("gelf", Some(("gelf-address", "udp://[2001:db8::1]:12201")), Some("udp://[2001:db8::1]:12201")),
            ("gelf", Some(("gelf-address", "tcp://[2001:db8::1]")), Some("tcp://[2001:db8::1]:12201")),
            ("fluentd", Some(("fluentd-address", "10.0.0.5:24225")), Some("tcp://10.0.0.5:24225")),
            ("fluentd", Some(("fluentd-address", "unix:///run/fluent.sock")), None),
            ("fluentd", None, Some("tcp://127.0.0.1:24224")),
            (
                "splunk",
                Some(("splunk-url", "https://splunk.internal:8088/services")),
                Some("tcp://splunk.internal:8088"),
            ),
            ("json-file", None, None),
            ("none", None, None),
        ] {
            assert_eq!(target(driver, option).as_deref(), expected, "{driver} {option:?}");
        }
        assert_eq!(target("gelf", Some(("gelf-address", "udp://10.0.0.5:99999"))), None, "no such port");
    }

    #[test]
    fn a_declared_collector_is_written_as_it_was_read() {
        let end = |text: &str| {
            let socket: SocketAddr = text.parse().expect("an address");
            Endpoint { ip: socket.ip(), port: socket.port() }
        };
        for (text, inside, outside) in [
            ("10.0.0.5:24224", "10.0.0.5:24224", "10.0.0.5:514"),
            ("10.0.0.5", "10.0.0.5:514", "10.0.0.6:514"),
            ("10.0.0.0/24:514", "10.0.0.9:514", "10.0.1.9:514"),
            ("[2001:db8::/32]:514", "[2001:db8::9]:514", "[2001:db9::9]:514"),
        ] {
            let collector = DeclaredCollector::try_from(text.to_owned()).expect("a collector");
            assert!(collector.contains(end(inside)) && !collector.contains(end(outside)), "{text}");
            assert_eq!(String::from(collector), text);
        }
        assert!(DeclaredCollector::try_from("logs.internal:514".to_owned()).is_err());
    }
}
