//! The pcapng format: sections of blocks.
//!
//! Contract: any mix of interfaces, link types, resolutions and offsets; byte order by section; enhanced, simple and the
//! obsolete packet block; what packets and interface statistics say was lost. Options that are broken are as good as absent. Blocks that hold
//! no packets are passed over.
//! Limits: simple packets carry no time and get that of the packet before; interface names are cut at [`MAX_NAME`] bytes.
//! Design: pure functions over one whole block; nothing is allocated for a packet.

use super::losses::Dropped;
use super::{Record, bytes_at};
use crate::time::Timestamp;

/// Block type of a section header; it reads the same in both byte orders.
pub(super) const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;

/// The shortest block: header and the repeated length.
pub(super) const MIN_BLOCK: usize = 12;
/// The shortest section header.
pub(super) const MIN_SECTION: usize = 28;
/// The longest block of a kind that is read; longer ones are damage.
pub(super) const MAX_BLOCK: usize = 16 * 1024 * 1024;
/// Names are cut here.
const MAX_NAME: usize = 255;

const OPTION_END: u16 = 0;
const OPTION_IF_NAME: u16 = 2;
const OPTION_IF_TSRESOL: u16 = 9;
const OPTION_IF_TSOFFSET: u16 = 14;
const OPTION_PACKET_DROPPED: u16 = 4;
const OPTION_INTERFACE_DROPPED: u16 = 5;
const OPTION_KERNEL_DROPPED: u16 = 7;
/// What the obsolete packet block writes where it does not know how many were lost.
const NOT_KNOWN: u16 = 0xffff;

/// Byte order of a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order {
    big_endian: bool,
}

/// What kind of block it is, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Section,
    Interface,
    Packet,
    Statistics,
    /// Without packets: names, secrets, journals, what vendors register.
    Other,
    /// Of no documented type, so that it may hold packets.
    Unknown,
}

/// The kind that a block type means.
pub(super) const fn kind(block_type: u32) -> Kind {
    match block_type {
        SECTION_HEADER => Kind::Section,
        INTERFACE => Kind::Interface,
        OBSOLETE_PACKET | SIMPLE_PACKET | ENHANCED_PACKET => Kind::Packet,
        STATISTICS => Kind::Statistics,
        // Name resolution, IRIG timestamps, ARINC 429, systemd's journal, secrets; events of sysdig; custom blocks.
        4 | 7..=10 | 0x201..=0x21f | 0x0bad | 0x4000_0bad => Kind::Other,
        _ => Kind::Unknown,
    }
}

/// The byte order that a section header's magic shows.
pub(super) fn order_of_section(bytes: &[u8]) -> Option<Order> {
    match bytes_at(bytes, 8)? {
        [0x1a, 0x2b, 0x3c, 0x4d] => Some(Order { big_endian: true }),
        [0x4d, 0x3c, 0x2b, 0x1a] => Some(Order { big_endian: false }),
        _ => None,
    }
}

/// How the timestamps of an interface are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clock {
    /// `if_tsresol` as it stands in the file.
    resolution: u8,
    /// `if_tsoffset`, in seconds.
    offset: i64,
}

impl Clock {
    const MICROSECONDS: Self = Self { resolution: 6, offset: 0 };

    /// The event time of a count of units.
    fn time(self, units: u64) -> Timestamp {
        let nanos = match self.resolution {
            6 => i128::from(units) * 1000,
            9 => i128::from(units),
            binary if binary & 0x80 != 0 => (i128::from(units) * 1_000_000_000) >> (binary & 0x7f),
            decimal => {
                10_i128.checked_pow(u32::from(decimal)).map_or(0, |unit| i128::from(units) * 1_000_000_000 / unit)
            }
        };
        let nanos = nanos + i128::from(self.offset) * 1_000_000_000;
        let clamped = nanos.clamp(i128::from(i64::MIN), i128::from(i64::MAX));
        Timestamp::from_nanos(i64::try_from(clamped).unwrap_or(i64::MAX))
    }
}

