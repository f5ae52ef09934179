//! What a name in a folder is: a file, a link, something else, nothing.
//!
//! Contract: nothing is opened and no link followed. A file is identified by device, inode and birth: inodes are used again at once.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::SystemTime;

/// Bytes of a link's target that are kept.
const MAX_TARGET: usize = 256;

/// Which file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
    born: Option<SystemTime>,
}

/// What a name is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    File { id: FileId, size: u64 },
    Link(String),
    Special,
    Absent,
}

impl Entry {
    /// What the path is now; `None` where that cannot be known.
    pub(super) fn at(path: &Path) -> Option<Self> {
        let metadata = match std::fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Some(Self::Absent),
            Err(_) => return None,
        };
        let kind = metadata.file_type();
        Some(if kind.is_file() {
            let born = metadata.created().ok();
            let id = FileId { device: metadata.dev(), inode: metadata.ino(), born };
            Self::File { id, size: metadata.size() }
        } else if kind.is_symlink() {
            let target = std::fs::read_link(path).unwrap_or_default();
            Self::Link(target.to_string_lossy().chars().take(MAX_TARGET).collect())
        } else {
            Self::Special
        })
    }
}
