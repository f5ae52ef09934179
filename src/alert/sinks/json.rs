//! JSON Lines: one alert a line.

use std::io::{self, Write};

use crate::alert::Alert;

/// Writes one line and flushes, so that a reader of the pipe sees it at once.
pub fn write(out: &mut impl Write, alert: &Alert) -> io::Result<()> {
    serde_json::to_writer(&mut *out, alert)?;
    out.write_all(b"\n")?;
    out.flush()
}
