//! Alerts and the summary on standard output, for a person or for a program.
//!
//! Contract: text by default on a terminal, JSON Lines otherwise; colours only where they belong (`NO_COLOR`, pipes).

use std::io::{self, IsTerminal, Write};

use crate::alert::Alert;
use crate::alert::render::{json, text};

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
    format: Option<Format>,
}

impl Delivery {
    /// Writes in this format.
    pub const fn new(format: Format) -> Self {
        Self { format: Some(format) }
    }

    /// Writes nothing: alerts are shown elsewhere.
    pub const fn none() -> Self {
        Self { format: None }
    }

    /// Writes an alert.
    pub fn alert(self, alert: &Alert) -> io::Result<()> {
        match self.format {
            None => Ok(()),
            Some(Format::Json) => json::write(&mut io::stdout().lock(), alert),
            Some(Format::Text) => {
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
            None => {}
            Some(Format::Json) => writeln!(out, "{}", serde_json::to_string(summary)?)?,
            Some(Format::Text) => write!(out, "{}", summary.text())?,
        }
        out.flush()
    }
}
