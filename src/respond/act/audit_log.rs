//! The audit log: what is about to be done, and what was done, each on the disk before anything else happens.
//!
//! Contract: one process at a time holds it, by a lock that the kernel takes back when that process dies; an entry is on the disk when [`AuditLog::append`] returns. An end that a
//! crash cut off is removed, and said so. A chain that does not hold together is never written to, except for undos. Limits: [`MAX_FILE`] bytes. Design: lines with hashes
//! ([`Chained`]), as the chain of evidence has them; 0600 in a folder 0700.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::clock::{instant, now};
use crate::evidence::{Chain, Chained as _};
use crate::respond::{Entry, Event, Responses};

/// Some hundred thousand entries.
const MAX_FILE: u64 = 64 << 20;
/// How long another process is waited for; a `stop` may take half a minute.
const PATIENCE: Duration = Duration::from_mins(2);
/// Between two looks at its lock.
const LOOK: Duration = Duration::from_millis(50);
const FOLDER: &str = "respond";
const FILE: &str = "audit.jsonl";

/// Why the log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The file or its folder.
    #[error("cannot use the audit log {}: {source}; nothing was done", path.display())]
    Unusable {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Others may read or write it.
    #[error("the audit log {} can be read or written by others (mode {mode:o}); run `chmod 600 {}`, and think about who wrote it", path.display(), path.display())]
    Exposed {
        /// Which.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Somebody else wrote it: what it says of undos would be theirs.
    #[error("the audit log {} belongs to the user {owner}; run hopwatch as that user, or see who made it", path.display())]
    Foreign {
        /// Which.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// What is to be done cannot be written down as one line.
    #[error("{bytes} bytes are too many for an entry of the audit log; nothing was done")]
    TooLong {
        /// So many.
        bytes: usize,
    },
    /// It was changed.
    #[error("the audit log {} does not hold together: line {line} {what}; see who changed it, then move it away", path.display())]
    Broken {
        /// Which.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// It is full.
    #[error("the audit log {} has {} MiB, the most; move it away when no response stands (`hopwatch respond list`)", path.display(), MAX_FILE >> 20)]
    Full {
        /// Which.
        path: PathBuf,
    },
    /// Another process holds it.
    #[error("another `hopwatch respond` is at work, and holds {}; try again", path.display())]
    Busy {
        /// Which.
        path: PathBuf,
    },
}

/// The log, held by this process.
#[derive(Debug)]
pub struct AuditLog {
    path: PathBuf,
    file: Flock<File>,
    length: u64,
    chain: Chain<Entry>,
    responses: Responses,
}

impl AuditLog {
    /// Where it is in the state directory.
    pub fn path_in(state_dir: &Path) -> PathBuf {
        state_dir.join(FOLDER).join(FILE)
    }

    /// Where snapshots are, beside it.
    pub fn snapshots(&self) -> PathBuf {
        self.path.with_file_name("snapshots")
    }

    /// Opens it, made where it is not there yet, and waits for another process that holds it.
    pub fn open(state_dir: &Path) -> Result<Self, AuditError> {
        let began = instant();
        loop {
            match Self::try_open(state_dir)? {
                Some(log) => return Ok(log),
                None if began.elapsed() > PATIENCE => return Err(AuditError::Busy { path: Self::path_in(state_dir) }),
                None => std::thread::sleep(LOOK),
            }
        }
    }

    /// Opens it; `None` where another process holds it.
    pub fn try_open(state_dir: &Path) -> Result<Option<Self>, AuditError> {
        let path = Self::path_in(state_dir);
        let unusable = |source| AuditError::Unusable { path: path.clone(), source };
        let folder = state_dir.join(FOLDER);
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(unusable)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(nix::libc::O_NOFOLLOW);
        let file = options.open(&path).map_err(unusable)?;
        let metadata = file.metadata().map_err(unusable)?;
        let (mode, owner) = (metadata.permissions().mode(), metadata.uid());
        if owner != nix::unistd::geteuid().as_raw() && owner != 0 {
            return Err(AuditError::Foreign { path, owner });
        }
        if mode & 0o077 != 0 {
            return Err(AuditError::Exposed { path, mode: mode & 0o7777 });
        }
        let file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => file,
            Err((_, Errno::EWOULDBLOCK)) => return Ok(None),
            Err((_, errno)) => return Err(unusable(errno.into())),
        };
        File::open(&folder).and_then(|folder| folder.sync_all()).map_err(unusable)?;
        let mut log =
            Self { path: path.clone(), file, length: 0, chain: Chain::default(), responses: Responses::default() };
        log.load().map_err(unusable)?;
        Ok(Some(log))
    }

    /// Reads it without holding it; empty where it is not there.
    pub fn view(state_dir: &Path) -> Result<Chain<Entry>, AuditError> {
        let path = Self::path_in(state_dir);
        match fs::read(&path) {
            Ok(bytes) => Ok(Chain::read(&String::from_utf8_lossy(&bytes))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Chain::default()),
            Err(source) => Err(AuditError::Unusable { path, source }),
        }
    }

    fn load(&mut self) -> io::Result<()> {
        let mut bytes = Vec::new();
        self.file.seek(SeekFrom::Start(0))?;
        (&*self.file).take(MAX_FILE).read_to_end(&mut bytes)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let cut = bytes.len() - whole;
        bytes.truncate(whole);
        self.length = u64::try_from(whole).unwrap_or(MAX_FILE);
        self.chain = Chain::read(&String::from_utf8_lossy(&bytes));
        self.responses = Responses::of(&self.chain);
        if cut > 0 {
            self.file.set_len(self.length)?;
            let bytes = u64::try_from(cut).unwrap_or(u64::MAX);
            self.write(self.entry(Event::Cut { bytes }))?;
        }
        Ok(())
    }

    /// What follows from it.
    pub const fn responses(&self) -> &Responses {
        &self.responses
    }

    /// Whether it holds together and has room: only then something new may be begun.
    pub fn check(&self) -> Result<(), AuditError> {
        if let Some(wrong) = self.chain.wrong.first() {
            return Err(AuditError::Broken { path: self.path.clone(), line: wrong.line, what: wrong.what.clone() });
        }
        // The last part is for what was begun already.
        if self.length > MAX_FILE / 2 {
            return Err(AuditError::Full { path: self.path.clone() });
        }
        Ok(())
    }

    /// Writes an entry; it is on the disk when this returns.
    pub fn append(&mut self, event: Event) -> Result<(), AuditError> {
        if self.length >= MAX_FILE {
            return Err(AuditError::Full { path: self.path.clone() });
        }
        let entry = self.entry(event);
        // A line that cannot be read back would hide what was done from its undo.
        let bytes = entry.line().len();
        if bytes > Entry::MAX_LINE {
            return Err(AuditError::TooLong { bytes });
        }
        self.write(entry).map_err(|source| AuditError::Unusable { path: self.path.clone(), source })
    }

    fn entry(&self, event: Event) -> Entry {
        Entry { seq: self.chain.next_seq(), previous: self.chain.head(), at: now(), event }
    }

    fn write(&mut self, entry: Entry) -> io::Result<()> {
        let line = entry.line() + "\n";
        let written = self
            .file
            .seek(SeekFrom::Start(self.length))
            .and_then(|_| self.file.write_all(line.as_bytes()))
            .and_then(|()| self.file.sync_data());
        if written.is_err() {
            // What a full disk took of it is no entry.
            drop(self.file.set_len(self.length));
            return written;
        }
        self.length += line.len() as u64;
        self.responses.apply(&entry);
        self.chain.links.push(entry);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(bytes: u64) -> Event {
        Event::Cut { bytes }
    }

    #[test]
    fn one_process_at_a_time_holds_it_and_what_a_crash_left_is_cut_off() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut log = AuditLog::open(folder.path()).expect("a log");
        assert!(AuditLog::try_open(folder.path()).expect("readable").is_none(), "it is held");
        log.append(event(1)).expect("written");
        drop(log);
        let path = AuditLog::path_in(folder.path());
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        let mut file = OpenOptions::new().append(true).open(&path).expect("a file");
        file.write_all(b"{\"seq\":2,\"prev").expect("written");
        let mut log = AuditLog::open(folder.path()).expect("a log");
        log.check().expect("it holds together");
        log.append(event(2)).expect("written");
        let events: Vec<_> = log.chain.links.iter().map(|entry| entry.event.clone()).collect();
        assert_eq!(events, [event(1), event(14), event(2)]);
        drop(log);
        assert!(AuditLog::view(folder.path()).expect("readable").wrong.is_empty());
    }

    #[test]
    fn what_could_not_be_read_back_is_not_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut log = AuditLog::open(folder.path()).expect("a log");
        let huge = Event::Failed { response: 1, detail: "x".repeat(Entry::MAX_LINE) };
        assert!(matches!(log.append(huge), Err(AuditError::TooLong { .. })));
        log.append(event(1)).expect("written");
        drop(log);
        AuditLog::open(folder.path()).expect("a log").check().expect("it holds together");
    }

    #[test]
    fn a_log_that_another_user_wrote_is_not_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        drop(AuditLog::open(folder.path()).expect("a log"));
        if std::os::unix::fs::chown(AuditLog::path_in(folder.path()), Some(65_534), None).is_err() {
            println!("skipped: only root gives files away");
            return;
        }
        assert!(matches!(AuditLog::open(folder.path()), Err(AuditError::Foreign { owner: 65_534, .. })));
    }

    #[test]
    fn nothing_new_is_begun_on_a_log_that_was_changed_or_that_others_may_write() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut log = AuditLog::open(folder.path()).expect("a log");
        (0..3).for_each(|number| log.append(event(number)).expect("written"));
        drop(log);
        let path = AuditLog::path_in(folder.path());
        let text = fs::read_to_string(&path).expect("readable").replacen("\"bytes\":1", "\"bytes\":9", 1);
        fs::write(&path, text).expect("written");
        let error = AuditLog::open(folder.path()).expect("a log").check().expect_err("it was changed").to_string();
        assert!(error.contains("line 3 does not name the line before it"), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o660)).expect("changed");
        assert!(matches!(AuditLog::open(folder.path()), Err(AuditError::Exposed { .. })));
    }
}
