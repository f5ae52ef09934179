//! Name resolution by content: DNS over HTTPS, TLS or QUIC at any port, and plain DNS at a port of its own.
//!
//! Contract: pure; says what gave it away. Sources: RFC 8484 (`DoH`), RFC 7858 (`DoT`, ALPN `dot`), RFC 9250 (`DoQ`, ALPN `doq`); the lists under
//! `data/` name whom they have each entry from.
//! Limits: an endpoint that is on no list, with an encrypted hello or none, looks like any other HTTPS. Multicast DNS, LLMNR and `NetBIOS` are
//! not meant where they stay among neighbours: at multicast and link-local addresses, and at private ones for the names that neighbours have
//! (RFC 6762 §3, RFC 4795 §2, RFC 1002 §4.2.1).
//! Design: what the flow says of itself comes before whose address it is, so that the alert names the most telling.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::LazyLock;

use crate::input::{AppFacts, DnsMessage, Endpoint, FiveTuple, FlowRecord, Protocol};

/// Ports at which questions need no content to be known.
const ORDINARY: [u16; 2] = [53, 853];
/// Ports that `NetBIOS`, mDNS and LLMNR use among neighbours.
const NEIGHBOURS: [u16; 3] = [137, 5353, 5355];

/// Name resolution that was recognised by content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// `DoH`, `DoT`, `DoQ`, or `DNS` at another port than its own.
    pub protocol: &'static str,
    /// For a person: what gave it away.
    pub text: String,
}

/// Whether the flow, by what its first bytes said or by its known endpoint, asks for names.
pub fn by_content(record: &FlowRecord) -> Option<Resolution> {
    ResolverList::built_in().by_content(record)
}

/// Whether a question stays among neighbours, who ask each other for their own names: at a port of mDNS, LLMNR or `NetBIOS`, and at an address of
/// the link, or at a private one for a name that a neighbour has.
pub fn is_among_neighbours(end: Endpoint, question: &DnsMessage) -> bool {
    NEIGHBOURS.contains(&end.port)
        && (is_on_link(end.ip.to_canonical()) || (is_near(end.ip.to_canonical()) && is_neighbours(question)))
}

/// Whether a neighbour has the name: one below `local`, one of a single label, the name of an address, or a `NetBIOS` name.
fn is_neighbours(question: &DnsMessage) -> bool {
    let name = question.query.trim_end_matches('.').to_ascii_lowercase();
    let is_below = |zone: &str| name == zone || name.strip_suffix(zone).is_some_and(|rest| rest.ends_with('.'));
    let is_single = !name.is_empty() && !name.contains('.');
    is_single || ["local", "in-addr.arpa", "ip6.arpa"].into_iter().any(is_below)
}

/// An address that is not routed.
fn is_on_link(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_multicast() || ip.is_broadcast() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_multicast() || ip.is_unicast_link_local(),
    }
}

fn is_near(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => is_on_link(ip) || v4.is_private(),
        IpAddr::V6(v6) => is_on_link(ip) || v6.is_unique_local(),
    }
}

/// Public resolvers that answer over HTTPS.
#[derive(Clone, Debug)]
pub struct ResolverList {
    /// Lower case; one with a leading dot means every name below it.
    names: BTreeSet<String>,
    addresses: BTreeSet<IpAddr>,
}

