//! A folder with logs: what each was, and what that it is something else now means.
//!
//! Contract: a log that grows is no change. A name that nothing has is reported after [`PATIENCE`]: rotation renames first and creates
//! then. Limits: of a folder with [`MAX_ENTRIES`] entries and more, the first ones are seen. Design: one look at a folder compares every
//! followed name that was touched; siblings are listed only when a log is not what it was.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::MAX_ENTRIES;
use super::entry::{Entry, FileId};
use crate::input::{LogChange, LogFileSource, WorkloadId};
use crate::time::Timestamp;

/// How long a name may be nobody's, and how long a folder of a container that is removed may be gone before its end is reported.
const PATIENCE: Duration = Duration::from_secs(2);

/// A file that is followed.
#[derive(Clone, Debug)]
struct Log {
    /// The last file that had the name.
    file: Option<(FileId, u64)>,
    /// What was reported instead of a file.
    odd: Option<Entry>,
    /// Since when nothing has the name.
    absent: Option<Timestamp>,
}

/// A folder.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    pub(super) source: LogFileSource,
    pub(super) owners: BTreeSet<WorkloadId>,
    logs: BTreeMap<OsString, Log>,
    /// Every log in it is followed, not only those that were named.
    is_whole: bool,
    touched: BTreeSet<OsString>,
}

impl Folder {
    pub(super) const fn new(path: PathBuf, source: LogFileSource) -> Self {
        Self { path, source, owners: BTreeSet::new(), logs: BTreeMap::new(), is_whole: false, touched: BTreeSet::new() }
    }

    /// Follows one file, or every log.
    pub(super) fn follow(&mut self, only: Option<&Path>) {
        let names = if let Some(name) = only {
            vec![name.as_os_str().to_owned()]
        } else {
            self.is_whole = true;
            self.names()
        };
        for name in names {
            self.meet(&name);
        }
    }

    /// A name that is followed from now on.
    fn meet(&mut self, name: &OsStr) {
        if self.logs.contains_key(name) || self.logs.len() >= MAX_ENTRIES || (self.is_whole && !is_log(name)) {
            return;
        }
        let file = match Entry::at(&self.path.join(name)) {
            Some(Entry::File { id, size }) => Some((id, size)),
            // A link of an image's is a link from the first look on; a runtime's own file never is one.
            Some(Entry::Link(to)) if self.is_whole && !is_sink(&to) => return,
            _ => None,
        };
        self.logs.insert(name.to_owned(), Log { file, odd: None, absent: None });
        self.touched.insert(name.to_owned());
    }

    /// Whether an event of this name is worth a look.
    pub(super) fn touches(&mut self, name: &OsStr) -> bool {
        let is_followed = self.logs.contains_key(name);
        let is_new = self.is_whole && !is_followed && is_log(name) && self.logs.len() < MAX_ENTRIES;
        if is_followed || is_new {
            self.touched.insert(name.to_owned());
        }
        is_followed || is_new
    }

    /// The folder itself changed, or nobody knows what did.
    pub(super) fn touch_all(&mut self) -> bool {
        self.touched.extend(self.logs.keys().cloned());
        true
    }

    /// Whether something in it has to be looked at again without an event.
    pub(super) fn is_waiting(&self) -> bool {
        self.logs.values().any(|log| log.absent.is_some())
    }

    /// What changed, by path.
    pub(super) fn look(&mut self, now: Timestamp) -> Vec<(PathBuf, LogChange)> {
        let mut names = std::mem::take(&mut self.touched);
        names.extend(self.logs.iter().filter(|(_, log)| log.absent.is_some()).map(|(name, _)| name.clone()));
        let mut changes = Vec::new();
        for name in names {
            if !self.logs.contains_key(&name) {
                self.meet(&name);
                self.touched.remove(&name);
            }
            let path = self.path.join(&name);
            let Some((entry, mut log)) = Entry::at(&path).zip(self.logs.remove(&name)) else { continue };
            changes.extend(self.compare(&name, &mut log, entry, now).map(|change| (path, change)));
            // A file that is gone for good, of a folder in which files come and go.
            let is_over = self.is_whole && log.file.is_none() && log.odd == Some(Entry::Absent);
            if !is_over {
                self.logs.insert(name, log);
            }
        }
        changes
    }

