//! Shared by the integration tests. Each uses only a part of it.
#![allow(dead_code, clippy::expect_used, missing_docs, reason = "helpers of tests: a failure ends the test")]

#[cfg(feature = "shell")]
pub mod netns;
#[cfg(feature = "shell")]
pub mod scenario;
#[cfg(feature = "shell")]
pub mod sender;
pub mod world;

use std::path::Path;

/// A generated file equals what would be generated now. `HOPWATCH_UPDATE=1` writes it.
pub fn assert_current(path: &str, generated: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("HOPWATCH_UPDATE").is_some() {
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("create the folder");
        std::fs::write(&file, generated).expect("write the generated file");
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(committed, generated, "{path} is not current; run `HOPWATCH_UPDATE=1 cargo test` and commit it");
}
