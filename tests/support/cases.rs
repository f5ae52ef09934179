//! Public captures and what other tools say of them, unpacked for a test.
//!
//! The folder is named by `HOPWATCH_CASES`, else `../shared/cases` beside the package; without it [`Cases::unpack`] says so.
#![allow(
    dead_code,
    clippy::expect_used,
    reason = "helpers of tests, each of which uses a part; a failure ends the test"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use serde_json::Value;

/// The unpacked cases; the folder goes away with it.
pub struct Cases(tempfile::TempDir);

impl Cases {
    /// `None` where there are none; why is printed.
    pub fn unpack() -> Option<Self> {
        let beside = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?.join("shared/cases");
        let folder = std::env::var_os("HOPWATCH_CASES").map_or(beside, PathBuf::from);
        let archive = folder.join("dev.tar.xz");
        if !archive.is_file() {
            println!("skipped: no {} (set HOPWATCH_CASES to a folder with captures)", archive.display());
            return None;
        }
        let target = tempfile::tempdir().expect("a temporary folder");
        let tar = Command::new("tar").arg("-xJf").arg(&archive).arg("-C").arg(target.path()).status();
        if !tar.as_ref().is_ok_and(ExitStatus::success) {
            println!("skipped: tar cannot unpack {}: {tar:?}", archive.display());
            return None;
        }
        Some(Self(target))
    }

    /// Where all of it lies.
    pub fn folder(&self) -> &Path {
        self.0.path()
    }

    /// A file of it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A pack of expectations, one JSON value a line.
    pub fn lines(&self, pack: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path("packs").join(pack)).expect("a pack");
        text.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
    }

    /// Column values of a table, without its head.
    pub fn column(&self, pack: &str, column: usize) -> Vec<String> {
        let text = std::fs::read_to_string(self.path("packs").join(pack)).expect("a pack");
        text.lines().skip(1).filter_map(|line| line.split('\t').nth(column)).map(str::to_owned).collect()
    }
}
