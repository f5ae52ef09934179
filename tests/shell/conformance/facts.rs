//! First-payload facts: server names, JA4 fingerprints and DNS names against other tools' results.
//!
//! How it is compared: each capture goes through the meter with timeouts off, one meter an observation point, once on the
//! outermost and once on the innermost layer, because other tools look into tunnels. For each expected entry, the facts of all
//! flow records with its five-tuple (in either direction) must hold the expected value: the server name, the fingerprint, the
//! name asked for. DNS truths name a frame; its five-tuples are those of our decoder, for a later fragment with the ports of
//! its first one. An entry whose flow is not found differs. An expected empty name agrees when the flow has a hello without a
//! name, or none.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;

use hopwatch::decode::{Decoded, Headers, LinkType, TunnelPorts, decode, innermost};
use hopwatch::flow::Layer;
use hopwatch::input::{AppFacts, Fact, FlowEventKind, Protocol};
use hopwatch::observe::CaptureReader;
use serde_json::Value;

use super::{Cases, Tally, metered, of_kind, text};

/// Of each kind so many must agree, in percent.
const MUST_AGREE: [(&str, f64); 7] = [
    ("tshark_clienthello", 100.0),
    ("ja4", 99.2),
    ("ja4_rust", 99.4),
    ("tshark_dns", 99.0),
    ("zeek_ssl", 100.0),
    ("zeek_quic", 100.0),
    ("zeek_dns", 100.0),
];

/// Both ends, in order, so that both directions are one key.
type Ends = [(String, u16); 2];

#[derive(Default)]
struct Facts {
    hellos: BTreeSet<String>,
    ja4: BTreeSet<String>,
    names: BTreeSet<String>,
    protocols: BTreeSet<String>,
}

impl Facts {
    fn add(&mut self, app: &AppFacts) {
        if let Some(tls) = &app.tls {
            self.hellos.insert(tls.sni.clone().unwrap_or_default());
            self.ja4.extend(tls.ja4.clone());
            self.protocols.extend(tls.alpn.first().cloned());
        }
        self.names.extend(app.dns.iter().map(|message| message.query.clone()));
    }
}

fn ends(a: (&str, u16), b: (&str, u16)) -> Ends {
    let mut ends = [(a.0.to_owned(), a.1), (b.0.to_owned(), b.1)];
    ends.sort();
    ends
}

/// `None` where the archive lacks the capture.
fn facts_of(path: &Path) -> Option<BTreeMap<Ends, Facts>> {
    path.is_file().then_some(())?;
    let mut all = BTreeMap::<Ends, Facts>::new();
    for input in [Layer::Outer, Layer::Inner].into_iter().flat_map(|layer| metered(path, layer)) {
        let Fact::Flow(event) = &input.fact else { continue };
        let (orig, resp) = (event.record.tuple.orig, event.record.tuple.resp);
        if let (FlowEventKind::Ended(_), Some(app)) = (event.kind, &event.record.app) {
            let key = ends((&orig.ip.to_string(), orig.port), (&resp.ip.to_string(), resp.port));
            all.entry(key).or_default().add(app);
        }
    }
    Some(all)
}

/// What the pieces of one packet have in common.
type PacketId = (IpAddr, IpAddr, u32, Protocol);

/// Ports by packet in pieces, and the frames that wait for them.
#[derive(Default)]
struct Pieces {
    ports: BTreeMap<PacketId, (u16, u16)>,
    waiting: BTreeMap<PacketId, Vec<u64>>,
}

/// The ends of each frame by its number, outermost and innermost.
fn frames_of(path: &Path) -> BTreeMap<u64, BTreeSet<Ends>> {
    let (mut all, mut pieces) = (BTreeMap::new(), Pieces::default());
    let Ok(mut reader) = CaptureReader::open(path) else { return all };
    let mut number = 0;
    while let Ok(Some(packet)) = reader.next_packet() {
        number += 1;
        for headers in layers(packet.origin.link, packet.wire_len, packet.data) {
            for (number, ends) in pieces.ends(number, &headers) {
                all.entry(number).or_insert_with(BTreeSet::new).insert(ends);
            }
        }
    }
    all
}