impl ResolverList {
    /// The list that hopwatch brings.
    pub fn built_in() -> &'static Self {
        static BUILT_IN: LazyLock<ResolverList> = LazyLock::new(|| ResolverList {
            names: lines(include_str!("data/doh_names.txt")).map(str::to_owned).collect(),
            addresses: lines(include_str!("data/resolver_addresses.txt"))
                .filter_map(|line| line.parse().ok())
                .collect(),
        });
        &BUILT_IN
    }

    /// The same list and these names; a leading dot or `*.` means every name below it.
    #[must_use]
    pub fn with_names<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        let names = names.into_iter().map(|name| name.strip_prefix('*').unwrap_or(name).to_ascii_lowercase());
        self.names.extend(names.filter(|name| name.len() > 1));
        self
    }

    /// As [`by_content`], by this list.
    pub fn by_content(&self, record: &FlowRecord) -> Option<Resolution> {
        let tuple = record.tuple;
        let by_facts = record.app.as_ref().and_then(|app| self.by_facts(app, tuple));
        by_facts.or_else(|| self.by_address(tuple, record.app.as_deref()))
    }

    fn by_facts(&self, app: &AppFacts, tuple: FiveTuple) -> Option<Resolution> {
        let found = |protocol, text| Some(Resolution { protocol, text });
        if let Some(tls) = &app.tls {
            // Before RFC 9250 its drafts were `doq-i00` and on.
            let spoken = |alpn: &&String| *alpn == "dot" || *alpn == "doq" || alpn.starts_with("doq-i");
            if let Some(alpn) = tls.alpn.iter().find(spoken) {
                return found(if alpn == "dot" { "DoT" } else { "DoQ" }, format!("the TLS hello offers {alpn}"));
            }
            if let Some(name) = tls.sni.as_deref().filter(|name| self.names_it(name)) {
                return found("DoH", format!("the TLS hello asks for {name}, a public resolver"));
            }
        }
        if let Some((how, target)) = relayed_to(app).filter(|(_, target)| self.is_target(target)) {
            return found("DoH", format!("{how} asks to be relayed to {target}, a public resolver"));
        }
        let is_farther = |question: &&DnsMessage| !is_among_neighbours(tuple.resp, question);
        let question = app.dns.iter().find(is_farther).filter(|_| !tuple.resp.ip.is_multicast())?;
        // A client may ask from any port; an answer alone comes from an ordinary one.
        let is_answer = question.rcode.is_some();
        let from_ordinary = ORDINARY.contains(&tuple.orig.port)
            || (NEIGHBOURS.contains(&tuple.orig.port) && is_near(tuple.resp.ip.to_canonical()));
        let is_expected = ORDINARY.contains(&tuple.resp.port);
        if (is_answer && from_ordinary) || is_expected {
            return None;
        }
        found("DNS", format!("the question {} {} at port {}", question.query, question.kind, tuple.resp.port))
    }

    /// HTTPS at a public resolver's address, whatever it says: a hello may hide the name.
    fn by_address(&self, tuple: FiveTuple, app: Option<&AppFacts>) -> Option<Resolution> {
        let FiveTuple { protocol, resp, .. } = tuple;
        let is_https = resp.port == 443 && matches!(protocol, Protocol::TCP | Protocol::UDP);
        let is_other = app.is_some_and(|app| app.ssh.is_some() || (app.http.is_some() && app.tls.is_none()));
        let is_meant = is_https && !is_other && self.addresses.contains(&resp.ip.to_canonical());
        is_meant.then(|| Resolution {
            protocol: "DoH",
            text: format!("{} is a public resolver's address, on port 443", resp.ip),
        })
    }

    fn names_it(&self, name: &str) -> bool {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let below = name.match_indices('.').filter_map(|(dot, _)| name.get(dot..));
        self.names.contains(&name) || below.into_iter().any(|suffix| self.names.contains(suffix))
    }

    /// Whether a `host:port` is a public resolver's: by its name at any port, by its address at those of resolution.
    fn is_target(&self, target: &str) -> bool {
        if let Ok(address) = target.parse::<SocketAddr>() {
            return [443, 853, 53].contains(&address.port()) && self.addresses.contains(&address.ip().to_canonical());
        }
        target.rsplit_once(':').is_some_and(|(name, _)| self.names_it(name))
    }
}

/// Where a proxy is asked to relay to.
fn relayed_to(app: &AppFacts) -> Option<(&'static str, &str)> {
    let connect = app.http.as_ref().and_then(|request| request.connect.as_deref()).map(|target| ("CONNECT", target));
    connect.or_else(|| app.socks.as_ref().map(|request| ("SOCKS", request.target.as_str())))
}

