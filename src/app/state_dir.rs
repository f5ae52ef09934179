//! The state directory: what hopwatch keeps between runs.
//!
//! Contract: made on first use, readable by its owner only; a file in it is written whole or not at all. A file that others may read or
//! write is refused with the command that fixes it. Limits: [`MAX_FILE`] bytes a file. Design: files only, no lock; each is replaced by a
//! rename, and what is made once is made by a link that fails when another process was first.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Bytes of one file: a baseline of thousands of services.
pub const MAX_FILE: u64 = 256 << 20;
/// Where a service of the system keeps its state.
const USUAL: &str = "/var/lib/hopwatch";

/// An open state directory.
#[derive(Clone, Debug)]
pub struct StateDir {
    path: PathBuf,
}

/// Why the state could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A file or folder cannot be read or made.
    #[error("cannot use the state directory: {}: {source}; name another with --state-dir, or state.dir in the configuration", path.display())]
    Unusable {
        /// Which file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file that others may read or write.
    #[error("{} can be read or written by others (mode {mode:o}); run `chmod {fix} {}`, and think about who read it", path.display(), path.display())]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// The mode that it needs.
        fix: &'static str,
    },
    /// A file that does not hold what it must.
    #[error("{}: {reason}", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
}

impl StateDir {
    /// The directory of the configuration, else the usual one: systemd's `$STATE_DIRECTORY`, root's `/var/lib/hopwatch`, a user's
    /// `$XDG_STATE_HOME/hopwatch`.
    pub fn open(configured: Option<&Path>) -> Result<Self, StateError> {
        let path = configured.map(Path::to_owned).or_else(usual).ok_or_else(|| StateError::Unusable {
            path: PathBuf::from(USUAL),
            source: io::Error::new(io::ErrorKind::NotFound, "this user has neither a home nor rights there"),
        })?;
        let unusable = |source| StateError::Unusable { path: path.clone(), source };
        // Some threads may not even ask for what is there.
        if !path.is_dir() {
            DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(unusable)?;
        }
        let mode = fs::metadata(&path).map_err(unusable)?.permissions().mode();
        if mode & 0o022 != 0 {
            return Err(StateError::Exposed { path, mode: mode & 0o7777, fix: "700" });
        }
        Ok(Self { path })
    }

    /// Where a file of it is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A file; `None` where it is not there.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>, StateError> {
        let path = self.path(name);
        let unusable = |source| StateError::Unusable { path: path.clone(), source };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unusable(error)),
        };
        let metadata = file.metadata().map_err(unusable)?;
        let mode = metadata.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(StateError::Exposed { path, mode: mode & 0o7777, fix: "600" });
        }
        let mut bytes = Vec::new();
        file.take(MAX_FILE).read_to_end(&mut bytes).map_err(unusable)?;
        Ok(Some(bytes))
    }

    /// Replaces a file.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), StateError> {
        let path = self.path(name);
        write_private(&path, bytes).map_err(|source| StateError::Unusable { path, source })
    }

    /// Makes a file that is not there yet; what another process made first stays.
    pub fn make_once(&self, name: &str, bytes: &[u8]) -> Result<(), StateError> {
        let path = self.path(name);
        let unusable = |source| StateError::Unusable { path: path.clone(), source };
        let draft = draft_of(&path);
        write_draft(&draft, bytes).map_err(unusable)?;
        let linked = fs::hard_link(&draft, &path);
        drop(fs::remove_file(&draft));
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(unusable(error)),
            _ => Ok(()),
        }
    }
}

/// Where state is kept unless the configuration says otherwise.
fn usual() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let by_systemd = std::env::var("STATE_DIRECTORY").ok();
    if let Some(first) = by_systemd.as_deref().and_then(|all| all.split(':').next()).filter(|path| !path.is_empty()) {
        return Some(PathBuf::from(first));
    }
    if nix::unistd::geteuid().is_root() {
        return Some(PathBuf::from(USUAL));
    }
    let home = variable("XDG_STATE_HOME").or_else(|| variable("HOME").map(|home| home.join(".local/state")));
    home.filter(|path| path.is_absolute()).map(|home| home.join("hopwatch"))
}

/// Replaces a file that only its owner may read.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = draft_of(path);
    write_draft(&draft, bytes)?;
    fs::rename(&draft, path).inspect_err(|_| drop(fs::remove_file(&draft)))
}

fn draft_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    path.with_file_name(name)
}

fn write_draft(draft: &Path, bytes: &[u8]) -> io::Result<()> {
    // One that a killed process left under this number.
    drop(fs::remove_file(draft));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_once_stays_and_what_others_may_read_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = StateDir::open(Some(&folder.path().join("deep/state"))).expect("a directory");
        assert!(state.read("key").expect("readable").is_none());
        state.make_once("key", b"one").expect("made");
        state.make_once("key", b"two").expect("kept");
        assert_eq!(state.read("key").expect("readable").as_deref(), Some(&b"one"[..]));
        state.write("key", b"three").expect("written");
        assert_eq!(state.read("key").expect("readable").as_deref(), Some(&b"three"[..]));
        assert_eq!(fs::read_dir(folder.path().join("deep/state")).expect("a folder").count(), 1, "no draft stays");
        fs::set_permissions(state.path("key"), fs::Permissions::from_mode(0o640)).expect("changed");
        let error = state.read("key").expect_err("others may read it").to_string();
        assert!(error.contains("chmod 600"), "{error}");
    }

    #[test]
    fn a_directory_that_others_may_write_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("changed");
        assert!(matches!(StateDir::open(Some(folder.path())), Err(StateError::Exposed { .. })));
    }
}
