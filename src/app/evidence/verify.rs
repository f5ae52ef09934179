//! Whether bundles and their chain are what hopwatch wrote.
//!
//! Contract: reads hostile files: every name is plain, no symbolic link is followed, every length is bounded; nothing is written. Each bundle ends as whole, changed,
//! missing, removed by the budget, or not in the chain, with what is wrong in words. Limits: a chain that was written anew as a whole is found only by
//! a head that was kept elsewhere.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::folder::{CHAIN, MANIFEST, MAX_CHAIN, MAX_MANIFEST, bundles, open_plain, read_bounded};
use crate::evidence::{BUNDLE_SCHEMA, Chained as _, GENESIS, Links, Manifest, Wrong, is_file_name, sha256};

/// Files that a manifest may name.
const MAX_FILES: usize = 64;
/// Bytes of one file.
const MAX_FILE: u64 = 1 << 30;

/// What became of a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BundleState {
    /// As it was written.
    Whole,
    /// It, or something in it, is not what was written.
    Changed,
    /// It is gone, and hopwatch did not remove it.
    Missing,
    /// hopwatch removed it to stay within the budget.
    Removed,
    /// The chain does not name it.
    Unknown,
}

impl BundleState {
    /// For a person.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Changed => "changed",
            Self::Missing => "missing",
            Self::Removed => "removed",
            Self::Unknown => "unknown",
        }
    }
}

/// A bundle that was looked at.
#[derive(Clone, Debug, Serialize)]
pub struct CheckedBundle {
    /// Id of its alert.
    pub alert: String,
    /// Its number in the chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// What became of it.
    pub state: BundleState,
    /// What is wrong, in words.
    pub wrong: Vec<String>,
}

/// Everything that was looked at.
#[derive(Clone, Debug, Serialize)]
pub struct Verification {
    /// The hash of the last link.
    pub head: String,
    /// Links of the chain.
    pub links: usize,
    /// What is wrong with the chain, by line.
    pub chain: Vec<ChainFault>,
    /// Whether the head that was kept elsewhere is in it; absent where none was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub knows_head: Option<bool>,
    /// The bundles, in order of the chain.
    pub bundles: Vec<CheckedBundle>,
}

/// A line of the chain that is wrong.
#[derive(Clone, Debug, Serialize)]
pub struct ChainFault {
    /// Counted from 1.
    pub line: usize,
    /// In words.
    pub what: String,
}

impl Verification {
    /// Whether everything is as hopwatch wrote it.
    pub fn is_whole(&self) -> bool {
        let fine = |bundle: &CheckedBundle| matches!(bundle.state, BundleState::Whole | BundleState::Removed);
        self.chain.is_empty() && self.knows_head != Some(false) && self.bundles.iter().all(fine)
    }
}

/// Looks at the folder of all bundles; `head` was kept elsewhere.
pub fn verify(path: &Path, head: Option<&str>) -> io::Result<Verification> {
    let text = match read_bounded(&path.join(CHAIN), MAX_CHAIN) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        other => other?,
    };
    let chain = Links::read(&String::from_utf8_lossy(&text));
    let mut checked = Vec::new();
    let mut known = BTreeSet::new();
    for (link, removed) in chain.bundles() {
        known.insert(link.alert.clone());
        let folder = path.join(&link.alert);
        let is_there = fs::symlink_metadata(&folder).is_ok();
        let (state, wrong) = match (is_there, removed) {
            (false, true) => (BundleState::Removed, Vec::new()),
            (false, false) => (BundleState::Missing, vec!["its folder is gone".to_owned()]),
            (true, true) => (BundleState::Changed, vec!["it was removed, and is there again".to_owned()]),
            (true, false) => look_into(&folder, Some(&link.manifest)),
        };
        checked.push(CheckedBundle { alert: link.alert.clone(), seq: Some(link.seq), state, wrong });
    }
    for (alert, _) in bundles(path).filter(|(alert, _)| !known.contains(alert)) {
        let wrong = vec!["no link of the chain names it".to_owned()];
        checked.push(CheckedBundle { alert, seq: None, state: BundleState::Unknown, wrong });
    }
    Ok(Verification {
        head: chain.head(),
        links: chain.links.len(),
        knows_head: head.map(|head| head == GENESIS || chain.links.iter().any(|link| link.hash() == head)),
        chain: chain.wrong.into_iter().map(|Wrong { line, what }| ChainFault { line, what }).collect(),
        bundles: checked,
    })
}

/// The hash of the last link.
pub fn head(path: &Path) -> io::Result<String> {
    let text = read_bounded(&path.join(CHAIN), MAX_CHAIN)?;
    Ok(Links::read(&String::from_utf8_lossy(&text)).head())
}

/// Looks at one bundle, wherever it is; `manifest`: the hash that the chain names.
pub fn look_into(folder: &Path, manifest: Option<&str>) -> (BundleState, Vec<String>) {
    let wrong = match faults(folder, manifest) {
        Ok(wrong) => wrong,
        Err(error) => vec![error],
    };
    (if wrong.is_empty() { BundleState::Whole } else { BundleState::Changed }, wrong)
}

fn faults(folder: &Path, expected: Option<&str>) -> Result<Vec<String>, String> {
    let kind = fs::symlink_metadata(folder).map_err(|error| format!("its folder cannot be looked at: {error}"))?;
    if !kind.is_dir() {
        return Err("it is no folder".to_owned());
    }
    let bytes = read_bounded(&folder.join(MANIFEST), MAX_MANIFEST).map_err(|error| format!("{MANIFEST}: {error}"))?;
    let mut wrong = Vec::new();
    if expected.is_some_and(|expected| expected != sha256(&bytes)) {
        wrong.push(format!("{MANIFEST} is not the one that the chain names"));
    }
    let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|error| format!("{MANIFEST} is none: {error}"))?;
    if manifest.schema != BUNDLE_SCHEMA {
        return Err(format!("the schema {:?} is not known", manifest.schema));
    }
    if manifest.files.len() > MAX_FILES {
        return Err(format!("{MANIFEST} names {} files; a bundle has {MAX_FILES} at most", manifest.files.len()));
    }
    wrong.extend(manifest.files.iter().filter_map(|file| {
        if !is_file_name(&file.path) {
            return Some(format!("{:?} is no name of a file in a bundle", file.path));
        }
        match hash_of(&folder.join(&file.path)) {
            Ok((hash, bytes)) if hash == file.sha256 && bytes == file.bytes => None,
            Ok(_) => Some(format!("{} was changed", file.path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Some(format!("{} is missing", file.path)),
            Err(error) => Some(format!("{}: {error}", file.path)),
        }
    }));
    let named: BTreeSet<_> = manifest.files.iter().map(|file| file.path.as_str()).chain([MANIFEST]).collect();
    for entry in fs::read_dir(folder).map_err(|error| error.to_string())?.flatten().take(MAX_FILES * 2) {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !named.contains(name.as_str()) {
            wrong.push(format!("{name:?} was added"));
        }
    }
    Ok(wrong)
}

/// Hash and length of a plain file.
fn hash_of(path: &Path) -> io::Result<(String, u64)> {
    let mut file = open_plain(path)?.take(MAX_FILE);
    let (mut hash, mut total, mut buffer) = (Sha256::new(), 0, vec![0; 64 << 10]);
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            count => {
                hash.update(buffer.get(..count).unwrap_or_default());
                total += count as u64;
            }
        }
    }
    Ok((hash.finalize().iter().fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}")), total))
}
