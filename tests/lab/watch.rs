//! Programs that watch while a scenario happens: hopwatch itself, or plain tcpdump.
//!
//! Contract: a watcher captures when `start` returns, and has written everything when `stop` returns.
//! Design: hopwatch is used through its command line only; each line of its output is stamped when it arrives.

use std::io::{BufRead, BufReader};
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::netns::{HOME, World};
use crate::process;

/// How long a watcher may take to be ready, and to drain and end.
const PATIENCE: Duration = Duration::from_secs(15);

/// A line of output and when it came, in nanoseconds since the Unix epoch.
#[derive(Debug, Clone)]
pub struct Line {
    /// When.
    pub at: i128,
    /// What.
    pub text: String,
}

/// A watching program.
#[derive(Debug)]
pub struct Watcher {
    name: String,
    child: Child,
    lines: Arc<Mutex<Vec<Line>>>,
    stdout: Option<JoinHandle<()>>,
    stderr: process::Drain,
}

/// What a watcher left.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote.
    pub lines: Vec<Line>,
    /// What it logged.
    pub stderr: String,
}

impl Watcher {
    /// Starts hopwatch and waits until it says that it is ready.
    pub fn hopwatch(world: &World, name: &str, hopwatch: &str, args: &[&str], port: u16) -> Result<Self> {
        let listen = format!("127.0.0.1:{port}");
        let mut command = world.command(hopwatch);
        command.args(args).args(["--format", "json", "--listen", &listen]);
        let watcher = Self::spawn(name, &mut command)?;
        watcher.ready(|| {
            let mut curl = world.command("curl");
            curl.args(["-fsS", "-m", "2", "-o", "/dev/null", &format!("http://{listen}/readyz")]);
            Ok(process::run(&mut curl, PATIENCE)?.status.success())
        })
    }

    /// Starts tcpdump on an interface and waits until it captures.
    pub fn tcpdump(world: &World, interface: &str, file: &str) -> Result<Self> {
        let mut command = world.command("sh");
        let script = format!(
            "exec tcpdump --immediate-mode -B 32768 -s 2048 -n -U -i {interface} -w {HOME}/{file} 2>{HOME}/{file}.log"
        );
        command.args(["-c", &script]);
        let log = world.path(format!("{file}.log"));
        Self::spawn(interface, &mut command)?
            .ready(|| Ok(std::fs::read_to_string(&log).unwrap_or_default().contains("listening on")))
    }

    /// What it wrote so far.
    pub fn lines(&self) -> Vec<Line> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks it to end, as Ctrl-C does, and waits until it has drained.
    pub fn stop(mut self) -> Result<Ended> {
        let inner = process::child_of(self.child.id())?.with_context(|| format!("{} has ended already", self.name))?;
        kill(Pid::from_raw(inner), Signal::SIGINT)?;
        let status = process::until(&format!("{} has drained", self.name), PATIENCE, || Ok(self.child.try_wait()?))?;
        Ok(self.collect(status))
    }

    fn spawn(name: &str, command: &mut std::process::Command) -> Result<Self> {
        let mut child = process::spawn(command)?;
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (stdout, sink) = (child.stdout.take(), Arc::clone(&lines));
        let stdout = std::thread::spawn(move || {
            for text in stdout.into_iter().flat_map(|stdout| BufReader::new(stdout).lines()).map_while(Result::ok) {
                sink.lock().unwrap_or_else(PoisonError::into_inner).push(Line { at: wall_clock(), text });
            }
        });
        let stderr = process::drain(child.stderr.take());
        Ok(Self { name: name.to_owned(), child, lines, stdout: Some(stdout), stderr })
    }

    fn ready(mut self, mut look: impl FnMut() -> Result<bool>) -> Result<Self> {
        let what = format!("{} is ready", self.name);
        let outcome = process::until(&what, PATIENCE, || {
            ensure!(self.child.try_wait()?.is_none(), "{} ended before it was ready", self.name);
            Ok(look()?.then_some(()))
        });
        if let Err(error) = outcome {
            process::kill_group(&mut self.child);
            let said = process::text_of(&self.stderr);
            return Err(error).with_context(|| format!("it says: {}", process::tail(&said)));
        }
        Ok(self)
    }

    fn collect(&mut self, status: ExitStatus) -> Ended {
        let _ = self.stdout.take().map(JoinHandle::join);
        let stderr = process::text_of(&self.stderr);
        Ended { status, lines: self.lines(), stderr }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            process::kill_group(&mut self.child);
        }
    }
}

/// Now, on the clock that packets are stamped with.
#[allow(clippy::disallowed_methods, reason = "the lab measures a live program from outside")]
fn wall_clock() -> i128 {
    jiff::Timestamp::now().as_nanosecond()
}