/// What an interface block says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Description {
    pub(super) link: u16,
    pub(super) snap_length: u32,
    pub(super) name: Option<String>,
    pub(super) clock: Clock,
}

/// An interface as packets need it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    pub(super) clock: Clock,
    pub(super) snap_length: u32,
}

impl Order {
    pub(super) fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        let bytes = bytes_at(bytes, at)?;
        Some(if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    pub(super) fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let bytes = bytes_at(bytes, at)?;
        Some(if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    fn u64(self, bytes: &[u8]) -> Option<u64> {
        let bytes = bytes_at(bytes, 0)?;
        Some(if self.big_endian { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) })
    }

    fn i64(self, bytes: &[u8]) -> Option<i64> {
        let bytes = bytes_at(bytes, 0)?;
        Some(if self.big_endian { i64::from_be_bytes(bytes) } else { i64::from_le_bytes(bytes) })
    }

    /// Reads an interface block.
    pub(super) fn interface(self, block: &[u8]) -> Option<Description> {
        let mut description = Description {
            link: self.u16(block, 8)?,
            snap_length: self.u32(block, 12)?,
            name: None,
            clock: Clock::MICROSECONDS,
        };
        let rest = block.get(16..block.len().checked_sub(4)?)?;
        self.options(rest).for_each(|(code, value)| match code {
            OPTION_IF_NAME => description.name = name(value),
            OPTION_IF_TSRESOL => description.clock.resolution = value.first().copied().unwrap_or(6),
            OPTION_IF_TSOFFSET => description.clock.offset = self.i64(value).unwrap_or(0),
            _ => {}
        });
        Some(description)
    }

    /// Reads the statistics of an interface: its number in the section, and what it lost.
    pub(super) fn statistics(self, block: &[u8]) -> Option<(usize, Dropped)> {
        let number = self.u32(block, 8)? as usize;
        let mut dropped = Dropped::default();
        for (code, value) in self.options(block.get(20..block.len().checked_sub(4)?)?) {
            match code {
                OPTION_INTERFACE_DROPPED => dropped.interface = self.u64(value).unwrap_or(0),
                OPTION_KERNEL_DROPPED => dropped.kernel = self.u64(value).unwrap_or(0),
                _ => {}
            }
        }
        Some((number, dropped))
    }

    /// The options in these bytes, up to their end or the first that is broken.
    fn options(self, mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
        std::iter::from_fn(move || {
            let (code, value, after) = self.option(rest).filter(|(code, ..)| *code != OPTION_END)?;
            rest = after;
            Some((code, value))
        })
    }

    /// The first option: code, value, and what follows it.
    fn option(self, bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
        let code = self.u16(bytes, 0)?;
        let len = usize::from(self.u16(bytes, 2)?);
        let value = bytes.get(4..4 + len)?;
        Some((code, value, bytes.get((4 + len).next_multiple_of(4)..).unwrap_or(&[])))
    }

    /// Reads a packet block; the interface in it is counted within the section.
    pub(super) fn packet(
        self,
        block_type: u32,
        block: &[u8],
        interfaces: &[Timing],
        before: Timestamp,
    ) -> Result<Record, Fault> {
        let record = match block_type {
            SIMPLE_PACKET => self.simple(block, interfaces, before)?,
            ENHANCED_PACKET => self.enhanced(block, self.u32(block, 8).map(|number| number as usize), interfaces)?,
            _ => self.obsolete(block, interfaces)?,
        };
        let end = record.data_at.checked_add(record.captured);
        if end.is_none_or(|end| end > block.len() - 4) { Err(Fault::Short) } else { Ok(record) }
    }

    /// The packet block at the start, if it is one, all of it is there and nothing is wrong with it, and its length.
    pub(super) fn whole(self, bytes: &[u8], interfaces: &[Timing], before: Timestamp) -> Option<(Record, usize)> {
        let (block_type, stated) = (self.u32(bytes, 0)?, self.u32(bytes, 4)?);
        let len = (stated as usize).checked_next_multiple_of(4)?;
        if kind(block_type) != Kind::Packet || !(MIN_BLOCK..=MAX_BLOCK).contains(&len) {
            return None;
        }
        let block = bytes.get(..len)?;
        let is_sound = self.u32(block, len - 4) == Some(stated);
        let record = self.packet(block_type, block, interfaces, before).ok()?;
        is_sound.then_some((record, len))
    }

    fn enhanced(self, block: &[u8], interface: Option<usize>, interfaces: &[Timing]) -> Result<Record, Fault> {
        let field = |at| self.u32(block, at).ok_or(Fault::Short);
        let interface = interface.ok_or(Fault::Short)?;
        let units = u64::from(field(12)?) << 32 | u64::from(field(16)?);
        let (captured, wire_len) = (field(20)? as usize, field(24)?);
        let timing = interfaces.get(interface).ok_or(Fault::UnknownInterface)?;
        let dropped = self.dropped_before(block, captured).unwrap_or(0);
        Ok(Record { interface, at: timing.clock.time(units), wire_len, data_at: 28, captured, odd: false, dropped })
    }

    /// What an enhanced packet's options say was lost before it.
    fn dropped_before(self, block: &[u8], captured: usize) -> Option<u64> {
        let options_at = captured.checked_next_multiple_of(4)?.checked_add(28)?;
        let end = block.len().checked_sub(4)?;
        if options_at >= end {
            return None;
        }
        let found = self.options(block.get(options_at..end)?).find(|(code, _)| *code == OPTION_PACKET_DROPPED);
        self.u64(found?.1)
    }

    fn obsolete(self, block: &[u8], interfaces: &[Timing]) -> Result<Record, Fault> {
        let record = self.enhanced(block, self.u16(block, 8).map(usize::from), interfaces)?;
        let dropped = self.u16(block, 10).filter(|count| *count != NOT_KNOWN).map_or(0, u64::from);
        Ok(Record { dropped, ..record })
    }

    fn simple(self, block: &[u8], interfaces: &[Timing], before: Timestamp) -> Result<Record, Fault> {
        let wire_len = self.u32(block, 8).ok_or(Fault::Short)?;
        let room = block.len().checked_sub(16).ok_or(Fault::Short)?;
        let timing = interfaces.first().ok_or(Fault::UnknownInterface)?;
        let snap = if timing.snap_length == 0 { usize::MAX } else { timing.snap_length as usize };
        let captured = (wire_len as usize).min(snap).min(room);
        Ok(Record { interface: 0, at: before, wire_len, data_at: 12, captured, odd: false, dropped: 0 })
    }
}

/// Why a packet block gives no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is shorter than its fields say.
    Short,
    /// No interface of that number was described in this section.
    UnknownInterface,
}

fn name(value: &[u8]) -> Option<String> {
    let value = value.split(|byte| *byte == 0).next()?;
    let text = String::from_utf8_lossy(value.get(..MAX_NAME).unwrap_or(value));
    (!text.is_empty()).then(|| text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolutions_and_offsets() {
        let time = |resolution, offset, units| Clock { resolution, offset }.time(units).as_nanos();
        assert_eq!(time(6, 0, 1_500_000), 1_500_000_000);
        assert_eq!(time(9, 10, 5), 10_000_000_005);
        assert_eq!(time(3, -1, 2500), 1_500_000_000);
        assert_eq!(time(0x8a, 0, 1536), 1_500_000_000);
        assert_eq!(time(12, 0, 1_500_000_000_000), 1_500_000_000);
        assert_eq!(time(0x7f, 0, u64::MAX), 0);
        assert_eq!(time(0, 0, u64::MAX), i64::MAX);
    }
}
