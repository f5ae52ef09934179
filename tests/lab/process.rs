//! Child processes that end when the lab ends.
//!
//! Contract: every wait is bounded, and notices SIGINT and SIGTERM within a tenth of a second; a child that outlives its
//! time is killed. Limits: output is held in memory. Design: signals only set a flag, so that the normal way out (and with
//! it every `Drop`) is the only way out.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// How often a condition is looked at while waiting for it.
const POLL: Duration = Duration::from_millis(10);

/// How long the output of a program that has ended may take to reach its end.
const LEFT_OPEN: Duration = Duration::from_secs(1);

/// Turns SIGINT and SIGTERM into a flag that every wait looks at.
pub fn notice_signals() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (ready, wait) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        runtime.block_on(async {
            use tokio::signal::unix::{SignalKind, signal};
            let (Ok(mut int), Ok(mut term)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) else {
                return;
            };
            let _ = ready.send(());
            loop {
                tokio::select! { _ = int.recv() => {}, _ = term.recv() => {} }
                INTERRUPTED.store(true, Ordering::SeqCst);
            }
        });
    });
    wait.recv().context("cannot listen for signals")
}

/// Whether the lab was told to stop.
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// The time on this machine's clock that only moves forward.
#[allow(clippy::disallowed_methods, reason = "the lab measures a live program from outside")]
pub fn clock() -> Instant {
    Instant::now()
}

/// Waits until `look` finds something; an error when that takes longer than `within` or the lab is interrupted.
pub fn until<T>(what: &str, within: Duration, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let start = clock();
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        ensure!(!interrupted(), "interrupted while waiting until {what}");
        if start.elapsed() >= within {
            bail!("waited {within:?} until {what}, in vain");
        }
        std::thread::sleep(POLL);
    }
}

/// What a finished command left.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
}

/// Runs a command to its end, whatever that is.
pub fn run(command: &mut Command, within: Duration) -> Result<Finished> {
    let words = words_of(command);
    let mut child = spawn(command)?;
    let (stdout, stderr) = (drain(child.stdout.take()), drain(child.stderr.take()));
    let ended = until(&format!("`{words}` ends"), within, || Ok(child.try_wait()?));
    if ended.is_err() {
        kill_group(&mut child);
    }
    let (stdout, stderr) = (text_of(&stdout), text_of(&stderr));
    let status = ended.with_context(|| format!("it had written: {}{}", tail(&stdout), tail(&stderr)))?;
    Ok(Finished { status, stdout, stderr })
}

/// Runs a command that must succeed, and returns what it wrote.
pub fn output(command: &mut Command, within: Duration) -> Result<String> {
    let words = words_of(command);
    let done = run(command, within)?;
    ensure!(done.status.success(), "`{words}` failed ({}): {}{}", done.status, tail(&done.stdout), tail(&done.stderr));
    Ok(done.stdout)
}

/// Starts a command in a process group of its own, so that Ctrl-C at the terminal reaches the lab only.
pub fn spawn(command: &mut Command) -> Result<Child> {
    let words = words_of(command);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    command.spawn().with_context(|| format!("cannot start `{words}`"))
}

/// Kills a child that was started by [`spawn`], with its group, and reaps it.
pub fn kill_group(child: &mut Child) {
    if let Ok(group) = i32::try_from(child.id()) {
        let _ = nix::sys::signal::killpg(nix::unistd::Pid::from_raw(group), nix::sys::signal::Signal::SIGKILL);
    }
    let _ = child.wait();
}

/// The one child of a process, as this namespace numbers it (`nsenter` waits for the program that it started).
pub fn child_of(parent: u32) -> Result<Option<i32>> {
    let path = format!("/proc/{parent}/task/{parent}/children");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    Ok(text.split_whitespace().next().and_then(|pid| pid.parse().ok()))
}

/// A stream that is being read on a thread.
#[derive(Debug)]
pub struct Drain {
    read: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

/// Reads a stream to its end on a thread.
pub fn drain(stream: Option<impl Read + Send + 'static>) -> Drain {
    let read = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&read);
    let reader = std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        let Some(mut stream) = stream else { return };
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            sink.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer[..count]);
        }
    });
    Drain { read, reader }
}

/// What was read from the stream of a program that has ended. A program that it left behind may hold the stream open: that one is
/// not waited for.
pub fn text_of(drain: &Drain) -> String {
    let start = clock();
    while !drain.reader.is_finished() && start.elapsed() < LEFT_OPEN {
        std::thread::sleep(POLL);
    }
    String::from_utf8_lossy(&drain.read.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
}

/// The end of a text, short enough for an error message.
pub fn tail(text: &str) -> &str {
    let text = text.trim_end();
    let mut start = text.len().saturating_sub(2000);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

fn words_of(command: &Command) -> String {
    let words: Vec<_> =
        std::iter::once(command.get_program()).chain(command.get_args()).map(OsStr::to_string_lossy).collect();
    // What comes before `--` only enters the namespaces.
    let from = words.iter().position(|word| word == "--").map_or(0, |at| at + 1);
    words[from..].join(" ")
}
