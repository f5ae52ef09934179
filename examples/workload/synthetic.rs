//! Made workloads: many small flows, and few big ones.

use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::ensure;
use hopwatch::input::tcp_flags::{ACK, FIN, PSH, SYN};

use super::frame::{self, End, Segment, TCP_HEADERS, UDP_HEADERS};
use super::output::{Output, START};
use super::random::{Random, mix};

/// Services that the small flows go to. No DNS: nfpcapd makes a flow of each of its packets.
const SERVICES: [u16; 8] = [UDP_SERVICE, 80, 443, 3306, 5432, 6379, 8080, 9092];
/// The one that is UDP; the others are TCP.
const UDP_SERVICE: u16 = 123;
/// Shortest and longest frame of `small`.
const SMALL: std::ops::RangeInclusive<u64> = 64..=100;
/// Payload of a full segment.
const SEGMENT: usize = 1460;
/// Segments between two acknowledgements.
const ACK_EVERY: u32 = 8;

/// Flows in random order, each once a round, in alternating directions: the flow table is what works. Frames are 1 µs apart.
pub fn small(path: &Path, packets: u64, flows: u64) -> anyhow::Result<()> {
    ensure!(flows > 0 && packets >= flows && flows < 1 << 25, "between 1 and 2^25 flows, each with a packet");
    let mut random = Random::new(1);
    let mut order: Vec<u32> = (0..u32::try_from(flows)?).collect();
    let mut out = Output::create(path)?;
    let mut bytes = Vec::new();
    let text: Vec<u8> = (b'a'..=b'z').cycle().take(100).collect();
    let mut at = START;
    for round in 0..packets / flows {
        random.shuffle(&mut order);
        for flow in &order {
            let len = usize::try_from(SMALL.start() + random.below(SMALL.end() - SMALL.start() + 1))?;
            let (client, server) = small_ends(*flow);
            let (from, to) = if round % 2 == 0 { (client, server) } else { (server, client) };
            if server.port == UDP_SERVICE {
                frame::udp(&mut bytes, from, to, &text[..len - UDP_HEADERS])?;
            } else {
                frame::tcp(&mut bytes, from, to, small_segment(round)?, &text[..len - TCP_HEADERS])?;
            }
            out.packet(at, u32::try_from(bytes.len())?, &bytes)?;
            at += 1;
        }
    }
    out.finish()
}

/// Four flows a client address.
fn small_ends(flow: u32) -> (End, End) {
    let random = mix(u64::from(flow));
    let [port_low, port_high, network, host, service, ..] = random.to_le_bytes();
    let port = 20_000 + 4 * (u16::from_le_bytes([port_low, port_high]) % 5_000) + u16::from(flow.to_le_bytes()[0] % 4);
    let client = End { ip: Ipv4Addr::from_bits(0x0a00_0000 + flow / 4), port };
    let port = SERVICES[usize::from(service) % SERVICES.len()];
    let server = End { ip: Ipv4Addr::new(172, 20, network % 4, host | 1), port };
    (client, server)
}

/// A handshake in the first rounds, then data.
fn small_segment(round: u64) -> anyhow::Result<Segment> {
    let flags = match round {
        0 => SYN,
        1 => SYN | ACK,
        2 => ACK,
        _ => PSH | ACK,
    };
    let seq = u32::try_from(round)?.wrapping_mul(1_000);
    Ok(Segment { flags, seq, ack: seq })
}

/// Few connections in bursts of full segments, acknowledged: the reader is what works. Frames are 1 µs apart.
pub fn elephants(path: &Path, segments: u64, flows: u64) -> anyhow::Result<()> {
    ensure!(flows > 0 && flows <= 200, "between 1 and 200 flows");
    let mut random = Random::new(2);
    let mut out = Sender { out: Output::create(path)?, bytes: Vec::new(), at: START };
    let mut connections: Vec<Connection> = (0..u8::try_from(flows)?).map(Connection::new).collect();
    for connection in &connections {
        out.send(connection, true, (SYN, 0, 0), &[])?;
        out.send(connection, false, (SYN | ACK, 0, 1), &[])?;
        out.send(connection, true, (ACK, 1, 1), &[])?;
    }
    let mut payload = [0; SEGMENT];
    let mut left = segments;
    while left > 0 {
        let chosen = usize::try_from(random.below(flows))?;
        let burst = (1 + random.below(16)).min(left);
        left -= burst;
        for _ in 0..burst {
            for piece in payload.as_chunks_mut::<8>().0 {
                *piece = random.next().to_le_bytes();
            }
            out.data(&mut connections[chosen], &payload)?;
        }
    }
    for connection in &connections {
        out.send(connection, true, (FIN | ACK, connection.seq, 1), &[])?;
        out.send(connection, false, (FIN | ACK, 1, connection.seq.wrapping_add(1)), &[])?;
    }
    out.out.finish()
}

/// A bulk connection.
struct Connection {
    client: End,
    server: End,
    seq: u32,
    sent: u32,
}

impl Connection {
    fn new(number: u8) -> Self {
        let client = End { ip: Ipv4Addr::new(172, 17, 0, 2 + number), port: 40_000 + 7 * u16::from(number) };
        let port = if number.is_multiple_of(2) { 443 } else { 5_001 };
        let server = End { ip: Ipv4Addr::new(172, 18, 1, 2 + number % 4), port };
        Self { client, server, seq: 1, sent: 0 }
    }
}

/// Writes segments of connections.
struct Sender {
    out: Output,
    bytes: Vec<u8>,
    at: u64,
}

impl Sender {
    fn send(
        &mut self,
        connection: &Connection,
        from_client: bool,
        (flags, seq, ack): (u8, u32, u32),
        payload: &[u8],
    ) -> anyhow::Result<()> {
        let (client, server) = (connection.client, connection.server);
        let (from, to) = if from_client { (client, server) } else { (server, client) };
        frame::tcp(&mut self.bytes, from, to, Segment { flags, seq, ack }, payload)?;
        self.out.packet(self.at, u32::try_from(self.bytes.len())?, &self.bytes)?;
        self.at += 1;
        Ok(())
    }

    /// A full segment, and now and then its acknowledgement.
    fn data(&mut self, connection: &mut Connection, payload: &[u8]) -> anyhow::Result<()> {
        self.send(connection, true, (ACK, connection.seq, 1), payload)?;
        connection.seq = connection.seq.wrapping_add(u32::try_from(payload.len())?);
        connection.sent += 1;
        if connection.sent.is_multiple_of(ACK_EVERY) {
            self.send(connection, false, (ACK, 1, connection.seq), &[])?;
        }
        Ok(())
    }
}