fn layers(link: LinkType, wire_len: u32, data: &[u8]) -> Vec<Headers> {
    let Ok(Decoded::Ip(outer)) = decode(link, wire_len, data) else { return Vec::new() };
    vec![outer, innermost(data, &outer, &TunnelPorts::default()).0]
}

impl Pieces {
    /// The ends of a frame, and of those that waited for its ports; none where it has to wait itself.
    fn ends(&mut self, number: u64, headers: &Headers) -> Vec<(u64, Ends)> {
        let with = |(src, dst)| ends((&headers.src.to_string(), src), (&headers.dst.to_string(), dst));
        let own = (headers.src_port, headers.dst_port);
        let Some(piece) = headers.fragment else { return vec![(number, with(own))] };
        let id = (headers.src, headers.dst, piece.id, piece.protocol);
        if piece.is_first() {
            self.ports.insert(id, own);
        }
        let mut waited = self.waiting.remove(&id).unwrap_or_default();
        waited.push(number);
        if let Some(ports) = self.ports.get(&id) {
            return waited.into_iter().map(|number| (number, with(*ports))).collect();
        }
        self.waiting.insert(id, waited);
        Vec::new()
    }
}

fn port(value: &Value) -> u16 {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    // The innermost, where there are several.
    text.rsplit([',', ';']).next().and_then(|port| port.parse().ok()).unwrap_or(0)
}

/// Compares one kind of truth: `key` gives the ends of an entry, `agrees` compares it with the facts of its flow.
fn compare(
    cases: &Cases,
    truth: &[Value],
    kind: &str,
    key: impl Fn(&Value) -> Ends,
    agrees: impl Fn(&Value, &Facts) -> Option<bool>,
) -> Tally {
    let mut tally = Tally::default();
    for line in of_kind(truth, kind) {
        let file = text(line, "file");
        let Some(facts) = facts_of(&cases.path(file)) else { continue };
        for entry in line["expected"].as_array().into_iter().flatten() {
            let ends = key(entry);
            let ours = facts.get(&ends);
            let verdict = ours.map_or_else(|| agrees(entry, &Facts::default()), |ours| agrees(entry, ours));
            if let Some(verdict) = verdict {
                tally.add(verdict, || {
                    let ours = ours.map(|ours| (&ours.hellos, &ours.ja4));
                    format!("{file} {ends:?}: {entry:.200}, ours {ours:?}")
                });
            }
        }
    }
    print(&tally, kind);
    tally
}

