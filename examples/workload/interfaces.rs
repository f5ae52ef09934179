//! A pcapng file whose packets come from another interface each time: reading ahead over several flow tables is what works.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Context as _, ensure};

use super::frame::{self, End};
use super::output::START;

/// Flows of each interface.
const FLOWS: u64 = 16;
const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const PACKET: u32 = 6;

/// `packets` datagrams, 1 µs apart, of `interfaces` in turn.
pub fn in_turn(path: &Path, packets: u64, interfaces: u64) -> anyhow::Result<()> {
    ensure!(interfaces > 0, "at least one interface");
    let mut out = BufWriter::new(File::create(path).with_context(|| format!("cannot write {}", path.display()))?);
    let section = [&0x1a2b_3c4d_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat();
    block(&mut out, SECTION, &section)?;
    for number in 0..interfaces {
        let name = format!("veth{number:04}");
        let name_option = [&[2, 0][..], &u16::try_from(name.len())?.to_le_bytes(), name.as_bytes(), &[0; 4]].concat();
        block(&mut out, INTERFACE, &[&[1, 0, 0, 0][..], &0_u32.to_le_bytes(), &name_option].concat())?;
    }
    let mut bytes = Vec::new();
    for number in 0..packets {
        let (interface, flow) = (number % interfaces, number / interfaces % FLOWS);
        let host = u32::try_from(interface * FLOWS + flow)?;
        let client = End { ip: Ipv4Addr::from_bits(0x0a4d_0010 + host), port: 20_000 };
        frame::udp(
            &mut bytes,
            client,
            End { ip: Ipv4Addr::new(198, 51, 100, 7), port: 9 },
            b"a datagram of 24 bytes.",
        )?;
        let at = START + number;
        let head = [interface, at >> 32, at & 0xffff_ffff, bytes.len() as u64, bytes.len() as u64];
        let head = head.map(u32::try_from).into_iter().collect::<Result<Vec<_>, _>>()?;
        let head: Vec<u8> = head.into_iter().flat_map(u32::to_le_bytes).collect();
        block(&mut out, PACKET, &[head, bytes.clone()].concat())?;
    }
    out.flush()?;
    println!("{packets} packets");
    Ok(())
}

/// A block with its length in front and behind, filled up to four bytes.
fn block(out: &mut impl Write, kind: u32, body: &[u8]) -> anyhow::Result<()> {
    let filled = body.len().next_multiple_of(4);
    let len = u32::try_from(filled + 12)?.to_le_bytes();
    out.write_all(&kind.to_le_bytes())?;
    out.write_all(&len)?;
    out.write_all(body)?;
    out.write_all(&[0; 3][..filled - body.len()])?;
    out.write_all(&len)?;
    Ok(())
}
