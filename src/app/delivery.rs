//! Alerts and the summary on standard output, for a person or for a program.
//!
//! Contract: text by default on a terminal, JSON Lines otherwise; colours only where they belong (`NO_COLOR`, pipes).

use std::io::{self, IsTerminal, Write};

use crate::alert::sinks::{json, text};
use crate::alert::Alert;

use super::summary::Summary;

/// How alerts are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A block for a person.
    Text,
    /// One JSON object a line.
    Json,
}

impl Format {
    /// Text on a terminal, JSON Lines otherwise.
    pub fn for_stdout() -> Self {
        if io::stdout().is_terminal() { Self::Text } else { Self::Json }
    }
}

/// Standard output.
#[derive(Debug, Clone, Copy)]
pub struct Delivery {
    format: Format,
}

impl Delivery {
    /// Writes in this format.
    pub const fn new(format: Format) -> Self {
        Self { format }
    }

    /// Writes an alert.
    pub fn alert(self, alert: &Alert) -> io::Result<()> {
        match self.format {
            Format::Json => json::write(&mut io::stdout().lock(), alert),
            Format::Text => {
                let mut out = anstream::stdout().lock();
                writeln!(out, "{}", text::render(alert).trim_end_matches('\n'))?;
                if alert.update == 0 {
                    writeln!(out)?;
                }
                out.flush()
            }
        }
    }

    /// Writes the closing summary.
    pub fn summary(self, summary: &Summary) -> io::Result<()> {
        let mut out = anstream::stdout().lock();
        match self.format {
            Format::Json => writeln!(out, "{}", serde_json::to_string(summary)?)?,
            Format::Text => write!(out, "{}", summary.text())?,
        }
        out.flush()
    }
}
