//! A file that holds only whole records, whatever the disk does.
//!
//! Contract: a record is in the file whole or not at all. When writing fails, as on a full disk, the file is cut back to its last whole
//! record, further records wait in memory, and writing is tried again every [`RETRY`]. Limits: [`MAX_WAITING`] bytes wait; a record that
//! does not fit is counted as lost. Only its owner may read it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::clock::instant;
use crate::wording::many;

/// Bytes that are collected before they are written.
const COLLECT: usize = 64 << 10;
/// Bytes that wait while writing fails.
const MAX_WAITING: usize = 4 << 20;
/// Between two attempts.
const RETRY: Duration = Duration::from_secs(1);

/// A file of records.
#[derive(Debug)]
pub(super) struct RecordFile {
    file: File,
    name: &'static str,
    /// Bytes in the file.
    written: u64,
    waiting: Vec<u8>,
    failure: Option<(String, Instant)>,
    lost: u64,
}

impl RecordFile {
    /// Makes the file; it must not be there.
    pub(super) fn create(folder: &Path, name: &'static str) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(folder.join(name))?;
        Ok(Self::to(file, name))
    }

    const fn to(file: File, name: &'static str) -> Self {
        Self { file, name, written: 0, waiting: Vec::new(), failure: None, lost: 0 }
    }

    /// Adds a whole record; one that has no room is lost and counted.
    pub(super) fn append(&mut self, record: &[u8]) {
        if self.waiting.len() + record.len() > MAX_WAITING {
            self.flush();
        }
        if self.waiting.len() + record.len() > MAX_WAITING {
            self.lost += 1;
            return;
        }
        self.append_always(record);
    }

    /// Adds a record that others refer to: there are few, and none is lost.
    pub(super) fn append_always(&mut self, record: &[u8]) {
        self.waiting.extend_from_slice(record);
        if self.waiting.len() >= COLLECT {
            self.flush();
        }
    }

    /// Hands everything to the system, unless that failed shortly before.
    pub(super) fn flush(&mut self) {
        if self.failure.as_ref().is_none_or(|(_, again)| instant() >= *again) {
            self.write();
        }
    }

    /// Hands everything to the system; what is missing, and why.
    pub(super) fn finish(&mut self) -> Option<(u64, String)> {
        self.write();
        let waits = self.failure.as_ref().map(|(error, _)| error.clone());
        match (waits, self.lost) {
            (None, 0) => None,
            (None, lost) => Some((lost, "the disk was full or failed for a while".to_owned())),
            // Records that wait are not counted one by one.
            (Some(error), lost) => Some((lost.max(1), error)),
        }
    }

    fn write(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        match self.file.write_all_at(&self.waiting, self.written) {
            Ok(()) => {
                self.written += self.waiting.len() as u64;
                self.waiting = Vec::new();
                if self.failure.take().is_some() {
                    tracing::warn!(
                        file = self.name,
                        lost = self.lost,
                        "the recording goes on; lost so far: {}",
                        many(self.lost, "record")
                    );
                }
            }
            Err(error) => {
                // A record that was begun must not stay; where even this fails, the next attempt writes over it.
                let _ = self.file.set_len(self.written);
                if self.failure.is_none() {
                    tracing::error!(
                        file = self.name,
                        "writing {} fails, trying again every second: {error}",
                        self.name
                    );
                }
                self.failure = Some((error.to_string(), instant() + RETRY));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_wait_for_a_full_disk_and_then_follow_whole() {
        let full = OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
        let mut records = RecordFile::to(full, "facts.jsonl");
        records.append(b"one\n");
        records.flush();
        assert!(records.failure.is_some());
        let folder = tempfile::tempdir().expect("a folder");
        records.file = File::create(folder.path().join("facts.jsonl")).expect("a file");
        records.append(b"two\n");
        assert_eq!(records.finish(), None);
        let text = std::fs::read_to_string(folder.path().join("facts.jsonl")).expect("text");
        assert_eq!(text, "one\ntwo\n");
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let full = OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
        let mut records = RecordFile::to(full, "traffic.pcapng");
        let record = vec![0; MAX_WAITING / 2];
        (0..5).for_each(|_| records.append(&record));
        let (lost, error) = records.finish().expect("nothing could be written");
        assert_eq!(lost, 3);
        assert!(error.contains("No space left"), "{error}");
    }
}
