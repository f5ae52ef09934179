//! Writes what the engine consumed: `traffic.pcapng`, `facts.jsonl`, and the configuration it ran with.
//!
//! Contract: `replay` of the folder raises the same alerts with the same ids. Everything is handed to the system at least every
//! [`INTERVAL`], before each alert, and at the end, so that a process that is killed leaves a recording of all but its last moment;
//! [`INCOMPLETE`] stays in the folder until the recording is whole. A full disk costs records, which are counted, and never the run.
//! Folder and files are readable by their owner only: they hold payload. Limits: a slow disk slows the taps of a recording, and the
//! kernel counts what that costs. What is handed to the system survives the process, not a loss of power.

mod file;
mod headers;

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use file::RecordFile;

use crate::decode::LinkType;
use crate::input::{ObservationPoint, RecordedFact};
use crate::inventory::file::fact_line;
use crate::observe::PcapngWriter;
use crate::sync;
use crate::time::Timestamp;
use crate::wording::many;

/// How often what was recorded is handed to the system.
const INTERVAL: Duration = Duration::from_millis(500);
/// The file that stands in the folder while its recording is not whole.
pub const INCOMPLETE: &str = "INCOMPLETE";
/// What it says.
const UNFINISHED: &str = "the end of this recording is missing: hopwatch still writes it, or was killed\n";

/// An open recording.
#[derive(Debug)]
pub struct Recorder {
    folder: PathBuf,
    headers_only: bool,
    packets: Mutex<Packets>,
    facts: Mutex<RecordFile>,
}

#[derive(Debug)]
struct Packets {
    /// Puts blocks together; each goes to the file at once.
    writer: PcapngWriter<Vec<u8>>,
    file: RecordFile,
    points: Vec<(ObservationPoint, LinkType)>,
}

/// Why a recording could not be started, or is not whole.
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
    /// Something could not be written; the rest can be replayed.
    #[error(
        "the recording is incomplete: at least {} and {} are missing ({why}); what was written can be replayed", many(*packets, "packet"), many(*facts, "fact")
    )]
    Incomplete {
        /// Packets that were lost.
        packets: u64,
        /// Facts that were lost.
        facts: u64,
        /// What the system says.
        why: String,
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
    pub fn create(folder: &Path, headers_only: bool, config_text: Option<&str>) -> Result<Self, RecordError> {
        Self::create_commented(folder, headers_only, config_text, None)
    }

    /// The same, with a comment in the capture.
    pub fn create_commented(
        folder: &Path,
        headers_only: bool,
        config_text: Option<&str>,
        comment: Option<&str>,
    ) -> Result<Self, RecordError> {
        let failed = |path: &Path, source: io::Error| {
            let path = path.to_owned();
            match source.kind() {
                io::ErrorKind::AlreadyExists => RecordError::Exists { path },
                _ => RecordError::Create { path, source },
            }
        };
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| failed(folder, error))?;
        let open =
            |name: &'static str| RecordFile::create(folder, name).map_err(|error| failed(&folder.join(name), error));
        let mut traffic = open("traffic.pcapng")?;
        let facts = open("facts.jsonl")?;
        let text = |name: &str, text: &str| {
            private_file(&folder.join(name), text).map_err(|error| failed(&folder.join(name), error))
        };
        text(INCOMPLETE, UNFINISHED)?;
        if let Some(config) = config_text {
            text("hopwatch.yaml", config)?;
        }
        let path = folder.join("traffic.pcapng");
        let mut writer = PcapngWriter::new(Vec::new(), comment).map_err(|error| failed(&path, error))?;
        traffic.append_always(&std::mem::take(writer.out()));
        let packets = Mutex::new(Packets { writer, file: traffic, points: Vec::new() });
        let recorder = Self { folder: folder.to_owned(), headers_only, packets, facts: Mutex::new(facts) };
        recorder.flush();
        Ok(recorder)
    }

    /// Writes another file into the folder.
    pub fn beside(&self, name: &str, text: &str) -> Result<(), RecordError> {
        let path = self.folder.join(name);
        private_file(&path, text).map_err(|source| RecordError::Create { path, source })
    }

    /// Flushes at every interval, until the recording is dropped.
    pub fn flush_regularly(self: &Arc<Self>) -> io::Result<()> {
        let recorder = Arc::downgrade(self);
        let run = move || {
            while let Some(recorder) = recorder.upgrade() {
                recorder.flush();
                drop(recorder);
                thread::sleep(INTERVAL);
            }
        };
        thread::Builder::new().name("recorder".to_owned()).spawn(run).map(drop)
    }

    /// The interface block of a point; a tap that comes back gets its old one.
    pub fn interface(&self, point: &ObservationPoint, link: LinkType, snap_length: u32) -> io::Result<u32> {
        let mut packets = self.packets();
        if let Some(known) = packets.points.iter().position(|known| known.0 == *point && known.1 == link) {
            return Ok(u32::try_from(known).unwrap_or(u32::MAX));
        }
        packets.points.push((point.clone(), link));
        let Packets { writer, file, .. } = &mut *packets;
        let number = writer.add_interface(point.as_str(), link, snap_length, None)?;
        file.append_always(writer.out());
        writer.out().clear();
        Ok(number)
    }

    /// One packet, as captured.
    pub fn packet(&self, interface: u32, at: Timestamp, wire_len: u32, data: &[u8]) {
        let mut packets = self.packets();
        let Packets { writer, file, points } = &mut *packets;
        let link = usize::try_from(interface).ok().and_then(|number| points.get(number)).map(|(_, link)| *link);
        let kept = match link {
            Some(link) if self.headers_only => headers::length(link, wire_len, data),
            _ => data.len(),
        };
        // Fails only for an interface that was not added.
        if writer.packet(interface, at, wire_len, data.get(..kept).unwrap_or(data)).is_ok() {
            file.append(writer.out());
        }
        writer.out().clear();
    }

    /// One fact, as the engine took it.
    pub fn fact(&self, at: Timestamp, fact: &RecordedFact) {
        match fact_line(at, fact) {
            Ok(line) => self.facts().append(&line),
            Err(error) => tracing::error!(file = "facts.jsonl", "a fact cannot be written as JSON: {error}"),
        }
    }

    /// Hands everything recorded so far to the system.
    pub fn flush(&self) {
        self.packets().file.flush();
        self.facts().flush();
    }

    /// Everything to disk; whether it is whole.
    pub fn finish(&self) -> Result<(), RecordError> {
        let missing = [self.packets().file.finish(), self.facts().finish()];
        if missing.iter().all(Option::is_none) {
            let path = self.folder.join(INCOMPLETE);
            return fs::remove_file(&path).map_err(|source| RecordError::Create { path, source });
        }
        let [packets, facts] = missing.each_ref().map(|missing| missing.as_ref().map_or(0, |(lost, _)| *lost));
        let why = missing.into_iter().flatten().next().map(|(_, why)| why).unwrap_or_default();
        Err(RecordError::Incomplete { packets, facts, why })
    }

    fn packets(&self) -> MutexGuard<'_, Packets> {
        sync::lock(&self.packets)
    }

    fn facts(&self) -> MutexGuard<'_, RecordFile> {
        sync::lock(&self.facts)
    }
}