    fn compare(&self, name: &OsStr, log: &mut Log, entry: Entry, now: Timestamp) -> Option<LogChange> {
        match entry {
            Entry::File { id, size } => self.is_file(name, log, (id, size)),
            Entry::Absent => self.is_absent(log, now),
            odd if log.odd.as_ref() == Some(&odd) => None,
            odd => {
                log.absent = None;
                log.odd = Some(odd.clone());
                Some(match odd {
                    Entry::Link(to) => LogChange::Linked { to },
                    _ => LogChange::Special,
                })
            }
        }
    }

    fn is_file(&self, name: &OsStr, log: &mut Log, now: (FileId, u64)) -> Option<LogChange> {
        log.absent = None;
        let was_odd = log.odd.take().is_some();
        let before = log.file.replace(now);
        match before {
            _ if was_odd => Some(LogChange::Restored),
            None => None,
            Some((id, size)) if id == now.0 && now.1 < size => {
                let copy = self.copy_of(name, size);
                Some(LogChange::Truncated { from: size, to: now.1, copy })
            }
            Some((id, _)) if id == now.0 => None,
            Some((id, size)) => Some(match self.name_of(id) {
                Some(to) => LogChange::Rotated { to },
                None => LogChange::Replaced { size },
            }),
        }
    }

    fn is_absent(&self, log: &mut Log, now: Timestamp) -> Option<LogChange> {
        if log.odd == Some(Entry::Absent) {
            return None;
        }
        let since = *log.absent.get_or_insert(now);
        if now.since(since) < PATIENCE {
            return None;
        }
        (log.absent, log.odd) = (None, Some(Entry::Absent));
        let (id, size) = log.file.take().unzip();
        let renamed = id.and_then(|id| self.name_of(id));
        Some(LogChange::Removed { size: size.unwrap_or_default(), renamed })
    }

    /// The name that a file has in this folder.
    fn name_of(&self, id: FileId) -> Option<String> {
        let is =
            |name: &OsString| matches!(Entry::at(&self.path.join(name)), Some(Entry::File { id: of, .. }) if of == id);
        self.names().into_iter().find(is).map(|name| name.to_string_lossy().into_owned())
    }

    /// A file beside this one that continues its name and has about this size.
    fn copy_of(&self, name: &OsStr, size: u64) -> Option<String> {
        let stem = name.as_encoded_bytes();
        let is_copy = |other: &OsString| {
            other != name
                && other.as_encoded_bytes().starts_with(stem)
                && matches!(Entry::at(&self.path.join(other)), Some(Entry::File { size: of, .. }) if of >= size / 10 * 9)
        };
        self.names().into_iter().find(is_copy).map(|name| name.to_string_lossy().into_owned())
    }

    fn names(&self) -> Vec<OsString> {
        let entries = std::fs::read_dir(&self.path).into_iter().flatten().flatten();
        entries.take(MAX_ENTRIES).map(|entry| entry.file_name()).collect()
    }
}

/// Whether a name is that of a log that is written: not that of one that was rotated (`.1`, `.gz`, `-20261129`), and not hidden.
fn is_log(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    let last = name.rsplit(['.', '-', '_']).next().unwrap_or_default();
    let is_number = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
    let is_packed = ["gz", "xz", "bz2", "zst", "lz4", "zip", "old", "tmp", "swp"].contains(&last);
    !name.starts_with('.') && !name.ends_with('~') && !is_number && !is_packed
}

/// Whether what is written there is gone.
pub(super) fn is_sink(target: &str) -> bool {
    ["/dev/null", "/dev/zero", "/dev/full"].contains(&target)
}

#[cfg(test)]
mod tests;
