//! The baseline's file: read, checked against what was approved, written.
//!
//! Contract: what is in force is the file, where it was never approved on this host or is as approved, else the copy of what was approved.
//! An older file, an edited one and one whose signature does not fit are never in force. Limits: [`MAX_BYTES`]. Design: pure comparison and
//! learning are in [`crate::baseline`]; files, clocks and users here.

mod approval;
mod approve;
mod diff;
mod document;
mod error;
mod learning;
mod shadow;
mod signature;
mod suggestion;
mod suspects;
mod zone;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use approval::{Approvals, Approved};
pub use approve::{Approve, approve, approve_file, import};
pub use diff::{DiffReport, ServiceDiff, diff};
pub use document::Document;
pub use error::BaselineError;
pub use learning::{Learning, Observation, Observed, observed};
pub use shadow::{ShadowReport, shadow};
pub use suggestion::{Said, Suggestion};
pub use zone::zone;

use super::state_dir::StateDir;
use crate::baseline::Baseline;
use crate::config::Config;
use crate::input::{BaselineChange, BaselineFact};

/// Bytes of a file.
const MAX_BYTES: u64 = 256 << 20;

/// The file, and what is in force of it.
#[derive(Clone, Debug)]
pub struct BaselineFile {
    path: PathBuf,
    key: Option<String>,
    approved: Option<Approved>,
    serial: u64,
    /// SHA-256 of the file that is in force.
    sha256: String,
    in_force: Arc<str>,
    state_dir: Option<PathBuf>,
}

impl BaselineFile {
    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The text of what is in force.
    pub fn in_force(&self) -> &str {
        &self.in_force
    }

    /// The files that say whether something changed: the baseline, and what was approved.
    pub fn watched(&self) -> Vec<PathBuf> {
        let approvals = StateDir::open(self.state_dir.as_deref()).ok().map(|state| approval::path(&state));
        std::iter::once(self.path.clone()).chain(approvals).collect()
    }

    /// Puts into force what was approved since; a lower serial number than the one in force is no approval.
    pub fn take_in(&mut self) -> Result<Option<BaselineFact>, BaselineError> {
        let Some(approvals) = Approvals::existing(self.state_dir.as_deref())? else { return Ok(None) };
        let Some(approved) = approvals.of(&self.path).cloned() else { return Ok(None) };
        if approved.sha256 == self.sha256 && self.approved.is_some() {
            self.approved = Some(approved);
            return Ok(None);
        }
        if approved.serial < self.serial {
            let (path, found, approved) = (self.path.clone(), approved.serial, self.serial);
            return Err(BaselineError::RolledBack { path, found, approved });
        }
        let document = match Document::read(&self.path, self.key.as_deref()) {
            Ok(document) if document.sha256 == approved.sha256 => document,
            // With a key, only the file beside its signature counts.
            Err(error) if self.key.is_some() => return Err(error),
            Ok(_) if self.key.is_some() => return Ok(None),
            _ => approvals.copy_of(&approved)?,
        };
        let said = document.as_json()?;
        self.serial = approved.serial;
        self.sha256.clone_from(&document.sha256);
        self.in_force = document.text.into();
        let Approved { serial, sha256, by, why, .. } = approved.clone();
        self.approved = Some(approved);
        let file = self.path.display().to_string();
        Ok(Some(BaselineFact::Approved { file, serial, sha256, by, why, document: Arc::new(said) }))
    }

    /// How the file stands to what is in force, now.
    pub fn check(&self) -> BaselineFact {
        let file = self.path.display().to_string();
        let serial = self.serial;
        let differs = |found, sha256, how| BaselineFact::Differs { file: file.clone(), serial, found, sha256, how };
        let document = match Document::read(&self.path, self.key.as_deref()) {
            Ok(document) => document,
            Err(BaselineError::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                return differs(None, String::new(), BaselineChange::Removed);
            }
            Err(_) => return differs(None, String::new(), BaselineChange::Unreadable),
        };
        let approved = self.approved.as_ref().map_or(&self.sha256, |approved| &approved.sha256);
        if document.sha256 == *approved {
            return BaselineFact::InForce { file, serial, sha256: document.sha256 };
        }
        let found = document.baseline.serial;
        let how = if found < serial { BaselineChange::RolledBack } else { BaselineChange::Edited };
        differs(Some(found), document.sha256, how)
    }
}

