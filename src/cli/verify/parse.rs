//! The words of a question: selectors, hops, destinations, shares.
//!
//! Contract: each refuses with what is wrong and what can be written instead.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnetwork::IpNetwork;

use super::Asked;
use crate::config::{Config, parse_port};
use crate::path::{DestinationSet, Hop, HopKind, PortSpec, Selector, SelectorFile, checked_glob, parse_range};
use crate::report::BLINDNESS;

/// `app*`, or `label.egress=proxied,network=apps`.
pub(super) fn asked(text: &str) -> Result<Asked, String> {
    Ok(Asked { text: text.to_owned(), selector: selector(text)? })
}

fn selector(text: &str) -> Result<Selector, String> {
    let mut file = SelectorFile::default();
    if text.contains('=') {
        for part in parts(text) {
            let (key, value) = part.split_once('=').ok_or_else(|| format!("{part:?} is no key=value"))?;
            fill(&mut file, key.trim(), value.trim())?;
        }
    } else {
        file.name = Some(text.to_owned());
    }
    Selector::try_from(file).map_err(|error| error.to_string())
}

/// Parts between commas that are in no braces: a glob may hold some.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_u32;
    text.split(move |found: char| {
        match found {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        found == ',' && depth == 0
    })
}

fn fill(file: &mut SelectorFile, key: &str, value: &str) -> Result<(), String> {
    let value = || value.to_owned();
    match key {
        "name" => file.name = Some(value()),
        "image" => file.image = Some(value()),
        "digest" => file.digest = Some(value()),
        "network" => file.network = Some(value()),
        "address" => file.addresses.push(parse_range(&value()).map_err(|error| error.to_string())?),
        _ => {
            let Some(label) = key.strip_prefix("label.").filter(|label| !label.is_empty()) else {
                let known = "name, image, digest, network, address, label.KEY";
                return Err(format!("{key:?} is no part of a selector; there are {known}"));
            };
            file.labels.insert(label.to_owned(), value());
        }
    }
    Ok(())
}

/// A hop of the configuration, or one that is written out.
pub(super) fn hop(text: &str, config: &Config) -> Result<Arc<Hop>, String> {
    let Some((kind, rest)) = text.split_once(':') else {
        return config.hops.get(text).cloned().ok_or_else(|| unknown_hop(text, config));
    };
    let kind = match kind {
        "container" => HopKind::Endpoint,
        "gateway" => HopKind::Gateway,
        "inline" => HopKind::Inline,
        "mirror" => HopKind::Mirror,
        "sidecar" => HopKind::Sidecar,
        "interface" => return interface(rest).map(Arc::new),
        "address" => return address(rest).map(Arc::new),
        _ => return Err(unknown_hop(text, config)),
    };
    let (name, ports) = match rest.rsplit_once(':') {
        Some((name, port)) => (name, vec![parse_port(port)?]),
        None => (rest, Vec::new()),
    };
    let file = SelectorFile { name: Some(name.to_owned()).filter(|name| !name.is_empty()), ..SelectorFile::default() };
    let selector = Selector::try_from(file).map_err(|_| format!("{text:?} names no container"))?;
    Ok(Arc::new(Hop { workloads: vec![selector], ports, ..plain(name, kind) }))
}

fn plain(name: &str, kind: HopKind) -> Hop {
    Hop {
        name: name.to_owned(),
        kind,
        workloads: Vec::new(),
        addresses: Vec::new(),
        interfaces: Vec::new(),
        ports: Vec::new(),
        evidence: kind.evidence().to_vec(),
    }
}

fn interface(name: &str) -> Result<Hop, String> {
    let glob = checked_glob(name).map_err(|why| format!("{name:?} is not a glob: {why}"))?;
    if name.is_empty() {
        return Err("name an interface, such as interface:br-ids".to_owned());
    }
    Ok(Hop { interfaces: vec![glob.compile_matcher()], ..plain(name, HopKind::Inline) })
}

fn address(text: &str) -> Result<Hop, String> {
    let one = |ip: IpAddr, ports: Vec<PortSpec>| Hop {
        addresses: vec![IpNetwork::from(ip)],
        ports,
        ..plain(text, HopKind::Endpoint)
    };
    if let Ok(end) = text.parse::<SocketAddr>() {
        return Ok(one(end.ip(), vec![PortSpec { port: end.port(), protocol: None }]));
    }
    let range = parse_range(text).map_err(|error| error.to_string())?;
    Ok(Hop { addresses: vec![range], ..plain(text, HopKind::Endpoint) })
}

fn unknown_hop(text: &str, config: &Config) -> String {
    let forms = "container:NAME, gateway:NAME, inline:NAME, mirror:NAME, sidecar:NAME, interface:GLOB or address:IP";
    let known: Vec<_> = config.hops.keys().map(String::as_str).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    format!("the configuration has no hop {text:?} (it has: {known}); or write it out: {forms}")
}

/// A set by its name, or an address or range.
pub(super) fn set(name: &str, config: &Config) -> Result<DestinationSet, String> {
    match name {
        "internet" => return Ok(DestinationSet::Internet),
        "any" => return Ok(DestinationSet::Any),
        _ => {}
    }
    if let Some(ranges) = config.destinations.get(name) {
        return Ok(DestinationSet::Ranges(ranges.clone()));
    }
    if name.contains(['.', ':', '/']) {
        return parse_range(name).map(|range| DestinationSet::Ranges(vec![range])).map_err(|error| error.to_string());
    }
    let known = ["internet", "any"].into_iter().chain(config.destinations.keys().map(String::as_str));
    Err(format!("unknown destination {name:?}; there are {}", known.collect::<Vec<_>>().join(", ")))
}

