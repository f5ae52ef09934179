//! What `replay` and `flows` share: folders that stand for their captures, and the progress bar.
//!
//! Contract: captures of a folder come in order of name; a folder without one is refused with what it should hold.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Captures shorter than this show no progress bar.
const LONG_BYTES: u64 = 16 << 20;

/// The captures in a folder.
pub(super) fn captures_in(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut captures = Vec::new();
    for entry in folder.read_dir().with_context(|| format!("reading the folder {}", folder.display()))? {
        captures.push(entry.with_context(|| format!("reading the folder {}", folder.display()))?.path());
    }
    captures.retain(|path| is_capture(path));
    captures.sort();
    if captures.is_empty() {
        bail!(
            "{} holds no capture (*.pcap, *.pcapng, also .gz and .zst); a scenario folder has a traffic.pcapng",
            folder.display()
        );
    }
    Ok(captures)
}

/// By name: `.pcap`, `.pcapng` or `.cap`, also compressed.
fn is_capture(path: &Path) -> bool {
    let extension = |path: &Path| path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    let inner = match extension(path).as_deref() {
        Some("gz" | "zst") => path.with_extension(""),
        _ => path.to_owned(),
    };
    matches!(extension(&inner).as_deref(), Some("pcap" | "pcapng" | "cap"))
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
