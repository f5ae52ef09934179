//! The configuration's files without the exceptions that have expired, as a patch or as new files.
//!
//! Contract: no existing file is changed. What leaves are the lines of an expired exception; comments elsewhere stay. Limits: an exception that does not
//! stand in lines of its own is named, with its file, and left.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::clock::now;
use crate::config::{self, FileWithExpired};
use crate::escape::printable;
use crate::wording::many;

/// Lines around a change in a patch.
const AROUND: usize = 3;

/// Which configuration, and where it goes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Configuration file [default: /etc/hopwatch/hopwatch.yaml and conf.d beside it]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Write the files without them as new files of the same names into this folder, instead of a patch
    #[arg(long, value_name = "FOLDER")]
    write: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<()> {
    // What is wrong in it is told first.
    config::load(args.config.as_deref())?;
    let files = config::files_with_expired(args.config.as_deref(), now())?;
    if files.is_empty() {
        return super::print("no exception has expired\n");
    }
    if let Some(folder) = &args.write {
        let mut targets: Vec<_> = files.iter().filter_map(|file| file.path.file_name()).collect();
        targets.sort_unstable();
        anyhow::ensure!(
            targets.is_sorted_by(|one, next| one < next),
            "two of the files have one name: without --write there is a patch of both"
        );
        let there = targets.iter().map(|name| folder.join(name)).find(|path| path.exists());
        anyhow::ensure!(
            there.is_none(),
            "{} is there already; nothing was written",
            there.unwrap_or_default().display()
        );
    }
    for file in &files {
        let names = printable(&file.names.join(", "));
        let path = file.path.display();
        match &file.after {
            None => tracing::warn!(
                "{path}: {names} expired, but some of them do not stand in lines of their own: take them out by hand"
            ),
            Some(after) => match &args.write {
                Some(folder) => write(folder, file, after, &names)?,
                None => super::print(&patch(&file.path, &file.before, after))?,
            },
        }
    }
    if args.write.is_none() {
        let expired: usize = files.iter().map(|file| file.names.len()).sum();
        let is_absolute = files.iter().all(|file| file.path.is_absolute());
        let folder = if is_absolute { " -d /" } else { "" };
        tracing::info!(
            "{} expired; `patch -p1{folder}` takes them out by this, `systemctl reload hopwatch` puts that into force",
            many(expired as u64, "exception")
        );
    }
    Ok(())
}

fn write(folder: &Path, file: &FileWithExpired, after: &str, names: &str) -> anyhow::Result<()> {
    let name = file.path.file_name().context("the configuration's file has no name")?;
    let path = folder.join(name);
    // As secret as the file that it replaces: addresses of sinks hold tokens.
    let mode = file.path.metadata().map_or(0o600, |of| of.permissions().mode() & 0o777);
    let new = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path);
    let mut new = new.with_context(|| format!("making {}", path.display()))?;
    new.write_all(after.as_bytes()).with_context(|| format!("writing {}", path.display()))?;
    super::print(&format!("{} is {} without {names}\n", path.display(), file.path.display()))
}

/// What a line becomes.
enum Line<'a> {
    Stays(&'a str),
    Leaves(&'a str),
    Comes(&'a str),
}

/// A unified diff of two texts of which the second has fewer lines, and at most one that is another.
fn patch(path: &Path, before: &str, after: &str) -> String {
    let shown = path.display().to_string();
    let shown = shown.trim_start_matches('/');
    let mut text = format!("--- a/{shown}\n+++ b/{shown}\n");
    let lines = compared(before, after);
    let changes: Vec<usize> = (0..lines.len()).filter(|at| !matches!(lines[*at], Line::Stays(_))).collect();
    let mut rest = changes.as_slice();
    while let Some(first) = rest.first() {
        let together = rest.windows(2).take_while(|pair| pair[1] - pair[0] <= 2 * AROUND).count();
        let last = rest.get(together).copied().unwrap_or(*first);
        let hunk = first.saturating_sub(AROUND)..(last + AROUND + 1).min(lines.len());
        push_hunk(&mut text, &lines, hunk);
        rest = rest.get(together + 1..).unwrap_or_default();
    }
    text
}

/// Lines leave, and the key of a list that is empty now is another line.
fn compared<'a>(before: &'a str, after: &'a str) -> Vec<Line<'a>> {
    let mut new = after.split_inclusive('\n').peekable();
    let old: Vec<&str> = before.split_inclusive('\n').collect();
    let mut lines = Vec::new();
    for (at, line) in old.iter().enumerate() {
        if new.next_if(|next| next == line).is_some() {
            lines.push(Line::Stays(line));
            continue;
        }
        lines.push(Line::Leaves(line));
        // A line that no later one of the old text equals came in this one's place.
        if let Some(other) = new.next_if(|next| !old[at..].contains(next)) {
            lines.push(Line::Comes(other));
        }
    }
    lines
}

fn push_hunk(text: &mut String, lines: &[Line<'_>], hunk: std::ops::Range<usize>) {
    let count = |lines: &[Line<'_>], is_old: bool| {
        let counts = |line: &&Line<'_>| {
            matches!((line, is_old), (Line::Stays(_), _) | (Line::Leaves(_), true) | (Line::Comes(_), false))
        };
        lines.iter().filter(counts).count()
    };
    let above = lines.get(..hunk.start).unwrap_or_default();
    let within = lines.get(hunk).unwrap_or_default();
    let range = |is_old| {
        let (before, length) = (count(above, is_old), count(within, is_old));
        format!("{},{length}", before + usize::from(length > 0))
    };
    let _ = writeln!(text, "@@ -{} +{} @@", range(true), range(false));
    for line in within {
        let (sign, line) = match line {
            Line::Stays(line) => (' ', line),
            Line::Leaves(line) => ('-', line),
            Line::Comes(line) => ('+', line),
        };
        let _ = write!(text, "{sign}{line}");
        if !line.ends_with('\n') {
            text.push_str("\n\\ No newline at end of file\n");
        }
    }
}
