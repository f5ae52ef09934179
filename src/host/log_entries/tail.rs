//! Follows a file that grows, across rotation.
//!
//! Contract: whole lines in order; begins at the end of the file that is there first, and at the beginning of each that takes its place. A line
//! longer than [`MAX_LINE`] is left out and counted. Limits: [`AT_ONCE`] bytes a call; what was written to a rotated file after its
//! successor was opened is not read. What is no plain file is not opened. Design: the inode says whether the name means another file; a file that is shorter than what was read of it was cut in place.

use std::fs::{File, Metadata};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::MAX_LINE;

/// Bytes that one call reads at most.
const AT_ONCE: u64 = 4 << 20;
/// Bytes that may wait: no log grows by more between two reads, but a file with holes can be made of any length.
const MAX_BEHIND: u64 = 256 << 20;

/// A file that is followed.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    open: Option<Open>,
    /// Whether a file was there before: the next one is read from its beginning.
    begun: bool,
    rest: Vec<u8>,
    too_long: u64,
    skipping: bool,
    /// What had been read of the file that was cut in place last.
    cut_at: u64,
}

#[derive(Debug)]
struct Open {
    file: File,
    inode: (u64, u64),
    at: u64,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TailEnd {
    /// Everything that is there was read.
    UpToDate,
    /// There is more.
    More,
    /// The file is shorter than what was read of it; it is read from its beginning.
    Truncated,
    /// Another file has the name; it is read from its beginning.
    Replaced,
    /// So much came at once that all but the last of it was left out.
    Skipped,
}

impl Tail {
    /// Nothing is opened yet.
    pub fn new(path: &Path) -> Self {
        let path = path.to_owned();
        Self { path, open: None, begun: false, rest: Vec::new(), too_long: 0, skipping: false, cut_at: 0 }
    }

    /// Hands over the lines that are new.
    pub fn read(&mut self, mut line: impl FnMut(&[u8])) -> io::Result<TailEnd> {
        if self.open.is_none() {
            self.open = Some(self.opened()?);
        }
        let end = self.read_open(&mut line)?;
        if end == TailEnd::UpToDate && self.is_replaced() {
            // What is left of the old file has no end of line and never gets one.
            self.rest.clear();
            self.skipping = false;
            self.open = None;
            return Ok(TailEnd::Replaced);
        }
        Ok(end)
    }

    /// Lines that were too long, since the last call.
    pub fn take_too_long(&mut self) -> u64 {
        std::mem::take(&mut self.too_long)
    }

    /// How much had been read of the file when it was cut in place the last time.
    pub const fn cut_at(&self) -> u64 {
        self.cut_at
    }

    /// Whether the file is read, or was.
    pub const fn has_begun(&self) -> bool {
        self.begun
    }

    /// Whether the file that is read has lost its name, and no other has it.
    pub fn is_gone(&self) -> bool {
        // Also a link that leads nowhere, and a folder that is none any longer.
        self.begun && self.path.metadata().is_err_and(|error| error.kind() != io::ErrorKind::PermissionDenied)
    }

    fn opened(&mut self) -> io::Result<Open> {
        let (mut file, of) = open_plain(&self.path)?;
        let at = if self.begun { 0 } else { file.seek(SeekFrom::End(0))? };
        self.begun = true;
        Ok(Open { file, inode: (of.dev(), of.ino()), at })
    }

    fn read_open(&mut self, line: &mut impl FnMut(&[u8])) -> io::Result<TailEnd> {
        let Some(open) = &mut self.open else { return Ok(TailEnd::UpToDate) };
        let length = open.file.metadata()?.len();
        if length.saturating_sub(open.at) > MAX_BEHIND {
            // What is left of the line there is counted as one that is too long.
            open.at = open.file.seek(SeekFrom::Start(length - AT_ONCE))?;
            self.rest.clear();
            self.skipping = true;
            return Ok(TailEnd::Skipped);
        }
        if length < open.at {
            self.cut_at = open.at;
            open.at = open.file.seek(SeekFrom::Start(0))?;
            self.rest.clear();
            self.skipping = false;
            return Ok(TailEnd::Truncated);
        }
        let mut new = Vec::new();
        let read = open.file.by_ref().take(AT_ONCE).read_to_end(&mut new)?;
        open.at += read as u64;
        for part in new.split_inclusive(|byte| *byte == b'\n') {
            match part.strip_suffix(b"\n") {
                Some(end) => self.end_line(end, line),
                None => self.grow(part),
            }
        }
        Ok(if read as u64 == AT_ONCE { TailEnd::More } else { TailEnd::UpToDate })
    }

    fn grow(&mut self, part: &[u8]) {
        if self.skipping || self.rest.len() + part.len() > MAX_LINE {
            self.rest.clear();
            self.skipping = true;
        } else {
            self.rest.extend_from_slice(part);
        }
    }

    fn end_line(&mut self, end: &[u8], line: &mut impl FnMut(&[u8])) {
        self.grow(end);
        if std::mem::take(&mut self.skipping) {
            self.too_long += 1;
        } else {
            line(&self.rest);
        }
        self.rest.clear();
    }