fn private_file(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(text.as_bytes())
}

/// What a replay should warn of: the recording in this folder is not whole.
pub fn missing_end(folder: &Path) -> Option<String> {
    let is_incomplete = folder.join(INCOMPLETE).is_file();
    is_incomplete.then(|| format!("{}: {}", folder.display(), UNFINISHED.trim_end()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::inventory::configuration::ShownLabels;
    use crate::observe::CaptureReader;

    #[test]
    fn what_was_flushed_can_be_read_although_the_recording_has_no_end_and_only_by_its_owner() {
        let parent = tempfile::tempdir().expect("a folder");
        let folder = parent.path().join("recording");
        let recorder = Recorder::create(&folder, false, Some("{}")).expect("created");
        let interface = recorder.interface(&ObservationPoint::new("br-a"), LinkType::ETHERNET, 0).expect("added");
        recorder.packet(interface, Timestamp::from_secs(1), 60, &[1; 60]);
        recorder.fact(Timestamp::from_secs(1), &RecordedFact::Ended { point: None });
        recorder.flush();
        assert!(missing_end(&folder).is_some_and(|text| text.contains("the end of this recording is missing")));
        let mut reader = CaptureReader::open(&folder.join("traffic.pcapng")).expect("a capture");
        assert!(reader.next_packet().expect("not cut").is_some());
        assert!(reader.next_packet().expect("not cut").is_none());
        let facts =
            crate::inventory::file::read_facts(&folder.join("facts.jsonl"), &ShownLabels::default()).expect("facts");
        assert_eq!((facts.inputs.len(), facts.cut), (1, None));
        let mode = |path: &Path| path.metadata().expect("there").permissions().mode() & 0o777;
        assert_eq!(mode(&folder), 0o700);
        for file in ["traffic.pcapng", "facts.jsonl", "hopwatch.yaml", INCOMPLETE] {
            assert_eq!(mode(&folder.join(file)), 0o600, "{file}");
        }
        recorder.finish().expect("whole");
        assert_eq!(missing_end(&folder), None);
    }

    #[test]
    fn a_recording_is_never_overwritten() {
        let folder = tempfile::tempdir().expect("a folder");
        drop(Recorder::create(folder.path(), false, None).expect("created"));
        let error = Recorder::create(folder.path(), false, None).expect_err("there is one");
        assert!(error.to_string().contains("exists already"), "{error}");
    }
}