/// A destination that is not asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Except {
    pub(super) text: String,
    pub(super) range: IpNetwork,
    pub(super) port: Option<PortSpec>,
}

/// `203.0.113.5`, `203.0.113.0/24`, `203.0.113.5:51820/udp`, `[2001:db8::5]:1194`.
pub(super) fn except(text: &str) -> Result<Except, String> {
    let except = |range, port| Except { text: text.to_owned(), range, port };
    let (end, protocol) = match text.rsplit_once('/') {
        Some((end, protocol @ ("tcp" | "udp"))) => (end, format!("/{protocol}")),
        _ => (text, String::new()),
    };
    if let Ok(end) = end.parse::<SocketAddr>() {
        let port = parse_port(&format!("{}{protocol}", end.port()))?;
        return Ok(except(IpNetwork::from(end.ip()), Some(port)));
    }
    if !protocol.is_empty() {
        return Err(format!("{text:?} has a protocol and no port; write it like 203.0.113.5:51820/udp"));
    }
    parse_range(text).map(|range| except(range, None)).map_err(|error| error.to_string())
}

/// From 0 to 100.
pub(super) fn percent(text: &str) -> Result<f64, String> {
    let number = text.trim_end_matches('%').trim().parse::<f64>().ok();
    number.filter(|number| (0.0..=100.0).contains(number)).ok_or_else(|| "write a number from 0 to 100".to_owned())
}

/// `loss:the test sent too fast`.
pub(super) fn accepted(text: &str) -> Result<(&'static str, String), String> {
    let (what, reason) = text.split_once(':').unwrap_or((text, ""));
    let known = || BLINDNESS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let Some((name, meaning)) = BLINDNESS.iter().find(|(name, _)| *name == what.trim()) else {
        return Err(format!("there is no {:?}; it is one of {}", what.trim(), known()));
    };
    if reason.trim().is_empty() {
        return Err(format!("{name} ({meaning}) needs a reason, which the report records: {name}:REASON"));
    }
    Ok((name, reason.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::path::EvidenceKind;

    fn config() -> Config {
        let text = "hops: {proxy: {addresses: [10.0.0.1], ports: [3128]}}\ndestinations: {corp: [10.20.0.0/16]}\n";
        config::from_str("test.yaml", text).expect("right").config
    }

    fn written(text: &str) -> String {
        serde_json::to_string(&selector(text).unwrap_or_else(|error| panic!("{text}: {error}"))).expect("JSON")
    }

    #[test]
    fn a_selector_is_a_name_or_parts() {
        for (text, json) in [
            ("app*", r#"{"name":"app*"}"#),
            ("name={a,b}-*,network=apps", r#"{"name":"{a,b}-*","network":"apps"}"#),
            ("label.com.docker.compose.service=web", r#"{"labels":{"com.docker.compose.service":"web"}}"#),
            ("address=10.0.0.0/8,address=::1", r#"{"addresses":["10.0.0.0/8","::1/128"]}"#),
        ] {
            assert_eq!(written(text), json, "{text}");
        }
        for (text, why) in
            [("nmae=x", "label.KEY"), ("name=a[", "not a glob"), ("address=x", "address range"), ("a=b,c", "label.KEY")]
        {
            let error = selector(text).expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn a_hop_is_one_of_the_configuration_or_written_out() {
        let read = |text: &str| {
            let hop = hop(text, &config()).unwrap_or_else(|error| panic!("{text}: {error}"));
            (hop.name.clone(), hop.kind, hop.evidence.clone(), hop.ports.first().map(|spec| spec.port))
        };
        let peer = HopKind::Endpoint.evidence().to_vec();
        assert_eq!(read("proxy"), ("proxy".into(), HopKind::Endpoint, peer.clone(), Some(3128)));
        assert_eq!(read("container:squid:3129"), ("squid".into(), HopKind::Endpoint, peer.clone(), Some(3129)));
        assert_eq!(read("gateway:vpn"), ("vpn".into(), HopKind::Gateway, vec![EvidenceKind::NextHop], None));
        assert_eq!(read("interface:br-ids"), ("br-ids".into(), HopKind::Inline, vec![EvidenceKind::Transit], None));
        assert_eq!(read("sidecar:envoy"), ("envoy".into(), HopKind::Sidecar, vec![EvidenceKind::Owner], None));
        assert_eq!(
            read("address:10.0.0.3:3128"),
            ("10.0.0.3:3128".into(), HopKind::Endpoint, peer.clone(), Some(3128))
        );
        assert_eq!(read("address:2001:db8::/32"), ("2001:db8::/32".into(), HopKind::Endpoint, peer, None));
        for text in ["prxy", "vpn:x", "container:", "interface:", "address:x", "container:squid:0"] {
            assert!(hop(text, &config()).is_err(), "{text}");
        }
        assert!(hop("prxy", &config()).expect_err("unknown").contains("it has: proxy"));
    }

    #[test]
    fn a_destination_is_built_in_of_the_configuration_or_a_range() {
        let ip = |text: &str| text.parse().expect("an address");
        for (name, inside, outside) in [("corp", "10.20.1.1", "10.21.0.1"), ("192.0.2.0/24", "192.0.2.9", "192.0.3.1")]
        {
            let set = set(name, &config()).expect(name);
            assert!(set.contains(ip(inside)) && !set.contains(ip(outside)), "{name}");
        }
        assert!(set("inernet", &config()).expect_err("unknown").contains("internet, any, corp"));
    }
}
