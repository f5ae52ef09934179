//! The folder of bundles on the disk, as it is read.
//!
//! Contract: what is read is hostile: no symbolic link is followed, names are plain, lengths are bounded. Limits: a chain of [`MAX_CHAIN`] bytes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::app::state_dir::{StateDir, StateError};
use crate::evidence::{Manifest, is_alert_id};

/// The folder in the state directory.
const FOLDER: &str = "evidence";
/// The chain of its bundles.
pub(super) const CHAIN: &str = "chain.jsonl";
/// The manifest of a bundle.
pub(super) const MANIFEST: &str = "manifest.json";
/// Bytes of a manifest.
pub(super) const MAX_MANIFEST: u64 = 4 << 20;
/// Bytes of a chain: some hundred thousand links.
pub(super) const MAX_CHAIN: u64 = 64 << 20;

/// Where the bundles are.
pub fn folder(configured: Option<&Path>, state_dir: Option<&Path>) -> Result<PathBuf, StateError> {
    match configured {
        Some(path) => Ok(path.to_owned()),
        None => Ok(StateDir::open(state_dir)?.path(FOLDER)),
    }
}

/// The folders that have the name of a bundle.
pub(super) fn bundles(path: &Path) -> impl Iterator<Item = (String, PathBuf)> + use<> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok().filter(|name| is_alert_id(name))?;
        entry.file_type().is_ok_and(|kind| kind.is_dir()).then(|| (name, entry.path()))
    })
}

/// The manifest in a folder.
pub(super) fn read_manifest(folder: &Path) -> io::Result<Manifest> {
    let bytes = read_bounded(&folder.join(MANIFEST), MAX_MANIFEST)?;
    serde_json::from_slice(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// A plain file, not behind a symbolic link, of at most so many bytes.
pub(super) fn read_bounded(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = open_plain(path)?;
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::other(format!("it is longer than {most} bytes")));
    }
    Ok(bytes)
}

/// Opens a plain file; anything else would block, lead elsewhere, or never end.
pub(super) fn open_plain(path: &Path) -> io::Result<File> {
    let file =
        OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no plain file"));
    }
    Ok(file)
}
