//! Writes a classic pcap file: microseconds, little-endian, Ethernet. Every peer reads that.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use anyhow::Context as _;

/// Event time of the first packet, in microseconds: 14 November 2023.
pub const START: u64 = 1_700_000_000_000_000;
const SNAP_LENGTH: u32 = 262_144;

/// A capture that is being written.
pub struct Output {
    file: BufWriter<File>,
    packets: u64,
}

impl Output {
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        let mut file = BufWriter::with_capacity(1 << 20, file);
        file.write_all(&0xa1b2_c3d4_u32.to_le_bytes())?;
        file.write_all(&[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0])?;
        file.write_all(&SNAP_LENGTH.to_le_bytes())?;
        file.write_all(&1_u32.to_le_bytes())?;
        Ok(Self { file, packets: 0 })
    }

    /// Adds a packet; `at` is in microseconds.
    pub fn packet(&mut self, at: u64, wire_len: u32, data: &[u8]) -> anyhow::Result<()> {
        let (seconds, micros) = (u32::try_from(at / 1_000_000)?, u32::try_from(at % 1_000_000)?);
        for field in [seconds, micros, u32::try_from(data.len())?, wire_len] {
            self.file.write_all(&field.to_le_bytes())?;
        }
        self.file.write_all(data)?;
        self.packets += 1;
        Ok(())
    }

    /// Writes what is left and says how many packets there are.
    pub fn finish(mut self) -> anyhow::Result<()> {
        self.file.flush()?;
        println!("{} packets", self.packets);
        Ok(())
    }
}
