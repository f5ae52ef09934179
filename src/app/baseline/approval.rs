//! What was approved on this host.
//!
//! Contract: for each file, by its real path, the SHA-256 and serial number of what was approved last, and a copy; a copy that is not what was
//! approved is refused. Design: one JSON file in the state directory, `hopwatch.approved/1`, and the copies beside it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{BaselineError, Document};
use crate::app::state_dir::{StateDir, StateError};
use crate::config::sha256;
use crate::time::Timestamp;

const FILE: &str = "approved.json";
const SCHEMA: &str = "hopwatch.approved/1";

/// What was approved of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approved {
    /// Serial number.
    pub serial: u64,
    /// SHA-256 of the text.
    pub sha256: String,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// Why.
    pub why: String,
    /// Name of the copy in the state directory.
    copy: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    schema: String,
    files: BTreeMap<PathBuf, Approved>,
}

/// All approvals of this host.
#[derive(Debug)]
pub struct Approvals {
    state: StateDir,
    files: BTreeMap<PathBuf, Approved>,
}

impl Approvals {
    /// Reads them.
    pub fn read(state: StateDir) -> Result<Self, BaselineError> {
        let Some(bytes) = state.read(FILE)? else { return Ok(Self { state, files: BTreeMap::new() }) };
        let malformed = |reason: String| StateError::Malformed { path: state.path(FILE), reason };
        let stored: Stored = serde_json::from_slice(&bytes)
            .map_err(|error| malformed(format!("it lists no approvals ({error}); restore it, or approve again")))?;
        if stored.schema != SCHEMA {
            return Err(
                malformed(format!("{} was made by another hopwatch; this one reads {SCHEMA}", stored.schema)).into()
            );
        }
        Ok(Self { files: stored.files, state })
    }

    /// Reads them where there is a state directory that can be used.
    pub fn existing(state_dir: Option<&Path>) -> Result<Option<Self>, BaselineError> {
        match StateDir::open(state_dir) {
            Ok(state) => Self::read(state).map(Some),
            Err(StateError::Unusable { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What was approved of a file.
    pub fn of(&self, path: &Path) -> Option<&Approved> {
        self.files.get(&real(path))
    }

    /// Keeps what is approved now; a lower serial number than before is refused.
    pub fn keep(
        &mut self,
        path: &Path,
        document: &Document,
        by: &str,
        why: &str,
        at: Timestamp,
    ) -> Result<(), BaselineError> {
        let (path, serial) = (real(path), document.baseline.serial);
        if let Some(before) = self.files.get(&path).filter(|before| serial < before.serial) {
            return Err(BaselineError::RolledBack { path, found: serial, approved: before.serial });
        }
        let copy = format!("baseline-{}.yaml", &sha256(path.as_os_str().as_encoded_bytes())[..16]);
        self.state.write(&copy, document.text.as_bytes())?;
        let (by, why, sha256) = (by.to_owned(), why.to_owned(), document.sha256.clone());
        self.files.insert(path, Approved { serial, sha256, at, by, why, copy });
        let stored = Stored { schema: SCHEMA.to_owned(), files: self.files.clone() };
        let text = serde_json::to_vec_pretty(&stored).map_err(|error| BaselineError::Refused(error.to_string()))?;
        Ok(self.state.write(FILE, &text)?)
    }

    /// The copy of what was approved.
    pub fn copy_of(&self, approved: &Approved) -> Result<Document, BaselineError> {
        let path = self.state.path(&approved.copy);
        let malformed = |reason: &str| StateError::Malformed { path: path.clone(), reason: reason.to_owned() };
        let bytes =
            self.state.read(&approved.copy)?.ok_or_else(|| malformed("the copy of what was approved is gone"))?;
        if sha256(&bytes) != approved.sha256 {
            return Err(malformed("this is not what was approved; approve the file again").into());
        }
        let text = String::from_utf8(bytes).map_err(|_| malformed("it is not UTF-8"))?;
        Document::parse(&path, text)
    }
}

/// The file that lists what was approved.
pub(super) fn path(state: &StateDir) -> PathBuf {
    state.path(FILE)
}

/// A path by which a file is known however it is named.
fn real(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let folder = whole.parent().and_then(|folder| folder.canonicalize().ok());
    folder.zip(whole.file_name()).map_or_else(|| whole.clone(), |(folder, name)| folder.join(name))
}
