//! `scripts/test.sh` never makes a run look green that did not end.

use std::path::Path;
use std::process::Command;

/// What the script prints last and its exit code, where cargo prints this and ends with that when it runs these tests.
fn run(tests: &str, printed: &str, ending: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().expect("a folder");
    // By another process: what this one writes, a child of another test's thread may hold open, and then it cannot be run.
    let fake = format!("#!/bin/sh\ncase \"$*\" in *{tests}*)\ncat <<'END'\n{printed}END\n{ending}\nesac\n");
    let write = "printf %s \"$1\" > cargo && chmod +x cargo";
    let made = Command::new("sh").args(["-c", write, "sh", &fake]).current_dir(&folder).status().expect("sh");
    assert!(made.success());
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap_or_default());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/test.sh");
    let log = folder.path().join("test.log");
    let output = Command::new("bash").arg(script).env("PATH", path).env("TEST_LOG", log).output().expect("bash");
    let text = String::from_utf8_lossy(&output.stdout);
    let last: Vec<&str> = text.lines().rev().take(2).collect();
    (output.status.code(), last.join("\n"))
}

const ONE: &str = "     Running tests/core\ntest result: ok. 3 passed; 0 failed; 0 ignored\n";

#[test]
fn a_run_that_ended_is_counted() {
    for tests in ["--lib", "privileged", "--doc"] {
        let (code, last) = run(tests, ONE, "exit 0");
        assert_eq!(code, Some(0), "{tests}: {last}");
        assert!(last.starts_with("3 passed, 0 failed, 0 left out"), "{tests}: {last}");
    }
}

#[test]
fn a_run_that_was_stopped_midway_is_no_success() {
    for (printed, ending, wanted) in [
        (
            format!("{ONE}     Running tests/shell\n"),
            "exit 101",
            "3 passed, 0 failed, 1 of 2 test binaries did not end",
        ),
        (String::new(), "exit 101", "no test ran"),
        (format!("{ONE}     Running tests/shell\n"), "kill -9 $$", "1 of 2 test binaries did not end"),
    ] {
        for tests in ["--lib", "privileged", "--doc"] {
            let (code, last) = run(tests, &printed, ending);
            assert_ne!(code, Some(0), "{tests}: {last}");
            assert!(last.starts_with("the tests did not pass") && last.contains(wanted), "{tests}: {last}");
        }
    }
}

#[test]
fn what_does_not_compile_is_no_success() {
    let (code, last) = run("--no-run", "error[E0425]: cannot find value\n", "exit 101");
    assert_eq!(code, Some(101), "{last}");
    assert!(last.starts_with("the tests did not pass") && last.contains("no test ran"), "{last}");
}
