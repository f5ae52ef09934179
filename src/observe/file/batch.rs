//! Several packets at once, as they lie in the window.
//!
//! Contract: the same packets in the same order, and the same error after them, as [`CaptureReader::next_packet`] gives; the
//! two may be mixed. The packets of a batch are of one interface and nothing is copied. A batch is never empty.
//! Limits: [`Batch::MAX`] packets; a batch ends early where the window ends, at another interface, and at a block that is not
//! a packet.
//! Design: the first packet is found the usual way, which reads, grows and complains; the others are taken while they are
//! whole. Whatever is not plainly whole is left for the next call.

use super::{CaptureError, CaptureReader, Format, Interface, Packet};
use crate::flow::Frame;
use crate::time::Timestamp;

const NO_FRAME: Frame<'static> = Frame { at: Timestamp::from_nanos(0), wire_len: 0, data: &[] };

/// Packets of one interface, as long as the reader is not asked for more.
#[derive(Clone, Debug)]
pub struct Batch<'a> {
    /// Which of [`CaptureReader::interfaces`].
    pub interface: usize,
    /// That interface.
    pub origin: &'a Interface,
    frames: [Frame<'a>; Batch::MAX],
    len: usize,
}

impl<'a> Batch<'a> {
    /// The most packets of a batch: enough to hide the latency of memory behind the work on the others.
    pub const MAX: usize = 64;

    /// A batch of one packet.
    pub(in crate::observe) fn of(packet: &Packet<'a>) -> Self {
        let mut frames = [NO_FRAME; Self::MAX];
        frames[0] = Frame { at: packet.at, wire_len: packet.wire_len, data: packet.data };
        Self { interface: packet.interface, origin: packet.origin, frames, len: 1 }
    }

    /// The packets, in the order of the file.
    pub fn frames(&self) -> &[Frame<'a>] {
        &self.frames[..self.len]
    }
}

impl CaptureReader {
    /// The next packets, at most `max` and at least one; `None` at the end. After an error the stream is over.
    pub fn next_batch(&mut self, max: usize) -> Result<Option<Batch<'_>>, CaptureError> {
        self.advance()?;
        let Some(first) = self.record.take() else { return Ok(None) };
        let Some(origin) = self.points.all().get(first.interface) else { return Ok(None) };
        // Interfaces are counted within the section; those of a classic file have none.
        let section_start = match self.format {
            Format::Classic(_) => 0,
            Format::Pcapng(_) => self.points.all().len() - self.section.len(),
        };
        let bytes = self.window.bytes();
        let mut frames = [NO_FRAME; Batch::MAX];
        let (mut record, mut held, mut len) = (first, self.held, 0);
        let mut start = 0;
        for place in frames.iter_mut().take(max.max(1)) {
            let data_at = start + record.data_at;
            let Some(data) = bytes.get(data_at..data_at + record.captured) else { break };
            *place = Frame { at: record.at, wire_len: record.wire_len, data };
            // The first one was counted as it was reached.
            self.odd_fractions += u64::from(len > 0 && record.odd);
            len += 1;
            self.last_at = record.at;
            self.held = held;
            let rest = bytes.get(held..).unwrap_or(&[]);
            let next = match self.format {
                Format::Classic(classic) => classic.whole(rest),
                Format::Pcapng(order) => order.whole(rest, &self.section, record.at),
            };
            let Some((next, whole)) = next else { break };
            if section_start + next.interface != first.interface {
                break;
            }
            (record, start, held) = (next, held, held + whole);
        }
        self.packets += (len as u64).saturating_sub(1);
        Ok(Some(Batch { interface: first.interface, origin, frames, len }))
    }
}
