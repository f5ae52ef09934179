//! `scripts/setup.sh` names a Rust that is too old, and says how to get another: a distribution's cargo fails with an error about the manifest.

use std::path::Path;
use std::process::Command;

/// What the script says and whether it agrees, where `cargo --version` prints this.
fn setup(version: &str) -> (bool, String) {
    let folder = tempfile::tempdir().expect("a folder");
    // By another process: what this one writes, a child of another test's thread may hold open, and then it cannot be run.
    let fake = "printf '#!/bin/sh\\necho \"%s\"\\n' \"$1\" > cargo && chmod +x cargo";
    let made = Command::new("sh").args(["-c", fake, "sh", version]).current_dir(&folder).status().expect("sh");
    assert!(made.success());
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap_or_default());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/setup.sh");
    let output = Command::new("bash").arg(script).env("PATH", path).output().expect("bash");
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_rust_that_is_too_old_is_named_with_what_to_do() {
    for version in ["cargo 1.65.0", "cargo 1.94.9", "cargo 0.99.0"] {
        let (agrees, errors) = setup(version);
        assert!(!agrees, "{version} was accepted");
        let number = version.strip_prefix("cargo ").expect("a version");
        for wanted in [number, "needs Rust 1.95.0", "rustup"] {
            assert!(errors.contains(wanted), "{version}: {wanted} is missing: {errors}");
        }
    }
}

#[test]
fn a_rust_that_is_new_enough_is_accepted() {
    for version in ["cargo 1.95.0 (0123456 2026-04-01)", "cargo 1.100.0", "cargo 2.0.0-nightly (0123456 2030-01-01)"] {
        let (agrees, errors) = setup(version);
        assert!(agrees, "{version}: {errors}");
    }
}
