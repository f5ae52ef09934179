//! Lines of a file.
//!
//! Contract: a line is written whole, synced, and only then delivered; a half line that a full disk leaves is taken back, one that a loss
//! of power leaves is ended before the next. The file is rotated by size and age, and opened anew when another program (logrotate) moved,
//! removed or emptied it. Limits: `keep` old files; a regular file, since a pipe would block. Only the owner may read it.

use std::fs::{File, Metadata, OpenOptions, remove_file, rename};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
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
        match (self.open.take(), self.to.path.metadata()) {
            (Some(open), Ok(found)) if identity(&found) == open.identity => Ok(Open { length: found.len(), ..open }),
            _ => Open::at(&self.to.path, now),
        }
    }

    fn is_due(&self, open: &Open, line: &[u8], now: Timestamp) -> bool {
        let is_old = self.to.rotate_after.is_some_and(|after| now.since(open.since) >= after);
        open.length > 0 && (is_old || open.length + line.len() as u64 > self.to.rotate_bytes)
    }
}

impl Open {
    fn at(path: &Path, now: Timestamp) -> io::Result<Self> {
        let is_new = !path.exists();
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600).custom_flags(libc::O_NONBLOCK);
        let mut file = options.open(path)?;
        let found = file.metadata()?;
        if !found.is_file() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is not a regular file"));
        }
        if is_new && let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            File::open(folder)?.sync_all()?;
        }
        let mut length = found.len();
        if length > 0 && !ends_a_line(&file, length)? {
            file.write_all(b"\n")?;
            length += 1;
        }
        Ok(Self { identity: identity(&found), length, file, since: now })
    }
}

fn ends_a_line(file: &File, length: u64) -> io::Result<bool> {
    let mut last = [0];
    file.read_exact_at(&mut last, length - 1)?;
    Ok(last == *b"\n")
}

/// Device and inode.
fn identity(found: &Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
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

    fn destination(path: PathBuf, rotate_bytes: u64) -> FileDestination {
        FileDestination { path, rotate_bytes, rotate_after: None, keep: 1 }
    }

    #[test]
    fn a_path_that_cannot_be_is_a_mistake_of_a_person() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        let _reader = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&pipe).expect("read");
        for path in ["/proc/none/alerts".into(), folder.path().into(), pipe] {
            let shown = path.display().to_string();
            let outcome = Lines::new(destination(path, 1)).send(&delivery("x"), Timestamp::from_secs(1));
            assert!(matches!(outcome, Outcome::Configuration { .. }), "{shown}: {outcome:?}");
        }
    }

    #[test]
    fn a_half_line_of_a_lost_run_is_ended_and_a_file_that_was_emptied_has_room_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("alerts.jsonl");
        std::fs::write(&path, "{\"ha").expect("written");
        let mut lines = Lines::new(destination(path.clone(), 20));
        let read = || std::fs::read_to_string(&path).expect("read");
        let at = Timestamp::from_secs(1);
        assert_eq!(lines.send(&delivery("one"), at), Outcome::Delivered);
        assert_eq!(read(), "{\"ha\none\n");
        std::fs::write(&path, "").expect("emptied, as copytruncate does");
        assert_eq!(lines.send(&delivery("a longer line"), at), Outcome::Delivered);
        assert_eq!(read(), "a longer line\n");
        assert!(!folder.path().join("alerts.jsonl.1").exists(), "it was not full");
    }
}
