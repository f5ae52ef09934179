//! What all commands that read captures share: folders that stand for their captures, and the progress bar.
//!
//! Contract: captures of a folder come in order of name; a folder without one is refused with what it should hold.

mod rotated;

use std::fs::File;
use std::io::{self, IsTerminal, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Captures shorter than this show no progress bar.
const LONG_BYTES: u64 = 16 << 20;

/// What a folder holds.
#[derive(Debug, Default)]
pub(super) struct Folder {
    /// Its captures.
    pub captures: Vec<PathBuf>,
    /// Files and folders that are not read, and are not plainly something else.
    pub left_out: Vec<PathBuf>,
    /// What is missing in sets of numbered captures, for a person.
    pub gaps: Vec<String>,
}

impl Folder {
    /// Logs what is left out.
    pub(super) fn warn(&self) {
        for path in &self.left_out {
            tracing::warn!("{}", not_read(path));
        }
        for gap in &self.gaps {
            tracing::warn!("{gap}");
        }
    }
}

/// For a person.
pub(super) fn not_read(path: &Path) -> String {
    format!("{} was not read: it is neither a capture nor known; name it to read it", path.display())
}

/// The captures in a folder, and what else is there.
pub(super) fn captures_in(path: &Path) -> anyhow::Result<Folder> {
    let reading = || format!("reading the folder {}", path.display());
    let mut entries = Vec::new();
    for entry in path.read_dir().with_context(reading)? {
        entries.push(entry.with_context(reading)?.path());
    }
    entries.sort();
    let mut folder = Folder::default();
    for entry in entries {
        if entry.is_file() && (is_capture(&entry) || starts_like_one(&entry)) {
            folder.captures.push(entry);
        } else if entry.is_dir() || !is_something_else(&entry) || is_compressed(&entry) {
            folder.left_out.push(entry);
        }
    }
    folder.gaps = rotated::gaps(&folder.captures);
    if folder.captures.is_empty() {
        bail!(
            "{} holds no capture (*.pcap, *.pcapng, also .gz and .zst); a scenario folder has a traffic.pcapng",
            path.display()
        );
    }
    Ok(folder)
}

fn extension(path: &Path) -> String {
    path.extension().map(|extension| extension.to_string_lossy().to_lowercase()).unwrap_or_default()
}

/// By name: `.pcap`, `.pcapng` or `.cap`, also compressed, and numbered as `tcpdump -C` does (`trace.pcap1`).
fn is_capture(path: &Path) -> bool {
    let inner = match extension(path).as_str() {
        "gz" | "zst" => path.with_extension(""),
        _ => path.to_owned(),
    };
    let extension = extension(&inner);
    matches!(extension.trim_end_matches(|c: char| c.is_ascii_digit()), "pcap" | "pcapng" | "cap")
}

/// By its first bytes: pcap in either byte order and unit, or pcapng.
fn starts_like_one(path: &Path) -> bool {
    matches!(
        first_bytes(path),
        Some(
            [0xa1, 0xb2, 0xc3, 0xd4]
                | [0xd4, 0xc3, 0xb2, 0xa1]
                | [0xa1, 0xb2, 0x3c, 0x4d]
                | [0x4d, 0x3c, 0xb2, 0xa1]
                | [0x0a, 0x0d, 0x0d, 0x0a]
        )
    )
}

/// By its first bytes: gzip or zstd, whatever its name says.
fn is_compressed(path: &Path) -> bool {
    matches!(first_bytes(path), Some([0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd]))
}

/// Of a file; anything else would block, or never end.
fn first_bytes(path: &Path) -> Option<[u8; 4]> {
    let mut head = [0; 4];
    let mut file = path.is_file().then(|| File::open(path).ok())??;
    file.read_exact(&mut head).ok().map(|()| head)
}

/// By name: what people and programs put beside captures, and what a scenario folder has.
fn is_something_else(path: &Path) -> bool {
    let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    hidden
        || matches!(extension(path).as_str(), "json" | "jsonl" | "yaml" | "yml" | "md" | "txt" | "log" | "html" | "csv")
}

/// A bar on standard error for captures that take a while.
pub(super) fn progress_bar(captures: &[PathBuf]) -> ProgressBar {
    let total: u64 = captures.iter().filter_map(|path| path.metadata().ok()).map(|metadata| metadata.len()).sum();
    if total < LONG_BYTES || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
