//! Writes what the engine consumed: `traffic.pcapng`, `facts.jsonl`, and the configuration it ran with.
//!
//! Contract: `replay` of the folder raises the same alerts with the same ids. The first error of writing is kept and reported at
//! the end; nothing after it is written. Limits: a slow disk slows the taps of a recording, and the kernel counts what that costs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::decode::LinkType;
use crate::input::{ObservationPoint, RecordedFact};
use crate::inventory::file::{FactsError, FactsWriter};
use crate::observe::PcapngWriter;
use crate::sync;
use crate::time::Timestamp;

/// An open recording.
#[derive(Debug)]
pub struct Recorder {
    packets: Mutex<Packets>,
    facts: Mutex<FactsWriter>,
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
    /// Packets could not be written; what was written before can be replayed.
    #[error("writing traffic.pcapng failed: {0}; what was written before can be replayed")]
    Packets(io::Error),
    /// The facts cannot be written.
    #[error(transparent)]
    Facts(#[from] FactsError),
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
        let (_, facts) = open("facts.jsonl")?;
        let facts = FactsWriter::append(&facts)?;
        if let Some(text) = config_text {
            let path = folder.join("hopwatch.yaml");
            fs::write(&path, text).map_err(failed(&path))?;
        }
        Ok(Self { packets: Mutex::new(Packets { writer, points: Vec::new(), error: None }), facts: Mutex::new(facts) })
    }

    /// The interface block of a point; a tap that comes back gets its old one.
    pub fn interface(&self, point: &ObservationPoint, link: LinkType, snap_length: u32) -> io::Result<u32> {
        let mut packets = sync::lock(&self.packets);
        if let Some(known) = packets.points.iter().position(|known| known.0 == *point && known.1 == link) {
            return Ok(u32::try_from(known).unwrap_or(u32::MAX));
        }
        packets.points.push((point.clone(), link));
        packets.writer.add_interface(point.as_str(), link, snap_length, None)
    }

    /// One packet, as captured.
    pub fn packet(&self, interface: u32, at: Timestamp, wire_len: u32, data: &[u8]) {
        let mut packets = sync::lock(&self.packets);
        if packets.error.is_none()
            && let Err(error) = packets.writer.packet(interface, at, wire_len, data)
        {
            tracing::error!("the recording ends here: {error}");
            packets.error = Some(error);
        }
    }

    /// One fact, as the engine took it.
    pub fn fact(&self, at: Timestamp, fact: &RecordedFact) -> Result<(), FactsError> {
        sync::lock(&self.facts).write(at, fact)
    }

    /// Everything to disk; the first error of the whole recording.
    pub fn finish(&self) -> Result<(), RecordError> {
        sync::lock(&self.facts).flush()?;
        let mut packets = sync::lock(&self.packets);
        let flushed = packets.error.take().map_or_else(|| packets.writer.flush(), Err);
        flushed.map_err(RecordError::Packets)
    }
}
