//! The manifest of a bundle: what is in it, what is missing from it, and its place in the chain.
//!
//! Contract: names every other file of the bundle with its length and SHA-256. Written last. Limits: it says what hopwatch knew when it wrote it;
//! that nobody replaced all of it together is proven only by a head of the chain that was kept elsewhere ([`super::chain`]).

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::payload::PayloadPolicy;
use crate::input::ObservationPoint;
use crate::time::Timestamp;

/// Name and version of the shape.
pub const BUNDLE_SCHEMA: &str = "hopwatch.evidence/1";

/// What is in a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Always `hopwatch.evidence/1`.
    pub schema: String,
    /// Id of the alert.
    pub alert: String,
    /// Its rule.
    pub rule: String,
    /// Its severity.
    pub severity: String,
    /// Its place in the chain.
    pub seq: u64,
    /// SHA-256 of the chain's link before it.
    pub previous: String,
    /// When it was written.
    pub made: Timestamp,
    /// Name of the host.
    pub host: String,
    /// Version of hopwatch.
    pub version: String,
    /// Of what time it speaks.
    pub window: Window,
    /// How much of what applications wrote is in it.
    pub payload: PayloadPolicy,
    /// What was taken from each observation point.
    pub points: Vec<PointCopy>,
    /// What is missing, in words; empty when nothing is known to be.
    pub incomplete: Vec<String>,
    /// Whether a replay of it raises the same alert.
    pub replay: ReplayCheck,
    /// Every other file.
    pub files: Vec<BundleFile>,
}

/// Of what time a bundle speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The first packet in it, or the first fact that is recent.
    pub from: Timestamp,
    /// When the rings were asked the last time.
    pub to: Timestamp,
}

/// What was taken from an observation point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointCopy {
    /// Which.
    pub point: ObservationPoint,
    /// Packets in the bundle.
    pub packets: u64,
    /// Since when its ring held every packet; absent where it saw none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ring_from: Option<Timestamp>,
}

/// Whether a replay raises the same alert; tried when the bundle was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayCheck {
    /// It was tried, and the alert came with the same id.
    pub same_id: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A file of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleFile {
    /// Its name in the folder.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// `sha256:` and 64 hexadecimal digits.
    pub sha256: String,
}

/// As manifests write it.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

/// Sixteen hexadecimal digits: what may become the name of a folder.
pub fn is_alert_id(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// What a manifest may name: a file of the folder itself.
pub fn is_file_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=64).contains(&text.len()) && !text.starts_with('.') && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_become_parts_of_paths() {
        assert!(is_alert_id("2491e3e63140177f"));
        for id in ["", "2491e3e63140177", "2491E3E63140177F", "../../etc/passwd", "2491e3e6/140177f"] {
            assert!(!is_alert_id(id), "{id:?}");
        }
        assert!(is_file_name("traffic.pcapng"));
        for name in ["", ".", "..", ".hidden", "a/b", "a\\b", "a\0b", "a b", "é"] {
            assert!(!is_file_name(name), "{name:?}");
        }
    }

    #[test]
    fn hashes_are_written_as_everybody_writes_them() {
        assert_eq!(sha256(b""), "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
