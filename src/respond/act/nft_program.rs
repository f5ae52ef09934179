//! The `nft` program: lists what is blocked, and takes a text as a whole.
//!
//! Contract: a set that is not there is empty; an `nft` that fails otherwise is an error. It speaks English, since its words tell the two apart. Limits: `nft` of the
//! folders of `PATH` and of `/usr/sbin`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use crate::respond::{FAMILIES, Pair, SETS, listed};

/// Where programs of the system are, when `PATH` does not say.
const USUAL: [&str; 3] = ["/usr/sbin", "/sbin", "/usr/bin"];

/// The `nft` program.
pub(super) fn nft_program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(USUAL.into_iter().map(PathBuf::from));
    // An empty entry is the folder that one happens to be in.
    let absolute = folders.filter(|folder| folder.is_absolute());
    absolute.map(|folder| folder.join("nft")).find(|program| program.is_file())
}

/// Pairs that are blocked, of every table and set.
pub(super) fn blocked() -> Result<Vec<(&'static str, Pair)>, String> {
    let mut all = Vec::new();
    for family in FAMILIES {
        for set in SETS {
            let output = nft(&["-j", "list", "set", family, "hopwatch", set], "")?;
            if output.status.success() {
                let answer = serde_json::from_slice(&output.stdout)
                    .map_err(|error| format!("reading what nft lists: {error}"))?;
                all.extend(listed(&answer).into_iter().map(|pair| (family, pair)));
            } else if !String::from_utf8_lossy(&output.stderr).contains("No such file or directory") {
                return Err(failure(&output));
            }
        }
    }
    Ok(all)
}

/// Gives `nft` a text; all of it takes effect, or nothing.
pub(super) fn run_nft(text: &str) -> Result<(), String> {
    let output = nft(&["-f", "-"], text)?;
    if output.status.success() { Ok(()) } else { Err(failure(&output)) }
}

fn nft(args: &[&str], text: &str) -> Result<Output, String> {
    let program = nft_program().ok_or("the program nft is not installed here (package nftables)")?;
    let failed = |error: std::io::Error| format!("running {}: {error}", program.display());
    let mut command = Command::new(&program);
    command.args(args).env("LC_ALL", "C").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(text.as_bytes()).map_err(failed)?;
    }
    child.wait_with_output().map_err(failed)
}

fn failure(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    format!("nft says: {}", text.lines().take(3).collect::<Vec<_>>().join(" "))
}
