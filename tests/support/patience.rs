//! The one home of waiting: for what a process, a thread or the kernel does, up to [`PATIENCE`].
//!
//! Contract: a wait ends as soon as its condition holds, and panics with what was seen instead. Nothing here waits to show that something does
//! not happen: a slow machine would pass it, and a stalled one fail it.

use std::process::Child;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Long enough for a container runtime on a busy machine; a test that passes never waits for the end of it.
pub const PATIENCE: Duration = Duration::from_mins(1);

const POLL: Duration = Duration::from_millis(10);

/// Waits until this holds.
pub fn wait_until(what: &str, mut reached: impl FnMut() -> bool) {
    wait_for(what, || if reached() { Ok(()) } else { Err(String::new()) });
}

/// Waits for a value; an error says what there was instead.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let began = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(instead) => assert!(began.elapsed() < PATIENCE, "waited in vain for: {what}\n{instead}"),
        }
        std::thread::sleep(POLL);
    }
}

/// Whether this comes to hold within the time; for what is cleaned up, where a panic would hide the failure before it.
pub fn within(limit: Duration, mut reached: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    loop {
        if reached() {
            return true;
        }
        if began.elapsed() > limit {
            return false;
        }
        std::thread::sleep(POLL);
    }
}

/// Sends a signal to a child and waits for its end; kills it when it does not obey within the time.
pub fn end(child: &mut Child, signal: Signal, limit: Duration) {
    let _ = kill(Pid::from_raw(i32::try_from(child.id()).expect("a pid")), signal);
    if !within(limit, || child.try_wait().is_ok_and(|ended| ended.is_some())) {
        let _ = child.kill();
        let _ = child.wait();
    }
}
