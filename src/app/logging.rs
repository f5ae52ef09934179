//! The program's log on standard error.
//!
//! Contract: text or JSON, one event per line; colours only on a terminal (`NO_COLOR` is obeyed); `HOPWATCH_LOG` filters it. No thread waits
//! for standard error: a reader that stops reading costs lines, whose number is logged when it reads again. Limits: [`CAPACITY`] lines
//! wait; the end of the program waits [`PATIENCE`] for them.

use std::collections::VecDeque;
use std::io::{self, IsTerminal as _, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry, fmt};

use crate::clock::instant;
use crate::sync;
use crate::wording::many;

/// Lines that may wait for standard error.
const CAPACITY: usize = 4096;
/// How long the end waits for them.
pub(super) const PATIENCE: Duration = Duration::from_millis(500);
/// Lines of the log that are kept while the terminal is taken.
const KEPT: usize = 100;
/// The variable that filters the log.
const FILTER: &str = "HOPWATCH_LOG";

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// A line for a person.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// The way to the thread that writes, once it runs.
static WRITER: OnceLock<Sender<Message>> = OnceLock::new();

enum Message {
    Line(Vec<u8>),
    /// Answered when everything before it is written.
    Flush(Sender<()>),
    /// To be called by the thread that writes.
    #[cfg(feature = "live")]
    Call(Box<dyn FnOnce() + Send>),
}

/// The program's log.
#[derive(Debug)]
pub struct Log(Option<QueueWriter>);

impl Log {
    /// Starts it, once in a program: into a buffer while the terminal is taken, else to standard error.
    pub fn start(format: LogFormat, buffered: Option<&BufferedLog>) -> io::Result<Self> {
        let (log, layer) = if let Some(buffered) = buffered.cloned() {
            (Self(None), layer(format, false, BoxMakeWriter::new(move || buffered.clone())))
        } else {
            let writer = QueueWriter::start(Box::new(io::stderr()))?;
            drop(WRITER.set(writer.messages.clone()));
            let log = Self(Some(writer.clone()));
            (log, layer(format, has_colours(), BoxMakeWriter::new(move || writer.clone())))
        };
        tracing_subscriber::registry().with(layer).with(filter(std::env::var(FILTER).ok().as_deref())).init();
        Ok(log)
    }

    /// Waits a little until every line is written.
    pub fn flush(&self) {
        if let Some(writer) = &self.0 {
            writer.flush_within(PATIENCE);
        }
    }
}

/// Calls in the thread that writes the log; not at all where there is none.
#[cfg(feature = "live")]
pub(super) fn in_its_thread(function: Box<dyn FnOnce() + Send>) {
    if let Some(writer) = WRITER.get() {
        // A thread that is gone needs nothing.
        let _ = writer.send(Message::Call(function));
    }
}

/// `debug`, `off`, or levels of modules: `hopwatch=debug,rustls=warn`. What cannot be read is as if it were not there.
fn filter(asked: Option<&str>) -> Targets {
    let usual = || Targets::new().with_target("hopwatch", LevelFilter::INFO);
    asked.filter(|levels| !levels.is_empty()).and_then(|levels| levels.parse().ok()).unwrap_or_else(usual)
}

fn has_colours() -> bool {
    io::stderr().is_terminal() && anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never
}

fn layer(format: LogFormat, colours: bool, writer: BoxMakeWriter) -> Box<dyn Layer<Registry> + Send + Sync> {
    let lines = fmt::layer().with_target(false).with_ansi(colours).with_writer(writer);
    match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed(),
    }
}

/// The log while the terminal is taken: its last lines, written when the terminal is free again.
#[derive(Clone, Debug, Default)]
pub struct BufferedLog(Arc<Mutex<VecDeque<String>>>);

impl BufferedLog {
    /// Prints and forgets them.
    pub fn print(&self) {
        for line in sync::lock(&self.0).drain(..) {
            anstream::eprintln!("{}", crate::escape::printable(&line));
        }
    }
}

impl Write for BufferedLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut lines = sync::lock(&self.0);
        lines.extend(String::from_utf8_lossy(bytes).lines().map(str::to_owned));
        let over = lines.len().saturating_sub(KEPT);
        lines.drain(..over);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Hands each line to a thread, and never waits.
#[derive(Clone, Debug)]
struct QueueWriter {
    messages: Sender<Message>,
    dropped: Arc<AtomicU64>,
}

impl QueueWriter {
    fn start(mut out: Box<dyn Write + Send>) -> io::Result<Self> {
        let (messages, received) = crossbeam_channel::bounded(CAPACITY);
        let dropped = Arc::<AtomicU64>::default();
        let counted = Arc::clone(&dropped);
        thread::Builder::new().name("log".to_owned()).spawn(move || write_all(&received, &counted, &mut out))?;
        Ok(Self { messages, dropped })
    }

    fn flush_within(&self, patience: Duration) {
        let (done, wait) = crossbeam_channel::bounded(1);
        let deadline = instant() + patience;
        if self.messages.send_deadline(Message::Flush(done), deadline).is_ok() {
            let _ = wait.recv_deadline(deadline);
        }
    }
}

impl Write for QueueWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.messages.try_send(Message::Line(line.to_vec())).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What cannot be written has no other place to go.
fn write_all(messages: &Receiver<Message>, dropped: &AtomicU64, out: &mut dyn Write) {
    for message in messages {
        match message {
            Message::Line(line) => drop(out.write_all(&line)),
            #[cfg(feature = "live")]
            Message::Call(function) => function(),
            Message::Flush(done) => drop(out.flush().and_then(|()| done.send(()).map_err(io::Error::other))),
        }
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let _ = writeln!(out, "hopwatch: dropped {} of the log, because nobody read it", many(lost, "line"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn nobody_waits_for_a_log_that_nobody_reads_and_what_it_cost_is_said() {
        let (mut reader, writer) = io::pipe().expect("a pipe");
        let mut log = QueueWriter::start(Box::new(writer)).expect("a thread");
        // More than the pipe and the queue hold.
        for _ in 0..CAPACITY + 2000 {
            log.write_all(&[b'x'; 100]).expect("never fails");
        }
        log.flush_within(Duration::from_millis(50));
        let reading = thread::spawn(move || {
            let mut text = String::new();
            reader.read_to_string(&mut text).map(|_| text)
        });
        log.flush_within(Duration::from_secs(20));
        drop(log);
        let text = reading.join().expect("no panic").expect("UTF-8");
        assert!(text.contains("hopwatch: dropped ") && text.contains(" of the log"));
    }

    #[test]
    fn the_variable_says_what_is_logged_and_a_mistake_in_it_changes_nothing() {
        use tracing::Level;
        let logged = |asked, target, level| filter(asked).would_enable(target, &level);
        for usual in [None, Some(""), Some("hopwatch=loud"), Some("hopwatch=[")] {
            assert!(logged(usual, "hopwatch::app", Level::INFO), "{usual:?}");
            assert!(!logged(usual, "hopwatch::app", Level::DEBUG), "{usual:?}");
            assert!(!logged(usual, "rustls", Level::ERROR), "{usual:?}");
        }
        assert!(logged(Some("hopwatch=debug,rustls=warn"), "hopwatch::app", Level::DEBUG));
        assert!(logged(Some("hopwatch=debug,rustls=warn"), "rustls::client", Level::WARN));
        assert!(logged(Some("trace"), "hyper", Level::TRACE));
        assert!(!logged(Some("off"), "hopwatch", Level::ERROR));
    }
}