pub fn first_payload_facts(cases: &Cases, truth: &[Value]) {
    let mut tallies = Vec::new();
    let address = |entry: &Value, side: &str| {
        let all = format!("{},{}", text(entry, &format!("ip4{side}")), text(entry, &format!("ip6{side}")));
        all.split([',', ';']).rfind(|one| !one.is_empty()).unwrap_or_default().to_owned()
    };
    let tshark = |entry: &Value| {
        let side = |ip: &str, letter: &str| {
            let ports = [&entry[format!("tcp_{letter}port")], &entry[format!("udp_{letter}port")]];
            (address(entry, ip), ports.into_iter().map(port).find(|port| *port != 0).unwrap_or(0))
        };
        let (src, dst) = (side("src", "s"), side("dst", "d"));
        ends((&src.0, src.1), (&dst.0, dst.1))
    };
    let by = |a: &'static str, ap: &'static str, b: &'static str, bp: &'static str| {
        move |entry: &Value| ends((text(entry, a), port(&entry[ap])), (text(entry, b), port(&entry[bp])))
    };
    tallies.push(compare(cases, truth, "tshark_clienthello", tshark, |entry, facts| {
        let name = text(entry, "sni");
        Some(facts.hellos.contains(name) || name.is_empty() && facts.hellos.is_empty())
    }));
    tallies.push(compare(cases, truth, "ja4", by("src", "srcport", "dst", "dstport"), |entry, facts| {
        let ja4 = entry.as_object()?.iter().filter(|(key, _)| key.starts_with("JA4."));
        ja4.map(|(_, value)| facts.ja4.contains(value.as_str().unwrap_or_default())).reduce(|all, one| all || one)
    }));
    tallies.push(compare(cases, truth, "ja4_rust", by("src", "src_port", "dst", "dst_port"), |entry, facts| {
        entry["ja4"].as_str().map(|ja4| facts.ja4.contains(ja4))
    }));
    tallies.push(dns(cases, truth));
    let zeek = || by("id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p");
    for kind in ["zeek_ssl", "zeek_quic"] {
        tallies.push(compare(cases, truth, kind, zeek(), |entry, facts| {
            Some(text(entry, "server_name")).filter(|name| *name != "-").map(|name| facts.hellos.contains(name))
        }));
    }
    tallies.push(compare(cases, truth, "zeek_dns", zeek(), |entry, facts| {
        // Without a type there was no question.
        let name = Some(text(entry, "query")).filter(|name| *name != "-" && text(entry, "qtype_name") != "-")?;
        Some(facts.names.iter().any(|ours| is_same_name(ours, name)))
    }));
    for (tally, (kind, least)) in tallies.iter().zip(MUST_AGREE) {
        assert!(tally.total > 0 && tally.share() >= least, "{kind}: {:.2} %, at least {least} expected", tally.share());
    }
}

/// What differs, with one example a file.
fn print(tally: &Tally, kind: &str) {
    println!("{kind}: {} of {} agree ({:.2} %)", tally.agree, tally.total, tally.share());
    let mut files = BTreeMap::<&str, Vec<&str>>::new();
    for example in &tally.examples {
        let (file, what) = example.split_once(' ').unwrap_or_default();
        files.entry(file).or_default().push(what);
    }
    for (file, examples) in files {
        println!("  differs: {} in {file}, such as {}", examples.len(), examples[0]);
    }
}

/// Names by frame.
fn dns(cases: &Cases, truth: &[Value]) -> Tally {
    let mut tally = Tally::default();
    for line in of_kind(truth, "tshark_dns") {
        let path = cases.path(text(line, "file"));
        let Some(facts) = facts_of(&path) else { continue };
        let frames = frames_of(&path);
        for entry in line["expected"].as_array().into_iter().flatten() {
            let name = text(entry, "qname");
            let ends = frames.get(&entry["frame"].as_u64().unwrap_or(0));
            let names = || ends.into_iter().flatten().filter_map(|ends| facts.get(ends)).flat_map(|facts| &facts.names);
            // An entry without a name is a message without a question.
            let agrees = name.is_empty() || names().any(|own| is_same_name(own, name));
            tally.add(agrees, || {
                format!("{} {ends:?}: {entry}, ours {:?}", text(line, "file"), names().collect::<BTreeSet<_>>())
            });
        }
    }
    print(&tally, "tshark_dns");
    tally
}

/// Equal but for how the root and unprintable bytes are written.
fn is_same_name(ours: &str, theirs: &str) -> bool {
    let theirs = if theirs == "<Root>" { "." } else { theirs };
    ours == theirs || plain(ours) == plain(theirs)
}

/// Printable characters only, escapes left out.
fn plain(name: &str) -> String {
    let mut rest = name;
    let mut out = String::new();
    while let Some(next) = rest.chars().next() {
        let escape = ["\\x", "\\u"].iter().any(|start| rest.starts_with(start));
        let len = match next {
            '\\' if escape => 4,
            '\\' if rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit) => 4,
            '\\' => 1,
            _ => {
                if next.is_ascii_graphic() {
                    out.push(next);
                }
                next.len_utf8()
            }
        };
        rest = rest.get(len.min(rest.len())..).unwrap_or("");
    }
    out.to_lowercase()
}