    /// Whether the name means another file now; a name that is gone for a moment does not.
    fn is_replaced(&self) -> bool {
        let of = self.path.metadata().ok().map(|of| (of.dev(), of.ino()));
        of.zip(self.open.as_ref()).is_some_and(|(now, open)| now != open.inode)
    }
}

/// Opens a plain file, and says what it is. Who may write to a folder of logs can put a pipe there, whose opening would wait for a writer, or a device,
/// whose opening may do anything.
pub fn open_plain(path: &Path) -> io::Result<(File, Metadata)> {
    let no_file = || io::Error::new(io::ErrorKind::InvalidInput, "it is no file");
    if !path.metadata()?.is_file() {
        return Err(no_file());
    }
    let file = open_without_waiting(path)?;
    // The name may have meant something else when it was opened.
    let of = file.metadata()?;
    if of.is_file() { Ok((file, of)) } else { Err(no_file()) }
}

fn open_without_waiting(path: &Path) -> io::Result<File> {
    File::options().read(true).custom_flags(nix::libc::O_NONBLOCK | nix::libc::O_NOCTTY).open(path)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    struct World {
        _folder: tempfile::TempDir,
        path: PathBuf,
        tail: Tail,
    }

    impl World {
        fn new(text: &str) -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("audit.log");
            std::fs::write(&path, text).expect("written");
            Self { tail: Tail::new(&path), path, _folder: folder }
        }

        fn append(&self, text: &str) {
            let mut file = File::options().append(true).open(&self.path).expect("opened");
            file.write_all(text.as_bytes()).expect("written");
        }

        fn read(&mut self) -> (Vec<String>, TailEnd) {
            let mut lines = Vec::new();
            let mut last = TailEnd::More;
            let mut worst = TailEnd::UpToDate;
            while last != TailEnd::UpToDate {
                last = self.tail.read(|line| lines.push(String::from_utf8_lossy(line).into_owned())).expect("read");
                worst = if matches!(last, TailEnd::Truncated | TailEnd::Skipped) { last } else { worst };
            }
            (lines, worst)
        }
    }

    #[test]
    fn a_hole_of_terabytes_is_skipped_and_what_is_written_behind_it_is_read() {
        let mut world = World::new("old\n");
        world.read();
        File::options().write(true).open(&world.path).and_then(|file| file.set_len(1 << 42)).expect("a hole");
        world.append("\nnew\n");
        assert_eq!(world.read(), (vec!["new".to_owned()], TailEnd::Skipped));
        assert_eq!(world.tail.take_too_long(), 1, "the hole's end");
    }

    #[test]
    fn a_link_to_nowhere_is_a_file_that_is_gone() {
        let mut world = World::new("old\n");
        world.read();
        assert!(!world.tail.is_gone());
        std::fs::remove_file(&world.path).expect("removed");
        std::os::unix::fs::symlink("nowhere", &world.path).expect("linked");
        assert!(world.tail.is_gone());
    }

    #[test]
    fn lines_are_whole_and_begin_with_what_is_new() {
        let mut world = World::new("old\nhalf");
        assert_eq!(world.read().0, [""; 0]);
        world.append(" of it\none\ntw");
        assert_eq!(world.read().0, [" of it", "one"]);
        world.append("o\n");
        assert_eq!(world.read().0, ["two"]);
    }

    #[test]
    fn rotation_loses_nothing_and_a_file_that_is_cut_in_place_is_told() {
        let mut world = World::new("");
        world.read();
        world.append("one\n");
        std::fs::rename(&world.path, world.path.with_extension("1")).expect("renamed");
        assert_eq!(world.read(), (vec!["one".to_owned()], TailEnd::UpToDate), "the name is gone for a moment");
        std::fs::write(&world.path, "two\n").expect("written");
        assert_eq!(world.read(), (vec!["two".to_owned()], TailEnd::UpToDate));
        std::fs::write(&world.path, "x\n").expect("written");
        assert_eq!(world.read(), (vec!["x".to_owned()], TailEnd::Truncated));
    }

    #[test]
    fn a_pipe_in_its_place_is_no_file_and_nobody_waits_for_its_writer() {
        let mut world = World::new("");
        world.read();
        std::fs::remove_file(&world.path).expect("removed");
        nix::unistd::mkfifo(&world.path, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        let all: Vec<_> = (0..2).map(|_| world.tail.read(|_| {}).map_err(|error| error.kind())).collect();
        assert_eq!(all, [Ok(TailEnd::Replaced), Err(io::ErrorKind::InvalidInput)]);
        let opened = open_without_waiting(&world.path).and_then(|file| file.metadata());
        assert!(opened.is_ok_and(|of| !of.is_file()), "it took the name after it was looked at");
    }

    #[test]
    fn a_line_without_an_end_does_not_fill_memory() {
        let mut world = World::new("");
        world.read();
        world.append(&"x".repeat(3 * MAX_LINE));
        world.append("\nnext\n");
        assert_eq!(world.read().0, ["next"]);
        assert_eq!(world.tail.take_too_long(), 1);
        assert!(world.tail.rest.capacity() <= 2 * MAX_LINE);
    }
}