/// Puts the configured baseline into force; the file is to be watched.
pub fn load(config: &mut Config) -> Result<Option<BaselineFile>, BaselineError> {
    let Some(path) = config.baseline.clone() else { return Ok(None) };
    let approvals = Approvals::existing(config.state_dir.as_deref())?;
    let approved = approvals.as_ref().and_then(|approvals| approvals.of(&path).cloned());
    let read = Document::read(&path, config.baseline_key.as_deref());
    let document = match (&approved, &approvals, read) {
        (Some(approved), _, Ok(document)) if document.sha256 == approved.sha256 => document,
        (Some(approved), Some(approvals), read) => {
            let why = read.err().map_or_else(|| "it is not what was approved".to_owned(), |error| error.to_string());
            tracing::warn!(
                "{}: {why}; the approved baseline, serial {}, is in force; approve the file with `hopwatch baseline approve --file`",
                path.display(),
                approved.serial
            );
            approvals.copy_of(approved)?
        }
        (_, _, read) => {
            let document = read?;
            tracing::warn!(
                "{} is not approved on this host, so edits to it are not detected; approve it with `hopwatch baseline approve --file {}`",
                path.display(),
                path.display()
            );
            document
        }
    };
    let (serial, sha256) = (document.baseline.serial, document.sha256.clone());
    let document = if approved.is_none() { without_unapproved_traffic(document)? } else { document };
    config.engine.baseline = Some(Arc::new(document.baseline));
    let key = config.baseline_key.clone();
    Ok(Some(BaselineFile {
        path,
        key,
        approved,
        serial,
        sha256,
        in_force: document.text.into(),
        state_dir: config.state_dir.clone(),
    }))
}

/// What is expected of traffic is in force after its approval alone.
fn without_unapproved_traffic(document: Document) -> Result<Document, BaselineError> {
    if !document.baseline.has_traffic() {
        return Ok(document);
    }
    tracing::warn!("what the baseline expects of traffic is not in force before it is approved");
    Document::of(document.baseline.without_traffic())
}

/// Puts the configured baseline into force as it is: of a recording, or for a question.
pub fn load_unwatched(config: &mut Config) -> Result<(), BaselineError> {
    if let Some(path) = &config.baseline {
        config.engine.baseline = Some(Arc::new(Document::read(path, None)?.baseline));
    }
    Ok(())
}

/// The baseline of a command: the file that it names, else the configured one.
pub fn path_of(named: Option<&Path>, config: &Config) -> Result<PathBuf, BaselineError> {
    named.map(Path::to_owned).or_else(|| config.baseline.clone()).ok_or(BaselineError::NotNamed)
}

/// The baseline in force, for a question: what was approved, else the file.
pub fn in_force(path: &Path, config: &Config) -> Result<Baseline, BaselineError> {
    let approvals = Approvals::existing(config.state_dir.as_deref())?;
    let read = Document::read(path, config.baseline_key.as_deref());
    match approvals.as_ref().and_then(|approvals| Some((approvals, approvals.of(path)?))) {
        Some((approvals, approved)) if !read.as_ref().is_ok_and(|read| read.sha256 == approved.sha256) => {
            tracing::warn!(
                "{} is not what was approved; what was approved, serial {}, is used",
                path.display(),
                approved.serial
            );
            Ok(approvals.copy_of(approved)?.baseline)
        }
        _ => Ok(read?.baseline),
    }
}

/// The state directory, made where it is missing.
fn state(config: &Config) -> Result<StateDir, BaselineError> {
    Ok(StateDir::open(config.state_dir.as_deref())?)
}
