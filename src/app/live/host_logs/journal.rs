//! The journal, through `journalctl`.
//!
//! Contract: goes on where the last run ended, or begins with what is new. Entries that are gone are a gap: the first entry is not the one at which reading
//! ended (rotated away, or vacuumed), or numbers are missing. Limits: a child that ends is started again after [`AGAIN`]; a host without
//! `journalctl` has no journal. Source: journalctl(1); with `--cursor` the first entry is the one that was read last (systemd#30288 is about
//! `--after-cursor`).

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::heard::{Heard, written};
use crate::app::state_dir::StateDir;
use crate::clock::instant;
use crate::host::log_entries::{JournalLine, MAX_LINE, journal_line};
use crate::input::{HostLog, HostLoggingFact};
use crate::time::Timestamp;

/// The program that reads the journal, and where journald keeps it.
pub(super) const JOURNALCTL: &str = "journalctl";
const FOLDERS: [&str; 2] = ["/run/log/journal", "/var/log/journal"];
/// Between two starts of the child.
const AGAIN: Duration = Duration::from_secs(10);
/// Between two times that the cursor is kept.
const KEEP: Duration = Duration::from_secs(10);
/// Where the cursor is kept in the state directory.
const FILE: &str = "journal-cursor";
/// Bytes of one turn.
const AT_ONCE: usize = 4 << 20;
/// Files of one folder that are looked at for the newest.
const MAX_FILES: usize = 4096;
/// Journals whose numbers are followed.
const JOURNALS: usize = 16;

/// What is followed.
pub(super) struct Journal {
    program: PathBuf,
    more: Vec<String>,
    state_dir: Option<PathBuf>,
    child: Option<(Child, ChildStdout)>,
    due: Instant,
    kept: Instant,
    rest: Vec<u8>,
    /// The line that is being read is too long, and was counted.
    is_too_long: bool,
    cursor: Option<String>,
    /// The cursor at which reading must go on.
    expected: Option<String>,
    numbers: BTreeMap<String, u64>,
    heard: Heard,
    unread: Option<String>,
    unreadable: u64,
}

impl Journal {
    pub(super) fn new(state_dir: Option<&Path>) -> Self {
        Self::of(Path::new(JOURNALCTL), Vec::new(), state_dir)
    }

    fn of(program: &Path, more: Vec<String>, state_dir: Option<&Path>) -> Self {
        let kept = StateDir::open(state_dir).ok().and_then(|state| state.read(FILE).ok().flatten());
        let cursor = kept.and_then(|bytes| String::from_utf8(bytes).ok()).map(|text| text.trim().to_owned());
        Self {
            program: program.to_owned(),
            more,
            state_dir: state_dir.map(Path::to_owned),
            child: None,
            due: instant(),
            kept: instant(),
            rest: Vec::new(),
            is_too_long: false,
            cursor: cursor.filter(|cursor| cursor.starts_with("s=")),
            expected: None,
            numbers: BTreeMap::new(),
            heard: Heard::new(HostLog::Journal, "journal"),
            unread: None,
            unreadable: 0,
        }
    }

    /// What is new.
    pub(super) fn poll(&mut self) -> Vec<HostLoggingFact> {
        let mut facts = Vec::new();
        if self.child.is_none() && instant() >= self.due {
            self.due = instant() + AGAIN;
            if let Err(error) = self.start() {
                facts.extend(self.cannot(format!("{}: {error}", self.program.display())));
            }
        }
        let lines = self.lines(&mut facts);
        for line in lines {
            self.line(&line, &mut facts);
        }
        facts.extend(self.heard.take());
        let unreadable = std::mem::take(&mut self.unreadable);
        if unreadable > 0 {
            facts.push(gap(unreadable, "entries that cannot be read, or are longer than any"));
        }
        if instant() >= self.kept + KEEP {
            self.keep();
        }
        facts
    }

    /// Ends the child and keeps the cursor.
    pub(super) fn end(&mut self) {
        self.stop();
        self.keep();
    }

