//! Lines of a file.
//!
//! Contract: a line is written whole, synced, and only then delivered; a half line that a full disk leaves is taken back. The file is
//! rotated by size and age, and opened anew when another program (logrotate) moved or removed it. Limits: `keep` old files. Only the
//! owner may read it.

use std::fs::{File, OpenOptions, remove_file, rename};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::outcome::Outcome;
use super::receiver::Receiver;
use super::store::Delivery;
use crate::config::FileDestination;
use crate::time::Timestamp;

/// A file of alerts.
#[derive(Debug)]
pub struct Lines {
    to: FileDestination,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    /// Device and inode.
    identity: (u64, u64),
    length: u64,
    since: Timestamp,
}

impl Lines {
    /// Opened with the first line.
    pub const fn new(to: FileDestination) -> Self {
        Self { to, open: None }
    }

    fn write(&mut self, line: &[u8], now: Timestamp) -> io::Result<()> {
        let mut open = self.opened(now)?;
        if self.is_due(&open, line, now) {
            drop(open);
            rotate(&self.to.path, self.to.keep)?;
            open = Open::at(&self.to.path, now)?;
        }
        let written = open.file.write_all(line).and_then(|()| open.file.sync_data());
        match written {
            Ok(()) => open.length += line.len() as u64,
            Err(error) => {
                open.file.set_len(open.length)?;
                return Err(error);
            }
        }
        self.open = Some(open);
        Ok(())
    }

    /// The open file, if it is still the one at its path.
    fn opened(&mut self, now: Timestamp) -> io::Result<Open> {
        let open = self.open.take().filter(|open| identity(&self.to.path) == Some(open.identity));
        open.map_or_else(|| Open::at(&self.to.path, now), Ok)
    }

    fn is_due(&self, open: &Open, line: &[u8], now: Timestamp) -> bool {
        let is_old = self.to.rotate_after.is_some_and(|after| now.since(open.since) >= after);
        open.length > 0 && (is_old || open.length + line.len() as u64 > self.to.rotate_bytes)
    }
}

impl Open {
    fn at(path: &Path, now: Timestamp) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        let found = file.metadata()?;
        Ok(Self { identity: (found.dev(), found.ino()), length: found.len(), file, since: now })
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    path.metadata().ok().map(|found| (found.dev(), found.ino()))
}

/// `alerts.jsonl` becomes `alerts.jsonl.1`, and so on; the oldest leaves.
fn rotate(path: &Path, keep: u32) -> io::Result<()> {
    let numbered = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    };
    if keep == 0 {
        return remove_file(path);
    }
    for number in (1..keep).rev() {
        match rename(numbered(number), numbered(number + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    rename(path, numbered(1))
}

impl Receiver for Lines {
    fn send(&mut self, delivery: &Delivery, now: Timestamp) -> Outcome {
        let mut line = delivery.body.clone();
        line.push(b'\n');
        match self.write(&line, now) {
            Ok(()) => Outcome::Delivered,
            Err(error) => {
                let why = format!("{}: {error}", self.to.path.display());
                match error.kind() {
                    io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied | io::ErrorKind::IsADirectory => {
                        Outcome::Configuration { why }
                    }
                    _ => Outcome::again(why),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn delivery(text: &str) -> Delivery {
        let body = text.as_bytes().to_vec();
        Delivery { seq: 1, id: "id".into(), update: 0, body, attempts: 0, maybe_taken: false }
    }

    #[test]
    fn a_file_is_rotated_by_size_and_age_and_opened_anew_when_it_was_moved() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("alerts.jsonl");
        let hour = Some(Duration::from_hours(1));
        let mut lines =
            Lines::new(FileDestination { path: path.clone(), rotate_bytes: 12, rotate_after: hour, keep: 2 });
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap_or_default();
        let at = Timestamp::from_secs;
        for (text, second) in [("one", 0), ("two", 1), ("three", 2)] {
            assert_eq!(lines.send(&delivery(text), at(second)), Outcome::Delivered);
        }
        assert_eq!((read("alerts.jsonl.1").as_str(), read("alerts.jsonl").as_str()), ("one\ntwo\n", "three\n"));
        assert_eq!(lines.send(&delivery("four"), at(5000)), Outcome::Delivered);
        assert_eq!((read("alerts.jsonl.2").as_str(), read("alerts.jsonl").as_str()), ("one\ntwo\n", "four\n"));
        rename(&path, folder.path().join("moved")).expect("moved");
        assert_eq!(lines.send(&delivery("five"), at(5001)), Outcome::Delivered);
        assert_eq!((read("moved").as_str(), read("alerts.jsonl").as_str()), ("four\n", "five\n"));
    }

    #[test]
    fn a_path_that_cannot_be_is_a_mistake_of_a_person() {
        let to = FileDestination { path: "/proc/none/alerts".into(), rotate_bytes: 1, rotate_after: None, keep: 1 };
        assert!(matches!(Lines::new(to).send(&delivery("x"), Timestamp::from_secs(1)), Outcome::Configuration { .. }));
    }
}
