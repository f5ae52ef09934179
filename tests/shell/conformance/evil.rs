//! Damaged, malformed and hostile captures, read by the real binary under bounds that the kernel holds.
//!
//! Contract: no panic, no hang, no more memory than allowed; a capture that cannot be read to its end says so and ends well.
//! Limits: the bound on memory is on writable memory of the process, which is more than what is resident: stricter, never
//! laxer. Needs `prlimit` (util-linux) and `timeout` (coreutils), and says so where they are missing.
//! Design: one child process a capture, as many at once as there are cores.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a user would type, before the name of the capture.
const COMMANDS: &[&[&str]] =
    &[&["replay"], &["flows", "--summary"], &["flows", "--layer", "inner", "--format", "jsonl"]];
/// The most writable memory of a process.
const MEMORY: u64 = 200 << 20;
/// The longest that one capture may take.
const SECONDS: &str = "10";
/// Done, and could not be read.
const EXPECTED: [Option<i32>; 2] = [Some(0), Some(4)];

/// Reads every file with every command.
pub fn survive(files: &[PathBuf]) {
    if !["prlimit", "timeout"].iter().all(|tool| Command::new(tool).arg("--version").output().is_ok()) {
        println!("skipped: prlimit and timeout are needed to read evil captures under bounds");
        return;
    }
    let failures = Mutex::new(Vec::new());
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, std::num::NonZero::get) {
            scope.spawn(|| {
                while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let bad = COMMANDS.iter().filter_map(|command| fault(command, file));
                    failures.lock().expect("a lock").extend(bad);
                }
            });
        }
    });
    let failures = failures.into_inner().expect("a lock");
    println!("evil captures read by the binary: {}, badly: {}", files.len(), failures.len());
    assert!(failures.is_empty() && !files.is_empty(), "{}", failures.join("\n"));
}

/// What is wrong with how the binary reads a file, if anything.
fn fault(command: &[&str], file: &Path) -> Option<String> {
    let output = run(command, file, MEMORY);
    let said = String::from_utf8_lossy(&output.stderr);
    let is_good = EXPECTED.contains(&output.status.code()) && !said.contains("panicked at");
    (!is_good).then(|| format!("{} {}: {}: {said}", command.join(" "), file.display(), output.status))
}

fn run(command: &[&str], file: &Path, memory: u64) -> Output {
    Command::new("prlimit")
        .args(["--core=0", &format!("--data={memory}")])
        .args(["timeout", "--signal=KILL", SECONDS, env!("CARGO_BIN_EXE_hopwatch")])
        .args(command)
        .arg(file)
        .output()
        .expect("a child process")
}

/// The bound on memory is really held: with less than a process needs, it is told apart from a good end.
#[test]
fn a_bound_that_is_broken_is_seen() {
    if Command::new("prlimit").arg("--version").output().is_err() {
        println!("skipped: no prlimit");
        return;
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/source-normal/traffic.pcapng");
    assert_eq!(run(&["replay"], &file, MEMORY).status.code(), Some(0));
    assert_ne!(run(&["replay"], &file, 64 << 10).status.code(), Some(0));
}
