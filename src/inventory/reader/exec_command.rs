//! The command of a process that a runtime has just started, where the runtime names the process alone.
//!
//! Contract: what is shown of it is decided by the vocabulary; a process that is gone, or hidden, has no program. Limits: [`MAX_BYTES`] of
//! its command line; a process that changes its own command line at once is believed.

use std::fs::File;
use std::io::Read as _;

use crate::input::ExecutedCommand;
use crate::inventory::command_words::Vocabulary;

/// Of a command line.
const MAX_BYTES: u64 = 64 * 1024;
/// Of reading it, with other threads' turns between.
const TRIES: u32 = 50;

/// Reads it now.
pub fn command_of(pid: u32, vocabulary: &Vocabulary) -> ExecutedCommand {
    let mut bytes = command_line(pid);
    // A process that is just executing its program has none for a moment.
    for _ in 0..TRIES {
        if !bytes.is_empty() {
            break;
        }
        std::thread::yield_now();
        bytes = command_line(pid);
    }
    let text = String::from_utf8_lossy(bytes.strip_suffix(b"\0").unwrap_or(&bytes)).into_owned();
    let (program, words) = vocabulary.shown(text.split('\0'));
    ExecutedCommand { program, words, ..ExecutedCommand::default() }
}

/// Empty for one that is gone, or hidden.
fn command_line(pid: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let file = File::open(format!("/proc/{pid}/cmdline"));
    let _ = file.and_then(|file| file.take(MAX_BYTES).read_to_end(&mut bytes));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_shown_by_its_program_and_known_words() {
        let mut child = std::process::Command::new("sleep").arg("20").spawn().expect("start a program");
        let found = command_of(child.id(), &Vocabulary::default());
        child.kill().and_then(|()| child.wait().map(drop)).expect("end it");
        assert_eq!(found.to_string(), "sleep 20");
        assert_eq!(command_of(u32::MAX, &Vocabulary::default()).to_string(), "(not reported)");
    }
}
