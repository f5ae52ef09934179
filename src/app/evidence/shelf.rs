//! Bundles as a person asks for them: which there are, what is in one, and a copy of one for somebody else.
//!
//! Contract: reads only; what is copied was verified, and is readable by its owner only. Limits: as [`super::verify`].

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::folder::{CHAIN, MANIFEST, MAX_CHAIN, MAX_MANIFEST, bundles, open_plain, read_bounded, read_manifest};
use super::verify::{BundleState, look_into};
use crate::evidence::{Manifest, is_alert_id, is_file_name};

/// The bundles in the folder, in order of the chain; of those that cannot be read, why.
pub fn list(path: &Path) -> Vec<(String, Result<Manifest, String>)> {
    let mut all: Vec<_> = bundles(path)
        .map(|(alert, folder)| (alert, read_manifest(&folder).map_err(|error| error.to_string())))
        .collect();
    all.sort_by_key(|(alert, manifest)| (manifest.as_ref().map_or(u64::MAX, |manifest| manifest.seq), alert.clone()));
    all
}

/// The folder of an alert's bundle; an id is checked before it becomes part of a path.
pub fn bundle(path: &Path, alert: &str) -> anyhow::Result<PathBuf> {
    anyhow::ensure!(
        is_alert_id(alert),
        "{alert:?} is no id of an alert: sixteen hexadecimal digits, as the alert shows them"
    );
    let folder = path.join(alert);
    anyhow::ensure!(
        folder.is_dir(),
        "there is no evidence of {alert} in {}; `hopwatch evidence list` shows what there is",
        path.display()
    );
    Ok(folder)
}

/// What is in a bundle.
pub fn manifest(folder: &Path) -> io::Result<Manifest> {
    read_manifest(folder)
}

/// Copies a bundle that is whole, and the chain up to now, into a new folder.
pub fn export(path: &Path, alert: &str, into: &Path) -> anyhow::Result<()> {
    let folder = bundle(path, alert)?;
    let (state, wrong) = look_into(&folder, None);
    anyhow::ensure!(state == BundleState::Whole, "the evidence of {alert} is not whole: {}", wrong.join("; "));
    let manifest = manifest(&folder)?;
    DirBuilder::new().mode(0o700).create(into)?;
    for name in manifest.files.iter().map(|file| file.path.as_str()).filter(|name| is_file_name(name)) {
        let mut to = private(&into.join(name))?;
        io::copy(&mut open_plain(&folder.join(name))?, &mut to)?;
    }
    private(&into.join(MANIFEST))?.write_all(&read_bounded(&folder.join(MANIFEST), MAX_MANIFEST)?)?;
    // Beside the bundle, since it is none of its files.
    let mut chain = into.as_os_str().to_owned();
    chain.push(format!(".{CHAIN}"));
    private(Path::new(&chain))?.write_all(&read_bounded(&path.join(CHAIN), MAX_CHAIN)?)?;
    fs::File::open(into)?.sync_all()?;
    Ok(())
}

fn private(path: &Path) -> io::Result<fs::File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}
