//! Writes what the engine consumed: `traffic.pcapng`, `facts.jsonl`, and the configuration it ran with.
//!
//! Contract: `replay` of the folder raises the same alerts with the same ids. The first error of writing is kept and reported at
//! the end; nothing after it is written. Limits: a slow disk slows the taps of a recording, and the kernel counts what that costs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::decode::LinkType;
use crate::input::{Input, ObservationPoint};
use crate::inventory::file::FactsWriter;
use crate::observe::PcapngWriter;
use crate::time::Timestamp;

/// An open recording.
#[derive(Debug)]
pub struct Recorder {
    packets: Mutex<Packets>,
    facts: Mutex<FactsWriter<io::BufWriter<fs::File>>>,
}

#[derive(Debug)]
struct Packets {
    writer: PcapngWriter<io::BufWriter<fs::File>>,
    points: Vec<(ObservationPoint, LinkType)>,
    error: Option<io::Error>,
}

/// Why a recording could not be started.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// A file or folder could not be made.
    #[error("cannot create {}: {source}; name a folder that can be written with -o", path.display())]
    Create {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is a recording already.
    #[error("{} exists already; recordings are never overwritten: name a new folder with -o", path.display())]
    Exists {
        /// Where.
        path: PathBuf,
    },
}

impl Recorder {
    /// Starts a recording in a folder, which is made where it is missing.
    pub fn create(folder: &Path, config_text: Option<&str>) -> Result<Self, RecordError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| RecordError::Create { path, source }
        };
        fs::create_dir_all(folder).map_err(failed(folder))?;
        let open = |name: &str| {
            let path = folder.join(name);
            match fs::File::create_new(&path) {
                Ok(file) => Ok((io::BufWriter::new(file), path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(RecordError::Exists { path }),
                Err(error) => Err(failed(&path)(error)),
            }
        };
        let (traffic, path) = open("traffic.pcapng")?;
        let writer = PcapngWriter::new(traffic, None).map_err(failed(&path))?;
        let (facts, _) = open("facts.jsonl")?;
        if let Some(text) = config_text {
            let path = folder.join("hopwatch.yaml");
            fs::write(&path, text).map_err(failed(&path))?;
        }
        Ok(Self {
            packets: Mutex::new(Packets { writer, points: Vec::new(), error: None }),
            facts: Mutex::new(FactsWriter::new(facts)),
        })
    }

    /// The interface block of a point; a tap that comes back gets its old one.
    pub fn interface(&self, point: &ObservationPoint, link: LinkType, snap_length: u32) -> io::Result<u32> {
        let mut packets = self.packets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = packets.points.iter().position(|known| known.0 == *point && known.1 == link) {
            return Ok(u32::try_from(known).unwrap_or(u32::MAX));
        }
        packets.points.push((point.clone(), link));
        packets.writer.add_interface(point.as_str(), link, snap_length, None)
    }

    /// One packet, as captured.
    pub fn packet(&self, interface: u32, at: Timestamp, wire_len: u32, data: &[u8]) {
        let mut packets = self.packets.lock().unwrap_or_else(PoisonError::into_inner);
        if packets.error.is_none()
            && let Err(error) = packets.writer.packet(interface, at, wire_len, data)
        {
            tracing::error!("the recording ends here: {error}");
            packets.error = Some(error);
        }
    }

    /// One fact, as the engine took it.
    pub fn fact(&self, input: &Input) -> io::Result<()> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner).write(input)
    }

    /// Everything to disk; the first error of the whole recording.
    pub fn finish(&self) -> io::Result<()> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner).flush()?;
        let mut packets = self.packets.lock().unwrap_or_else(PoisonError::into_inner);
        match packets.error.take() {
            Some(error) => Err(error),
            None => packets.writer.flush(),
        }
    }
}
