//! Standard output, for a person or for a program.
//!
//! Contract: text by default on a terminal, JSON Lines otherwise; colours only on a terminal (`NO_COLOR` is obeyed). A line that was cut
//! by an error (a full disk) is completed by the next attempt, so that a reader never sees a broken one.
//! Limits: a standard output that was closed before the start is `/dev/null`. Design: writes to the descriptor without a buffer, since the
//! buffer of `std::io::Stdout` forgets how much of it was written.

use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::AlertSink;
use crate::alert::Alert;
use crate::alert::render::{self, json, text};
use crate::app::summary::Summary;
use crate::escape;
use crate::incident::Incident;
use crate::layout::columns;

/// How alerts are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A block for a person.
    Text,
    /// One JSON object per line.
    Json,
}

impl Format {
    /// Text on a terminal, JSON Lines otherwise.
    pub fn for_stdout() -> Self {
        if io::stdout().is_terminal() { Self::Text } else { Self::Json }
    }
}

/// Standard output as a sink.
#[derive(Debug)]
pub struct StdoutSink {
    out: File,
    format: Format,
    colours: bool,
    /// What an error left unwritten.
    rest: Vec<u8>,
}

impl StdoutSink {
    /// Writes in this format.
    pub fn new(format: Format) -> io::Result<Self> {
        let stdout = io::stdout();
        let colours = anstream::AutoStream::choice(&stdout) != anstream::ColorChoice::Never;
        Ok(Self::to(stdout.as_fd().try_clone_to_owned()?.into(), format, colours))
    }

    const fn to(out: File, format: Format, colours: bool) -> Self {
        Self { out, format, colours, rest: Vec::new() }
    }

    fn text(&self, text: &str) -> Vec<u8> {
        if self.colours { text.into() } else { anstream::adapter::strip_str(text).to_string().into_bytes() }
    }

    fn render(&self, alert: &Alert) -> io::Result<Vec<u8>> {
        match self.format {
            Format::Json => {
                let mut line = Vec::new();
                json::write(&mut line, alert)?;
                Ok(line)
            }
            Format::Text => {
                let end = if alert.update == 0 { "\n\n" } else { "\n" };
                Ok(self.text(&format!("{}{end}", text::render(alert, columns()).trim_end_matches('\n'))))
            }
        }
    }

    fn write_rest(&mut self) -> io::Result<()> {
        while !self.rest.is_empty() {
            match self.out.write(&self.rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => drop(self.rest.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Another process made the pipe non-blocking.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let _ = poll(&mut [PollFd::new(self.out.as_fd(), PollFlags::POLLOUT)], PollTimeout::NONE);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl AlertSink for StdoutSink {
    fn name(&self) -> &'static str {
        "stdout"
    }

    fn alert(&mut self, alert: &Alert) -> io::Result<()> {
        if self.rest.is_empty() {
            self.rest = self.render(alert)?;
        }
        self.write_rest()
    }

    fn incident(&mut self, incident: &Incident) -> io::Result<()> {
        if self.rest.is_empty() {
            self.rest = match self.format {
                Format::Json => json_line(incident)?,
                Format::Text => self.text(&format!("{}\n", render::incident(incident, columns()))),
            };
        }
        self.write_rest()
    }

    fn finish(&mut self, summary: &Summary) -> io::Result<()> {
        let closing = match self.format {
            Format::Json => json_line(summary)?,
            Format::Text => self.text(&summary.text(columns())),
        };
        self.rest.extend(closing);
        self.write_rest()
    }
}

/// One object with its line break.
fn json_line(value: &impl serde::Serialize) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    escape::json::to_writer(&mut line, value)?;
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::FileExt as _;

    use super::*;
    use crate::app::output::queue::tests::alert;

    #[test]
    fn a_line_that_was_cut_is_completed_by_the_next_attempt() {
        let (reader, writer) = io::pipe().expect("a pipe");
        let mut sink = StdoutSink::to(OwnedFd::from(writer).into(), Format::Json, false);
        let whole = sink.render(&alert(1)).expect("JSON");
        // What an attempt that failed in the middle leaves.
        sink.rest = whole.get(10..).expect("a line is longer").to_vec();
        sink.alert(&alert(1)).expect("the pipe has room");
        sink.alert(&alert(2)).expect("the pipe has room");
        drop(sink);
        let written = io::read_to_string(reader).expect("UTF-8");
        assert_eq!(written.lines().count(), 2, "{written}");
        assert_eq!(written.lines().next().map(str::as_bytes), whole.get(10..whole.len() - 1));
    }

    #[test]
    fn a_full_disk_is_an_error_that_keeps_the_rest() {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
        let mut sink = StdoutSink::to(full, Format::Json, false);
        let error = sink.alert(&alert(1)).expect_err("no space");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        let file = tempfile::tempfile().expect("a file");
        sink.out = file.try_clone().expect("a descriptor");
        sink.alert(&alert(1)).expect("room again");
        let mut written = vec![0; 1 << 16];
        let length = file.read_at(&mut written, 0).expect("readable");
        assert_eq!(written.get(..length).map(<[u8]>::to_vec), Some(sink.render(&alert(1)).expect("JSON")));
    }

    #[test]
    fn colours_are_written_only_where_they_belong() {
        let file = || tempfile::tempfile().expect("a file");
        let coloured = StdoutSink::to(file(), Format::Text, true).render(&alert(1)).expect("text");
        let plain = StdoutSink::to(file(), Format::Text, false).render(&alert(1)).expect("text");
        assert!(coloured.contains(&0x1b) && !plain.contains(&0x1b));
    }
}