    fn start(&mut self) -> io::Result<()> {
        if self.program == Path::new(JOURNALCTL) && !FOLDERS.iter().any(|folder| Path::new(folder).is_dir()) {
            return Err(io::Error::new(io::ErrorKind::NotFound, "no journal is kept on this host"));
        }
        let mut command = Command::new(&self.program);
        command.args(["--output=json", "--all", "--follow", "--no-pager", "--quiet"]).args(&self.more);
        match &self.cursor {
            Some(cursor) => command.args(["--lines=all", &format!("--cursor={cursor}")]),
            None => command.arg("--lines=0"),
        };
        self.expected.clone_from(&self.cursor);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let out = child.stdout.take().ok_or_else(|| io::Error::other("it has no output"))?;
        self.child = Some((child, out));
        Ok(())
    }

    /// The whole lines that are there now.
    fn lines(&mut self, facts: &mut Vec<HostLoggingFact>) -> Vec<Vec<u8>> {
        let Some((_, out)) = &mut self.child else { return Vec::new() };
        let mut buffer = vec![0; 64 * 1024];
        let (mut lines, mut total, mut is_over) = (Vec::new(), 0, false);
        while total < AT_ONCE && is_ready(out) {
            let Ok(read @ 1..) = out.read(&mut buffer) else {
                is_over = true;
                break;
            };
            total += read;
            self.rest.extend_from_slice(buffer.get(..read).unwrap_or_default());
            while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.rest.drain(..=end).collect();
                line.pop();
                if !std::mem::take(&mut self.is_too_long) {
                    lines.push(line);
                }
            }
            if self.rest.len() > MAX_LINE {
                self.rest.clear();
                self.unreadable += u64::from(!std::mem::replace(&mut self.is_too_long, true));
            }
        }
        if is_over {
            let code = self.stop();
            self.rest.clear();
            self.is_too_long = false;
            facts.extend(self.cannot(format!("{} ended{code}", self.program.display())));
        }
        lines
    }

    fn line(&mut self, line: &[u8], facts: &mut Vec<HostLoggingFact>) {
        let Some(JournalLine { cursor, number, entry }) = journal_line(line) else {
            self.unreadable += u64::from(!line.is_empty());
            return;
        };
        self.unread = None;
        let is_known = self.expected.take().is_some_and(|expected| {
            if expected != cursor {
                facts.push(gap(
                    0,
                    "the entry at which reading ended is gone: the journal was rotated away, or vacuumed",
                ));
            }
            expected == cursor
        });
        self.cursor = Some(cursor);
        if let Some((journal, number)) = number {
            let last = self.numbers.get(&journal).copied();
            if let Some(missing) = last.and_then(|last| number.checked_sub(last + 1)).filter(|missing| *missing > 0) {
                facts.push(gap(missing, "numbers of entries are missing: they are gone, or not for this user to read"));
            }
            if last.is_some() || self.numbers.len() < JOURNALS {
                self.numbers.insert(journal, number);
            }
        }
        self.heard.entries(u64::from(!is_known));
        facts.extend(entry.filter(|_| !is_known).map(|entry| HostLoggingFact::Entry(entry.into())));
    }

    /// Says once why there is nothing to read.
    fn cannot(&mut self, why: String) -> Option<HostLoggingFact> {
        let is_new = self.unread.as_ref() != Some(&why);
        self.unread = Some(why.clone());
        is_new.then(|| HostLoggingFact::Unwatched { part: "journal".to_owned(), why })
    }

    fn stop(&mut self) -> String {
        let Some((mut child, _)) = self.child.take() else { return String::new() };
        let _ = child.kill();
        let code = child.wait().ok().and_then(|status| status.code());
        code.map(|code| format!(" with {code}")).unwrap_or_default()
    }

    fn keep(&mut self) {
        self.kept = instant();
        let Some(cursor) = &self.cursor else { return };
        let kept = StateDir::open(self.state_dir.as_deref()).and_then(|state| state.write(FILE, cursor.as_bytes()));
        if let Err(error) = kept {
            tracing::debug!("the cursor of the journal is not kept: {error}");
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.stop();
    }
}

/// When journald wrote last: the newest of its files.
pub(super) fn last_written() -> Option<Timestamp> {
    let listed = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten().take(MAX_FILES);
    let machines = FOLDERS.iter().flat_map(|folder| listed(Path::new(folder)));
    machines.flat_map(|machine| listed(&machine.path())).filter_map(|file| written(&file.path())).max()
}