/// What a data file lists.
fn lines(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::input::{FlowId, HttpRequest, ObservationPoint, SocksRequest, TlsHello};
    use crate::time::Timestamp;

    fn record(protocol: Protocol, to: &str, app: Option<AppFacts>) -> FlowRecord {
        let resp: SocketAddr = to.parse().expect("an address and a port");
        FlowRecord {
            app: app.map(Arc::new),
            ..FlowRecord::new(
                FlowId(1),
                ObservationPoint::new("br-net"),
                FiveTuple {
                    protocol,
                    orig: Endpoint { ip: "172.20.0.2".parse().expect("an address"), port: 40_000 },
                    resp: Endpoint { ip: resp.ip(), port: resp.port() },
                },
                Timestamp::from_secs(1),
            )
        }
    }

    fn hello(sni: Option<&str>, alpn: &[&str]) -> AppFacts {
        let alpn = alpn.iter().map(|&name| name.to_owned()).collect();
        AppFacts { tls: Some(TlsHello { sni: sni.map(str::to_owned), alpn, ja4: None }), ..AppFacts::default() }
    }

    fn connect(target: &str) -> AppFacts {
        let http = HttpRequest {
            method: "CONNECT".into(),
            host: None,
            connect: Some(target.into()),
            ..HttpRequest::default()
        };
        AppFacts { http: Some(http), ..AppFacts::default() }
    }

    fn socks(target: &str) -> AppFacts {
        let socks = SocksRequest { version: 5, command: "connect".into(), target: target.into() };
        AppFacts { socks: Some(socks), ..AppFacts::default() }
    }

    fn questions(names: &[&str]) -> AppFacts {
        let dns = names.iter().map(|name| DnsMessage { query: (*name).into(), kind: "A".into(), rcode: None });
        AppFacts { dns: dns.collect(), ..AppFacts::default() }
    }

    fn question() -> AppFacts {
        questions(&["a.example"])
    }

    const ELSEWHERE: &str = "198.51.100.7:443";

    #[test]
    fn names_alpn_targets_and_addresses_give_resolution_away() {
        for (to, app, protocol) in [
            (ELSEWHERE, Some(hello(Some("dns.google"), &["h2"])), "DoH"),
            (ELSEWHERE, Some(hello(Some("Mozilla.Cloudflare-DNS.com."), &[])), "DoH"),
            (ELSEWHERE, Some(hello(Some("a1b2c3.dns.nextdns.io"), &["h2"])), "DoH"),
            ("198.51.100.7:8443", Some(hello(Some("dns.quad9.net"), &["h2"])), "DoH"),
            ("198.51.100.7:8853", Some(hello(None, &["dot"])), "DoT"),
            ("198.51.100.7:443", Some(hello(Some("www.example"), &["doq"])), "DoQ"),
            ("198.51.100.7:8853", Some(hello(None, &["doq-i02"])), "DoQ"),
            ("8.8.8.8:443", None, "DoH"),
            ("8.8.8.8:443", Some(hello(None, &["h3"])), "DoH"),
            ("[2606:4700:4700::1111]:443", None, "DoH"),
            ("[::ffff:9.9.9.9]:443", None, "DoH"),
            ("172.20.0.9:3128", Some(connect("dns.google:443")), "DoH"),
            ("172.20.0.9:3128", Some(connect("[2620:fe::fe]:443")), "DoH"),
            ("172.20.0.9:1080", Some(socks("1.1.1.1:853")), "DoH"),
            ("198.51.100.7:5300", Some(question()), "DNS"),
            ("198.51.100.7:5353", Some(question()), "DNS"),
            ("198.51.100.7:5355", Some(question()), "DNS"),
            ("198.51.100.7:137", Some(question()), "DNS"),
            ("[2001:db8::7]:5353", Some(question()), "DNS"),
            ("172.20.0.9:5353", Some(question()), "DNS"),
            ("172.20.0.9:5355", Some(question()), "DNS"),
            ("172.20.0.9:137", Some(questions(&["printer.local", "a.example"])), "DNS"),
            ("[fd00::7]:5355", Some(question()), "DNS"),
            ("172.20.0.9:5353", Some(questions(&["a.notlocal"])), "DNS"),
        ] {
            let found = by_content(&record(Protocol::UDP, to, app.clone()));
            assert_eq!(found.as_ref().map(|found| found.protocol), Some(protocol), "{to} {app:?}");
        }
    }

    #[test]
    fn other_traffic_is_not_resolution() {
        for (to, app) in [
            (ELSEWHERE, None),
            (ELSEWHERE, Some(hello(Some("www.google.com"), &["h2", "http/1.1"]))),
            (ELSEWHERE, Some(hello(Some("notdns.google"), &["h2"]))),
            (ELSEWHERE, Some(hello(Some("dns.nextdns.io.evil.example"), &["h2"]))),
            ("8.8.8.8:80", None),
            ("172.20.0.9:3128", Some(connect("www.example:443"))),
            ("172.20.0.9:3128", Some(connect("8.8.8.8:80"))),
            ("172.20.0.9:53", Some(question())),
            ("172.20.0.9:5353", Some(questions(&["printer.Local.", "_ipp._tcp.local", "9.0.20.172.in-addr.arpa"]))),
            ("172.20.0.9:137", Some(questions(&["CKAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]))),
            ("[fd00::7]:5355", Some(questions(&["wpad"]))),
            ("169.254.7.7:5355", Some(question())),
            ("224.0.0.251:5353", Some(question())),
            ("[fe80::7]:5353", Some(question())),
            ("[ff02::fb]:5353", Some(question())),
            ("224.0.0.251:5300", Some(question())),
        ] {
            assert_eq!(by_content(&record(Protocol::UDP, to, app.clone())), None, "{to} {app:?}");
        }
        assert_eq!(by_content(&record(Protocol::ICMP, "8.8.8.8:443", None)), None);
    }

    #[test]
    fn a_question_from_an_ordinary_port_is_one_and_an_answer_from_there_is_none() {
        let answer = || Some("NOERROR".into());
        for (port, rcode, is_found) in
            [(5353, None, true), (53, None, true), (53, answer(), false), (5355, answer(), true)]
        {
            let dns = DnsMessage { query: "a.example".into(), kind: "A".into(), rcode };
            let app = AppFacts { dns: vec![dns], ..AppFacts::default() };
            let mut record = record(Protocol::UDP, "198.51.100.7:5300", Some(app));
            record.tuple.orig.port = port;
            assert_eq!(by_content(&record).is_some(), is_found, "{port}");
        }
    }

    #[test]
    fn the_lists_are_well_formed_and_hold_what_they_should() {
        let names: Vec<_> = lines(include_str!("data/doh_names.txt")).collect();
        assert!(names.len() >= 40, "{}", names.len());
        for name in &names {
            let plain = name.strip_prefix('.').unwrap_or(name);
            assert!(plain.contains('.') && plain.split('.').all(|label| !label.is_empty()), "{name}");
            assert!(
                plain.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.'),
                "{name}"
            );
        }
        let addresses: Vec<_> = lines(include_str!("data/resolver_addresses.txt")).collect();
        let list = ResolverList::built_in();
        assert_eq!(list.addresses.len(), addresses.len(), "each line is an address, and none twice");
        assert_eq!(list.names.len(), names.len(), "no name twice");
    }

    #[test]
    fn own_names_are_added() {
        let list = ResolverList::built_in().clone().with_names(["doh.corp.example", "*.Resolver.example", ""]);
        let asks =
            |name: &str| list.by_content(&record(Protocol::TCP, ELSEWHERE, Some(hello(Some(name), &[])))).is_some();
        assert!(asks("doh.corp.example") && asks("a.resolver.example") && asks("dns.google"));
        assert!(!asks("corp.example") && !asks("resolver.example"));
    }
}
