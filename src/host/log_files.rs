//! Watches log files of containers on the host, with inotify.
//!
//! Contract: read-only, and no file is opened: names and metadata are compared. A folder is looked at when the kernel reports something of
//! a file in it; [`LogWatcher::read`] never waits. Limits: [`MAX_FOLDERS`] folders, [`MAX_ENTRIES`] entries and as many logs each; what
//! goes beyond is reported as not watched. A file that was cut and grew beyond its old size between two reads looks untouched; changes on
//! NFS and FUSE that others make, and writes by mmap, are not reported by the kernel.
//! Design: the events only say where to look; what changed follows from what a name was and is ([`folder`]), so lost and merged events
//! cost nothing but a look at everything.

mod entry;
mod folder;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};

use self::folder::Folder;
use crate::input::{LogFileChange, LogFileFact, LogFileSource, WorkloadId};
use crate::time::Timestamp;

/// Folders that are watched.
const MAX_FOLDERS: usize = 8192;
/// Entries of a folder that are read, and logs in it that are followed.
const MAX_ENTRIES: usize = 512;
/// Containers that share a folder.
const MAX_OWNERS: usize = 256;
/// Batches of events that one read takes.
const MAX_BATCHES: usize = 256;

/// A place to watch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogPlace {
    /// The runtime's file, or a folder (or file) of the host.
    pub path: PathBuf,
    /// Whose.
    pub source: LogFileSource,
}

/// The watcher.
#[derive(Debug)]
pub struct LogWatcher {
    inotify: Inotify,
    folders: HashMap<WatchDescriptor, Folder>,
    of: BTreeMap<WorkloadId, BTreeSet<WatchDescriptor>>,
    /// Folders with something that may yet be explained.
    waiting: BTreeSet<WatchDescriptor>,
    last_read: Timestamp,
}

impl LogWatcher {
    /// Watches nothing yet.
    pub fn new(now: Timestamp) -> Result<Self, Errno> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        Ok(Self { inotify, folders: HashMap::new(), of: BTreeMap::new(), waiting: BTreeSet::new(), last_read: now })
    }

    /// Watches a place for a workload from now on; what is wrong with it already is reported by the next read.
    pub fn watch(&mut self, workload: &WorkloadId, place: &LogPlace) -> LogFileFact {
        let path = place.path.to_string_lossy().into_owned();
        match self.add(workload, place) {
            Ok(()) => LogFileFact::Watched { workload: workload.clone(), path },
            Err(why) => LogFileFact::Unwatched { workload: Some(workload.clone()), path, why },
        }
    }

    fn add(&mut self, workload: &WorkloadId, place: &LogPlace) -> Result<(), String> {
        let (path, only) = folder_of(place)?;
        let flags = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_MODIFY
            | AddWatchFlags::IN_ATTRIB
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_ONLYDIR
            | AddWatchFlags::IN_DONT_FOLLOW;
        if self.folders.len() >= MAX_FOLDERS {
            return Err(format!("{MAX_FOLDERS} folders are watched already"));
        }
        let watch = self.inotify.add_watch(&path, flags).map_err(|error| match error {
            Errno::ENOSPC => "the user's limit of inotify watches is reached (fs.inotify.max_user_watches)".to_owned(),
            error => format!("cannot watch {}: {}", path.display(), error.desc()),
        })?;
        let folder = self.folders.entry(watch).or_insert_with(|| Folder::new(path, place.source));
        if folder.owners.len() >= MAX_OWNERS {
            return Err(format!("{MAX_OWNERS} containers share this folder already"));
        }
        folder.owners.insert(workload.clone());
        folder.follow(only.as_deref());
        self.of.entry(workload.clone()).or_default().insert(watch);
        self.waiting.insert(watch);
        Ok(())
    }

    /// A workload ended: what becomes of its files is no matter any more.
    pub fn unwatch(&mut self, workload: &WorkloadId) {
        for watch in self.of.remove(workload).into_iter().flatten() {
            let Some(folder) = self.folders.get_mut(&watch) else { continue };
            folder.owners.remove(workload);
            if folder.owners.is_empty() {
                self.forget(watch);
                let _ = self.inotify.rm_watch(watch);
            }
        }
    }

    /// Whether nothing is watched.
    pub fn is_idle(&self) -> bool {
        self.folders.is_empty()
    }

    /// Whether something of this workload is watched.
    pub fn is_watched(&self, workload: &WorkloadId) -> bool {
        self.of.contains_key(workload)
    }

    /// The workloads of which something is watched.
    pub fn workloads(&self) -> impl Iterator<Item = &WorkloadId> {
        self.of.keys()
    }

    fn forget(&mut self, watch: WatchDescriptor) {
        self.folders.remove(&watch);
        self.waiting.remove(&watch);
    }

    /// What changed since the last read.
    pub fn read(&mut self, now: Timestamp) -> Vec<LogFileFact> {
        let (touched, overflowed) = self.touched();
        let mut facts = Vec::new();
        if overflowed {
            facts.push(LogFileFact::Missed { count: 1, since: self.last_read });
            self.folders.values_mut().for_each(|folder| _ = folder.touch_all());
        }
        let all: Vec<WatchDescriptor> = if overflowed {
            self.folders.keys().copied().collect()
        } else {
            touched.union(&self.waiting).copied().collect()
        };
        for watch in all {
            let Some(folder) = self.folders.get_mut(&watch) else { continue };
            let changes = folder.look(now);
            if folder.is_waiting() {
                self.waiting.insert(watch);
            } else {
                self.waiting.remove(&watch);
            }
            let Some(workload) = folder.owners.first().cloned() else { continue };
            let source = folder.source;
            facts.extend(changes.into_iter().map(|(path, change)| {
                let path = path.to_string_lossy().into_owned();
                LogFileFact::Changed(LogFileChange { workload: workload.clone(), source, path, change }.into())
            }));
        }
        self.last_read = now;
        facts
    }

    /// Folders in which something happened, and whether events were lost.
    fn touched(&mut self) -> (BTreeSet<WatchDescriptor>, bool) {
        let (mut touched, mut overflowed) = (BTreeSet::new(), false);
        for _ in 0..MAX_BATCHES {
            let Ok(events) = self.inotify.read_events() else { break };
            if events.is_empty() {
                break;
            }
            for event in events {
                overflowed |= event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW);
                let Some(folder) = self.folders.get_mut(&event.wd) else { continue };
                let is_touched = match event.name.as_deref() {
                    Some(name) => folder.touches(name),
                    None => folder.touch_all(),
                };
                if is_touched {
                    touched.insert(event.wd);
                }
            }
        }
        (touched, overflowed)
    }
}

/// The folder to watch, and the one file in it that is meant; none: every log.
fn folder_of(place: &LogPlace) -> Result<(PathBuf, Option<PathBuf>), String> {
    let is_folder = || match std::fs::symlink_metadata(&place.path) {
        Ok(metadata) => Ok(metadata.is_dir()),
        Err(error) => Err(unreadable(&place.path, &error)),
    };
    if place.source == LogFileSource::Folder && is_folder()? {
        return Ok((place.path.clone(), None));
    }
    let (folder, name) = place.path.parent().zip(place.path.file_name()).ok_or("its path has no folder")?;
    match std::fs::symlink_metadata(folder) {
        Ok(metadata) if metadata.is_dir() => Ok((folder.to_owned(), Some(PathBuf::from(name)))),
        Ok(_) => Err(format!("{} is no folder", folder.display())),
        Err(error) => Err(unreadable(folder, &error)),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> String {
    format!("cannot read {}: {error}; hopwatch must see the host's file system there", path.display())
}