fn is_ready(out: &ChildStdout) -> bool {
    let mut wanted = [PollFd::new(out.as_fd(), PollFlags::POLLIN)];
    poll(&mut wanted, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

fn gap(count: u64, why: &str) -> HostLoggingFact {
    HostLoggingFact::Gap { log: HostLog::Journal, count, truncated: false, why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::input::LogAct;

    /// A `journalctl` that prints a file and stays.
    fn fake(folder: &Path, text: &str) -> PathBuf {
        let (program, entries) = (folder.join("journalctl"), folder.join("entries"));
        std::fs::write(&entries, text).expect("written");
        std::fs::write(
            &program,
            format!("#!/bin/sh\necho \"$@\" > {}/asked\ncat {}\nexec sleep 600\n", folder.display(), entries.display()),
        )
        .expect("written");
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("executable");
        program
    }

    fn entry(number: u64, more: &str) -> String {
        format!("{{\"__CURSOR\":\"s=ab;i={number:x};b=c\",\"__REALTIME_TIMESTAMP\":\"1795000000000000\"{more}}}\n")
    }

    fn facts(journal: &mut Journal, wanted: usize) -> Vec<HostLoggingFact> {
        let mut facts = Vec::new();
        // Each turn is as long as the child needs; the test ends by its own patience where it never comes.
        for _ in 0..600 {
            facts.extend(journal.poll().into_iter().filter(|fact| !matches!(fact, HostLoggingFact::Heard { .. })));
            if facts.len() >= wanted {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        facts
    }

    #[test]
    fn reading_goes_on_at_the_kept_cursor_and_what_is_gone_is_a_gap() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = folder.path().join("state");
        let stop = r#","_TRANSPORT":"driver","MESSAGE_ID":"d93fb3c9c24d451a97cea615ce59c00b""#;
        let first = fake(folder.path(), &[entry(1, ""), entry(2, stop), entry(5, stop)].concat());
        let mut journal = Journal::of(&first, Vec::new(), Some(&state));
        let found = facts(&mut journal, 3);
        let [HostLoggingFact::Entry(one), HostLoggingFact::Gap { count: 2, .. }, HostLoggingFact::Entry(_)] =
            &found[..]
        else {
            panic!("{found:?}");
        };
        assert_eq!(one.act, LogAct::Stopped { daemon: "journald".to_owned() });
        journal.end();
        let again = fake(folder.path(), &[entry(5, stop), entry(6, "")].concat());
        let mut journal = Journal::of(&again, Vec::new(), Some(&state));
        assert_eq!(journal.cursor.as_deref(), Some("s=ab;i=5;b=c"));
        while journal.cursor.as_deref() != Some("s=ab;i=6;b=c") {
            let said = journal.poll();
            let is_new = matches!(said[..], [] | [HostLoggingFact::Heard { entries: 1, .. }]);
            assert!(is_new, "the entry that was read last says nothing again: {said:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
        journal.end();
        let asked = std::fs::read_to_string(folder.path().join("asked")).expect("asked");
        assert!(asked.contains("--cursor=s=ab;i=5;b=c"), "{asked}");
        let vacuumed = fake(folder.path(), &entry(90, ""));
        let found = facts(&mut Journal::of(&vacuumed, Vec::new(), Some(&state)), 1);
        assert!(matches!(&found[..], [HostLoggingFact::Gap { count: 0, .. }]), "{found:?}");
    }

    #[test]
    fn an_entry_that_is_too_long_is_one_gap_and_the_next_one_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let stop = r#","_TRANSPORT":"driver","MESSAGE_ID":"d93fb3c9c24d451a97cea615ce59c00b""#;
        let long = entry(1, &format!(",\"MESSAGE\":\"{}\"", "x".repeat(3 * MAX_LINE)));
        let program = fake(folder.path(), &(long + &entry(2, stop)));
        let found = facts(&mut Journal::of(&program, Vec::new(), Some(&folder.path().join("state"))), 2);
        let gaps: Vec<_> = found
            .iter()
            .filter_map(|fact| if let HostLoggingFact::Gap { count, .. } = fact { Some(*count) } else { None })
            .collect();
        assert_eq!((gaps, found.len()), (vec![1], 2), "{found:?}");
    }

    #[test]
    fn a_host_without_a_journal_is_reported_once() {
        let mut journal =
            Journal::of(Path::new("/nonexistent/journalctl"), Vec::new(), Some(Path::new("/nonexistent")));
        assert!(matches!(&journal.poll()[..], [HostLoggingFact::Unwatched { part, .. }] if part == "journal"));
        assert_eq!(journal.poll(), []);
    }
}
