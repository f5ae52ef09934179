//! Writes pcapng: one section, an interface block per observation point, nanosecond packets.
//!
//! Contract: what is written is read back equal by [`super::CaptureReader`], and by libpcap and wiretap.
//! Limits: times before 1970 are written as 1970; options are cut at 65,535 bytes, captured data at 4 GiB.
//! Design: every block is put together in one reused buffer and written at once.

use std::io::{self, Write};

use crate::decode::LinkType;
use crate::time::Timestamp;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
const INTERFACE: u32 = 1;
const ENHANCED_PACKET: u32 = 6;

const OPTION_COMMENT: u16 = 1;
const OPTION_IF_NAME: u16 = 2;
const OPTION_APPLICATION: u16 = 4;
const OPTION_IF_TSRESOL: u16 = 9;
/// Timestamps count nanoseconds: ten to the power of minus nine.
const NANOSECONDS: u8 = 9;

/// Writes one capture.
#[derive(Debug)]
pub struct PcapngWriter<W> {
    out: W,
    block: Vec<u8>,
    interfaces: u32,
}

impl<W: Write> PcapngWriter<W> {
    /// Starts a capture; `comment` says what it is.
    pub fn new(out: W, comment: Option<&str>) -> io::Result<Self> {
        let mut writer = Self { out, block: Vec::new(), interfaces: 0 };
        writer.begin(SECTION_HEADER);
        writer.u32(BYTE_ORDER);
        writer.block.extend_from_slice(&1_u16.to_le_bytes());
        writer.block.extend_from_slice(&0_u16.to_le_bytes());
        // The length of the section is not known while it is written.
        writer.block.extend_from_slice(&u64::MAX.to_le_bytes());
        writer.option(OPTION_APPLICATION, concat!("hopwatch ", env!("CARGO_PKG_VERSION")).as_bytes());
        if let Some(comment) = comment {
            writer.option(OPTION_COMMENT, comment.as_bytes());
        }
        writer.end_of_options();
        writer.finish_block()?;
        Ok(writer)
    }

    /// Describes an observation point; packets name it by the number returned. A snap length of 0 means no bound.
    pub fn add_interface(
        &mut self,
        name: &str,
        link: LinkType,
        snap_length: u32,
        comment: Option<&str>,
    ) -> io::Result<u32> {
        self.begin(INTERFACE);
        self.block.extend_from_slice(&link.0.to_le_bytes());
        self.block.extend_from_slice(&[0, 0]);
        self.u32(snap_length);
        if let Some(comment) = comment {
            self.option(OPTION_COMMENT, comment.as_bytes());
        }
        self.option(OPTION_IF_NAME, name.as_bytes());
        self.option(OPTION_IF_TSRESOL, &[NANOSECONDS]);
        self.end_of_options();
        self.finish_block()?;
        self.interfaces += 1;
        Ok(self.interfaces - 1)
    }

    /// Writes a packet of an interface that was added.
    pub fn packet(&mut self, interface: u32, at: Timestamp, wire_len: u32, data: &[u8]) -> io::Result<()> {
        if interface >= self.interfaces {
            let what = format!("interface {interface} was not added; there are {}", self.interfaces);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        let nanos = u64::try_from(at.as_nanos()).unwrap_or(0).to_le_bytes();
        self.begin(ENHANCED_PACKET);
        self.u32(interface);
        self.block.extend_from_slice(&nanos[4..]);
        self.block.extend_from_slice(&nanos[..4]);
        self.u32(u32::try_from(data.len()).map_err(io::Error::other)?);
        self.u32(wire_len);
        self.block.extend_from_slice(data);
        self.pad();
        self.finish_block()
    }

    /// What it writes to.
    pub const fn out(&mut self) -> &mut W {
        &mut self.out
    }

    /// Hands everything written so far to the system.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Flushes and gives back what was written to.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }

    fn begin(&mut self, block_type: u32) {
        self.block.clear();
        self.u32(block_type);
        self.u32(0);
    }

    fn u32(&mut self, value: u32) {
        self.block.extend_from_slice(&value.to_le_bytes());
    }

    fn option(&mut self, code: u16, value: &[u8]) {
        let len = u16::try_from(value.len()).unwrap_or(u16::MAX);
        self.block.extend_from_slice(&code.to_le_bytes());
        self.block.extend_from_slice(&len.to_le_bytes());
        self.block.extend_from_slice(value.get(..usize::from(len)).unwrap_or(value));
        self.pad();
    }

    fn end_of_options(&mut self) {
        self.u32(0);
    }

    fn pad(&mut self) {
        self.block.resize(self.block.len().next_multiple_of(4), 0);
    }

    fn finish_block(&mut self) -> io::Result<()> {
        let len = u32::try_from(self.block.len() + 4).map_err(io::Error::other)?;
        self.u32(len);
        if let Some(field) = self.block.get_mut(4..8) {
            field.copy_from_slice(&len.to_le_bytes());
        }
        self.out.write_all(&self.block)
    }
}
