//! Loads for what stands behind the meter: connections of workloads that keep to a proxy or go around it, datagrams of addresses without an owner,
//! and the facts and contracts to replay them with.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Context as _, ensure};
use hopwatch::input::tcp_flags::{ACK, FIN, PSH, SYN};
use hopwatch::time::Timestamp;

use super::frame::{self, End, Segment};
use super::output::{Output, START};

/// Packets of a connection: who sends them, and what TCP says.
const CONNECTION: [(bool, u8); 6] =
    [(true, SYN), (false, SYN | ACK), (true, ACK), (true, PSH | ACK), (true, FIN | ACK), (false, FIN | ACK)];
/// Microseconds between two packets of a connection, and between the starts of two connections.
const STEP: u64 = 20_000;
const GAP: u64 = 100;
/// Connections that go around the proxy, in a hundred.
const AROUND: u64 = 5;
/// The container's first address, and the proxy's.
const FIRST: u32 = 0x0a4d_0010;
const PROXY: End = End { ip: Ipv4Addr::new(10, 77, 0, 3), port: 3128 };
const OUTSIDE: End = End { ip: Ipv4Addr::new(198, 51, 100, 7), port: 443 };
/// Event time of everything that is known before the first packet, in microseconds.
const BEFORE: i64 = START.cast_signed() - 10_000_000;
/// Workloads whose addresses the network has room for.
const MOST_WORKLOADS: u64 = 60_000;

fn address(number: u64) -> anyhow::Result<Ipv4Addr> {
    ensure!(number < MOST_WORKLOADS, "at most {MOST_WORKLOADS} workloads");
    Ok(Ipv4Addr::from_bits(FIRST + u32::try_from(number)?))
}

/// Connections of six packets, `flows` of `workloads` in turn.
pub fn connections(path: &Path, flows: u64, workloads: u64) -> anyhow::Result<()> {
    ensure!(workloads > 0, "at least one workload");
    let mut out = Output::create(path)?;
    let mut bytes = Vec::new();
    let lag = STEP / GAP;
    // Each turn writes the next packet of every connection that has one now, so that times never go back.
    for turn in 0..flows + lag * 5 {
        for (packet, (from_client, flags)) in (0_u64..).zip(CONNECTION) {
            let Some(number) = turn.checked_sub(packet * lag).filter(|number| *number < flows) else { continue };
            let port = u16::try_from(1_024 + (number / workloads * 131 + number) % 60_000)?;
            let client = End { ip: address(number % workloads)?, port };
            let server = if number * 7_919 % 100 < AROUND { OUTSIDE } else { PROXY };
            let (from, to) = if from_client { (client, server) } else { (server, client) };
            let payload: &[u8] = if flags & PSH != 0 { b"hello, these are 32 bytes of data" } else { b"" };
            let seq = u32::try_from(packet)? + if from_client { 2_000 } else { 1_000 };
            frame::tcp(&mut bytes, from, to, Segment { flags, seq, ack: 1_001 }, payload)?;
            out.packet(START + turn * GAP + packet, u32::try_from(bytes.len())?, &bytes)?;
        }
    }
    out.finish()
}

/// `flows` datagrams, each a flow, `a_second` of them, from addresses of the network that no runtime assigned.
pub fn datagrams(path: &Path, flows: u64, a_second: u64) -> anyhow::Result<()> {
    let mut out = Output::create(path)?;
    let mut bytes = Vec::new();
    for number in 0..flows {
        let client = End { ip: address(40_000 + number % 10_000)?, port: u16::try_from(1_024 + number / 10_000)? };
        frame::udp(&mut bytes, client, End { port: 9, ..OUTSIDE }, b"a datagram of 24 bytes.")?;
        out.packet(START + number * 1_000_000 / a_second.max(1), u32::try_from(bytes.len())?, &bytes)?;
    }
    out.finish()
}

/// A network, its proxy and `workloads`, all before the first packet; then `events`, in five seconds, about workloads that send nothing.
pub fn facts(path: &Path, workloads: u64, events: u64) -> anyhow::Result<()> {
    let mut text = String::new();
    let network = r#""id":"net","name":"apps","driver":"bridge","subnets":["10.77.0.0/16"],"gateways":["10.77.0.1"]"#;
    fact(&mut text, BEFORE, r#"{"connected":{"runtime":"docker"}}"#)?;
    fact(&mut text, BEFORE, &format!(r#"{{"network":{{{network},"bridge":"connections"}}}}"#))?;
    fact(&mut text, BEFORE, &workload("proxy", u64::MAX, PROXY.ip))?;
    for number in 0..workloads {
        fact(&mut text, BEFORE, &workload(&format!("app-{number}"), number, address(number)?))?;
    }
    let ids: Vec<String> = (0..workloads).chain([u64::MAX]).map(|number| format!("{:?}", id(number))).collect();
    fact(&mut text, BEFORE, &format!(r#"{{"reconciled":{{"runtime":"docker","running":[{}]}}}}"#, ids.join(",")))?;
    for number in 0..events {
        let event = workload(&format!("job-{number}"), 1_000_000 + number, address(20_000 + number % 10_000)?);
        fact(&mut text, i64::try_from(START + number * 5_000_000 / events)?, &event)?;
    }
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// `contracts` that send everything through the proxy; the last is about the workloads of [`facts`], `by` their name or label.
pub fn contracts(path: &Path, contracts: u64, by: &str) -> anyhow::Result<()> {
    let mut text = "hops:\n  proxy: {workloads: [{name: proxy}], ports: [3128]}\ncontracts:\n".to_owned();
    for number in 0..contracts {
        let name = if number + 1 == contracts { "app-*".to_owned() } else { format!("other-{number}-*") };
        let from = if by == "label" { format!("labels: {{app: {name:?}}}") } else { format!("name: {name:?}") };
        writeln!(
            text,
            "  - {{name: egress-{number}, service: egress, from: [{{{from}}}], to: [internet], via: [proxy]}}"
        )?;
    }
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn id(number: u64) -> String {
    format!("{number:064x}")
}

fn workload(name: &str, number: u64, ip: Ipv4Addr) -> String {
    let [_, b, c, d] = ip.octets();
    format!(
        r#"{{"workload":{{"id":"{}","name":"{name}","image":"load:1","labels":{{"app":"{name}"}},"runtime":"docker","attachments":[{{"network":"apps","network_id":"net","addresses":["{ip}"],"mac":"02:42:ac:{b:02x}:{c:02x}:{d:02x}"}}],"state":"running","since":"{}"}}}}"#,
        id(number),
        Timestamp::from_nanos(BEFORE * 1_000)
    )
}

/// One line of a facts file; `at` is in microseconds.
fn fact(text: &mut String, at: i64, event: &str) -> anyhow::Result<()> {
    let at = Timestamp::from_nanos(at * 1_000);
    writeln!(text, r#"{{"schema":"hopwatch.fact/1","at":"{at}","fact":{{"inventory":{event}}}}}"#)?;
    Ok(())
}
