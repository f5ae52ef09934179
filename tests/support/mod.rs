//! Shared by the integration tests. Each uses only a part of it.
#![allow(
    dead_code,
    clippy::expect_used,
    clippy::disallowed_methods,
    missing_docs,
    reason = "helpers of tests: each binary uses a part, a failure ends the test, patience needs a clock"
)]

pub mod capture;
pub mod engine_config;
pub mod facts;
pub mod frames;
pub mod lan;
pub mod openvpn;
pub mod payloads;
pub mod seeds;
pub mod world;

#[cfg(feature = "live")]
pub mod background_reader;
#[cfg(feature = "live")]
pub mod cases;
#[cfg(feature = "live")]
pub mod containerd;
#[cfg(feature = "live")]
pub mod cri;
#[cfg(feature = "live")]
pub mod dockerd;
#[cfg(feature = "live")]
pub mod fake_runtime;
#[cfg(feature = "live")]
pub mod hosts;
#[cfg(feature = "live")]
pub mod netns;
#[cfg(feature = "live")]
pub mod patience;
#[cfg(feature = "live")]
pub mod podman;
#[cfg(feature = "live")]
pub mod recorder;
#[cfg(feature = "live")]
pub mod scenario;
#[cfg(feature = "live")]
pub mod sender;
#[cfg(feature = "live")]
pub mod stalling_socket;
#[cfg(feature = "live")]
pub mod watch;

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
#[cfg(feature = "live")]
pub mod sniffing;
