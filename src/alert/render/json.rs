//! An alert as JSON Lines: one alert per line.
//!
//! Contract: valid JSON of `hopwatch.alert/1` that is safe on a terminal.

use std::io::{self, Write};

use crate::alert::Alert;
use crate::escape::json::to_writer;

/// Writes one line and flushes, so that a reader of the pipe sees it at once.
pub fn write(out: &mut impl Write, alert: &Alert) -> io::Result<()> {
    to_writer(&mut *out, alert)?;
    out.write_all(b"\n")?;
    out.flush()
}
