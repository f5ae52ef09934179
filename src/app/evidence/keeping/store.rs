//! Writes the folder of bundles, and its chain.
//!
//! Contract: folders 0700, files 0600. A bundle is written beside its place, its link is appended to the chain, and then it is renamed: a crash in
//! between is completed at the next start. Limits: a chain of [`MAX_CHAIN`] bytes; one writer.
//! Design: [`crate::app::evidence::verify`] reads the same files and trusts none of them.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::app::evidence::folder::{CHAIN, MANIFEST, MAX_CHAIN, MAX_MANIFEST, bundles, read_bounded, read_manifest};
use crate::detect::Severity;
use crate::evidence::{Chained as _, Held, Link, LinkKind, Links, Manifest, is_alert_id, sha256};
use crate::time::Timestamp;

/// The folder as its only writer has it.
#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
    chain: File,
    /// The last link is all that the next one needs.
    links: Links,
    chain_bytes: u64,
}

impl Store {
    /// Opens the folder, makes it where it is missing, and completes or removes what a crash left.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let folder = fs::metadata(path)?;
        let (owner, mode) = (folder.uid(), folder.permissions().mode());
        if owner != 0 && owner != nix::unistd::geteuid().as_raw() {
            return Err(io::Error::other(format!(
                "it belongs to another user (id {owner}); run `chown` on it, or name another one"
            )));
        }
        if mode & 0o022 != 0 {
            return Err(io::Error::other(format!(
                "others may write there (mode {:o}); run `chmod 700` on it",
                mode & 0o7777
            )));
        }
        let mut chain = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(path.join(CHAIN))?;
        // Held until the process ends.
        chain.try_lock().map_err(|_| io::Error::other("another hopwatch writes evidence there"))?;
        let text = read_bounded(&path.join(CHAIN), MAX_CHAIN)?;
        let links = Links::read(&String::from_utf8_lossy(&text));
        for wrong in links.wrong.iter().take(1) {
            tracing::error!(
                "the chain of evidence is damaged: line {} {}; run `hopwatch evidence verify`, which shows everything",
                wrong.line,
                wrong.what
            );
        }
        let mut chain_bytes = text.len() as u64;
        if !text.is_empty() && !text.ends_with(b"\n") {
            // The line that was cut stays as it is, and stays wrong.
            chain.write_all(b"\n")?;
            chain_bytes += 1;
        }
        let mut store = Self { path: path.to_owned(), chain, links, chain_bytes };
        store.complete()?;
        Ok(store)
    }

    /// Renames what was linked and not renamed; removes what was begun only.
    fn complete(&mut self) -> io::Result<()> {
        let last = self.links.links.last().filter(|link| link.kind == LinkKind::Written).cloned();
        for entry in fs::read_dir(&self.path)?.flatten() {
            let name = entry.file_name();
            let Some(id) = name
                .to_str()
                .and_then(|name| name.strip_prefix('.')?.strip_suffix(".tmp"))
                .filter(|id| is_alert_id(id))
            else {
                continue;
            };
            let is_linked = last.as_ref().is_some_and(|link| {
                link.alert == id
                    && read_bounded(&entry.path().join(MANIFEST), MAX_MANIFEST)
                        .is_ok_and(|bytes| sha256(&bytes) == link.manifest)
            });
            if is_linked && !self.path.join(id).exists() {
                fs::rename(entry.path(), self.path.join(id))?;
            } else {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }

    /// The hash that the next bundle names.
    pub(super) fn head(&self) -> String {
        self.links.head()
    }

    /// The number of the next link.
    pub(super) fn next_seq(&self) -> u64 {
        self.links.next_seq()
    }

    /// Where an alert's bundle is or will be.
    pub(super) fn place(&self, alert: &str) -> PathBuf {
        self.path.join(alert)
    }

    /// Where it is written.
    pub(super) fn draft(&self, alert: &str) -> PathBuf {
        self.path.join(format!(".{alert}.tmp"))
    }

    /// Puts a bundle that was written and fsynced into its place.
    pub(super) fn keep(&mut self, alert: &str, at: Timestamp, manifest: &[u8]) -> io::Result<()> {
        self.append(self.links.following(at, alert, LinkKind::Written, sha256(manifest)))?;
        if let Err(error) = fs::rename(self.draft(alert), self.place(alert)) {
            // The chain must not name what is not there.
            self.append(self.links.following(at, alert, LinkKind::Removed, sha256(manifest)))?;
            return Err(error);
        }
        File::open(&self.path)?.sync_all()
    }

    /// Removes a bundle, and says so in the chain.
    pub(super) fn remove(&mut self, alert: &str, at: Timestamp) -> io::Result<()> {
        let place = self.place(alert);
        let manifest = sha256(&read_bounded(&place.join(MANIFEST), MAX_MANIFEST)?);
        self.append(self.links.following(at, alert, LinkKind::Removed, manifest))?;
        fs::remove_dir_all(place)
    }

    fn append(&mut self, link: Link) -> io::Result<()> {
        let text = link.line() + "\n";
        if self.chain_bytes + text.len() as u64 > MAX_CHAIN {
            return Err(io::Error::other(format!("{CHAIN} is full; move the folder away, and a new one is begun")));
        }
        if let Err(error) = self.chain.write_all(text.as_bytes()).and_then(|()| self.chain.sync_data()) {
            // Half a line must not stay.
            let _ = self.chain.set_len(self.chain_bytes);
            return Err(error);
        }
        self.chain_bytes += text.len() as u64;
        self.links.links = vec![link];
        Ok(())
    }

    /// The bundles that are there.
    pub(super) fn held(&self) -> Vec<Held> {
        bundles(&self.path)
            .filter_map(|(alert, path)| {
                let manifest = read_manifest(&path).ok()?;
                let severity = Severity::of_word(&manifest.severity)?;
                Some(Held { alert, made: manifest.made, severity, bytes: bytes_of(&manifest) })
            })
            .collect()
    }
}

/// Bytes of a bundle's files.
pub(super) fn bytes_of(manifest: &Manifest) -> u64 {
    manifest.files.iter().map(|file| file.bytes).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "2491e3e63140177f";

    fn written(store: &mut Store) -> io::Result<()> {
        fs::create_dir(store.draft(ID))?;
        fs::write(store.draft(ID).join(MANIFEST), "{}")?;
        store.keep(ID, Timestamp::from_secs(1), b"{}")
    }

    #[test]
    fn a_bundle_that_cannot_come_to_its_place_is_not_missing_from_the_chain() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("evidence");
        let mut store = Store::open(&path).expect("opened");
        std::os::unix::fs::symlink(folder.path().join("elsewhere"), path.join(ID)).expect("a link");
        written(&mut store).expect_err("something is in its place");
        fs::remove_file(path.join(ID)).expect("removed");
        let verified = crate::app::evidence::verify::verify(&path, None).expect("verified");
        assert!(verified.is_whole() && verified.links == 2, "{verified:?}");
        assert!(!folder.path().join("elsewhere").exists(), "the link was not followed");
    }

    #[test]
    fn a_folder_that_others_may_change_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("evidence");
        drop(Store::open(&path).expect("opened"));
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&path.join(CHAIN))), (0o700, 0o600));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o770)).expect("set");
        assert!(Store::open(&path).expect_err("refused").to_string().contains("others may write there"));
        if nix::unistd::geteuid().is_root() {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("set");
            std::os::unix::fs::chown(&path, Some(65_534), None).expect("given away");
            assert!(Store::open(&path).expect_err("refused").to_string().contains("another user"));
        }
    }
}
