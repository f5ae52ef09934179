//! Syslog's files.
//!
//! Contract: each file is followed across rotation from what is new in it. Entries about recording itself are facts; so are lines that cannot be read, and
//! a file that was cut in place, removed, or replaced by what is no file. A cut behind a fresh copy of all that was read is rotation
//! (`copytruncate`) and nothing. A host without any of these files, and a file that may not be read, are facts once. Limits: [`FILES`];
//! [`TURNS`] reads of a file at once.

use std::fs::{self, Metadata};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::SKIPPED;
use super::gone::Gone;
use super::heard::{Heard, written};
use crate::clock::{instant, now};
use crate::host::log_entries::{SyslogLines, Tail, TailEnd, open_plain};
use crate::input::{HostLog, HostLoggingFact};
use crate::time::Timestamp;

/// Where syslogd writes on Debian, Red Hat, SUSE and their kin.
pub(super) const FILES: [&str; 6] = [
    "/var/log/syslog",
    "/var/log/messages",
    "/var/log/auth.log",
    "/var/log/secure",
    "/var/log/kern.log",
    "/var/log/daemon.log",
];
/// Reads of one file in one turn.
const TURNS: usize = 4;
/// Between two reports of lines that cannot be read.
const GATHER: Duration = Duration::from_secs(10);
/// A copy that rotation made is not older.
const FRESH: Duration = Duration::from_mins(1);
/// Lines that are written while the copy is made are in neither.
const SLACK: u64 = 4096;
/// Names in the folder that are looked at for a copy.
const MAX_NAMES: usize = 4096;

/// What is followed.
pub(super) struct Syslog {
    files: Vec<Followed>,
    is_absence_told: bool,
}

impl Syslog {
    pub(super) fn new(paths: &[&Path]) -> Self {
        Self { files: paths.iter().map(|path| Followed::new(path)).collect(), is_absence_told: false }
    }

    pub(super) fn poll(&mut self) -> Vec<HostLoggingFact> {
        let mut facts = Vec::new();
        for file in &mut self.files {
            file.poll(&mut facts);
        }
        let is_absent = self.files.iter().all(|file| !file.tail.has_begun() && file.unread.is_none());
        if is_absent && !std::mem::replace(&mut self.is_absence_told, true) {
            facts.extend(unwatched(self.files.iter().map(|file| file.path.as_path())));
        }
        facts
    }
}

/// When one of these files was written last.
pub(super) fn last_written() -> Option<Timestamp> {
    FILES.iter().filter_map(|path| written(Path::new(path))).max()
}

/// What there is to say of a host that has none of these files.
pub(super) fn unwatched<'p>(mut paths: impl Iterator<Item = &'p Path>) -> Option<HostLoggingFact> {
    let why = "none of its usual files is there: what only a syslogd writes is not seen".to_owned();
    paths.all(|path| !path.exists()).then(|| HostLoggingFact::Unwatched { part: "syslog".to_owned(), why })
}

struct Followed {
    path: PathBuf,
    tail: Tail,
    lines: SyslogLines,
    heard: Heard,
    unread: Option<String>,
    gone: Gone,
    cut: u64,
    due: Instant,
}

impl Followed {
    fn new(path: &Path) -> Self {
        let (path, tail) = (path.to_owned(), Tail::new(path));
        let (heard, lines) = (Heard::new(HostLog::Syslog, &path.display().to_string()), SyslogLines::default());
        Self { path, tail, lines, heard, unread: None, gone: Gone::default(), cut: 0, due: instant() }
    }

    fn poll(&mut self, facts: &mut Vec<HostLoggingFact>) {
        let mut entries = 0;
        for _ in 0..TURNS {
            let at = now();
            let take = |line: &[u8]| {
                entries += 1;
                self.lines.line(line, at);
            };
            match self.tail.read(take) {
                Ok(TailEnd::UpToDate) => {
                    self.unread = None;
                    facts.extend(self.heard.begin(&self.path));
                    break;
                }
                Ok(TailEnd::More | TailEnd::Replaced) => {}
                Ok(TailEnd::Skipped) => facts.push(self.gap(0, false, SKIPPED)),
                Ok(TailEnd::Truncated) if has_copy(&self.path, self.tail.cut_at()) => {}
                Ok(TailEnd::Truncated) => {
                    facts.push(self.gap(0, true, "it is shorter than what was read of it, and rotation left no copy"));
                }
                Err(error) => {
                    facts.extend(self.cannot(&error));
                    break;
                }
            }
        }
        self.heard.entries(entries);
        facts.extend(self.heard.take());
        if self.gone.is_news(&self.tail) {
            facts.push(self.gap(0, true, Gone::WHY));
        }
        facts.extend(self.lines.take().into_iter().map(|entry| HostLoggingFact::Entry(entry.into())));
        self.cut += self.lines.take_cut() + self.tail.take_too_long();
        if self.cut > 0 && instant() >= self.due {
            self.due = instant() + GATHER;
            let cut = std::mem::take(&mut self.cut);
            facts.push(self.gap(cut, false, "lines that are cut, have no time that can be read, or are too long"));
        }
    }

    /// Says once why it cannot be read; a file that was there and is none now is a gap.
    fn cannot(&mut self, error: &std::io::Error) -> Option<HostLoggingFact> {
        use std::io::ErrorKind::{InvalidInput, NotFound};
        if error.kind() == NotFound {
            return None;
        }
        let why = format!("{}: {error}", self.path.display());
        if self.unread.as_ref() == Some(&why) {
            return None;
        }
        self.unread = Some(why.clone());
        if self.tail.has_begun() && error.kind() == InvalidInput {
            return Some(self.gap(0, true, "it was replaced by something that is no file"));
        }
        Some(HostLoggingFact::Unwatched { part: self.path.display().to_string(), why })
    }

    fn gap(&self, count: u64, truncated: bool, why: &str) -> HostLoggingFact {
        let why = format!("{}: {why}", self.path.display());
        HostLoggingFact::Gap { log: HostLog::Syslog, count, truncated, why }
    }
}

/// Whether rotation made a copy of so many bytes just now: `auth.log.1`, `auth.log-20261130`, `auth.log.1.gz`.
fn has_copy(path: &Path, length: u64) -> bool {
    let Some((folder, name)) = path.parent().zip(path.file_name().and_then(|name| name.to_str())) else { return false };
    let mut entries = fs::read_dir(folder).into_iter().flatten().flatten().take(MAX_NAMES);
    let is_copy = |entry: &fs::DirEntry| {
        let of = entry.file_name();
        let rest = of.to_str().and_then(|of| of.strip_prefix(name)).unwrap_or_default();
        rest.starts_with(['.', '-'])
            && entry.metadata().is_ok_and(|of| {
                of.is_file() && is_fresh(&of) && copied(&entry.path(), &of).saturating_add(SLACK) >= length
            })
    };
    entries.any(|entry| is_copy(&entry))
}

fn is_fresh(of: &Metadata) -> bool {
    let changed = Timestamp::from_secs(of.ctime());
    now().since(changed) <= FRESH
}

/// Bytes of a copy; gzip keeps their number at its end.
fn copied(path: &Path, of: &Metadata) -> u64 {
    if path.extension().is_none_or(|extension| extension != "gz") {
        return of.len();
    }
    let length = || {
        let ((mut file, _), mut last) = (open_plain(path).ok()?, [0; 4]);
        file.seek(SeekFrom::End(-4)).ok()?;
        file.read_exact(&mut last).ok()?;
        Some(u64::from(u32::from_le_bytes(last)))
    };
    length().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write as _;

    use super::*;
    use crate::input::LogAct;

    const STOPPED: &str = "Nov 30 02:28:32 host auditd[88]: The audit daemon is exiting.\n";

    struct World {
        folder: tempfile::TempDir,
        path: PathBuf,
        syslog: Syslog,
    }

    impl World {
        fn new(text: &str) -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("auth.log");
            fs::write(&path, text).expect("written");
            let mut syslog = Syslog::new(&[&path, &folder.path().join("secure")]);
            let begun = syslog.poll();
            assert!(
                matches!(begun[..], [HostLoggingFact::Heard { entries: 0, .. }]),
                "what is there already is old: {begun:?}"
            );
            Self { folder, path, syslog }
        }

        /// What is said but that there were entries.
        fn poll(&mut self) -> Vec<HostLoggingFact> {
            let facts = self.syslog.poll().into_iter();
            facts.filter(|fact| !matches!(fact, HostLoggingFact::Heard { .. })).collect()
        }

        fn append(&self, text: &str) {
            let mut file = File::options().append(true).create(true).open(&self.path).expect("opened");
            file.write_all(text.as_bytes()).expect("written");
        }
    }

    fn is_cut(facts: &[HostLoggingFact]) -> bool {
        matches!(facts, [HostLoggingFact::Gap { log: HostLog::Syslog, truncated: true, .. }])
    }

    #[test]
    fn entries_are_read_across_rotation_and_cut_lines_are_counted() {
        let mut world = World::new("old\n");
        world.append(&format!("{STOPPED}no time\n"));
        let found = world.poll();
        let [HostLoggingFact::Entry(entry), HostLoggingFact::Gap { count: 1, truncated: false, .. }] = &found[..]
        else {
            panic!("{found:?}");
        };
        assert_eq!(entry.act, LogAct::Stopped { daemon: "auditd".to_owned() });
        fs::rename(&world.path, world.folder.path().join("auth.log.1")).expect("renamed");
        assert_eq!(world.poll(), []);
        world.append(STOPPED);
        assert!(matches!(&world.poll()[..], [HostLoggingFact::Entry(_)]));
    }

    #[test]
    fn a_file_that_is_cut_is_told_unless_rotation_copied_it() {
        let mut world = World::new(&STOPPED.repeat(200));
        fs::copy(&world.path, world.folder.path().join("auth.log.1")).expect("copied");
        fs::write(&world.path, "").expect("cut");
        assert_eq!(world.poll(), [], "copytruncate");
        fs::remove_file(world.folder.path().join("auth.log.1")).expect("removed");
        world.append(&STOPPED.repeat(200));
        world.poll();
        fs::write(world.folder.path().join("auth.log.1"), STOPPED).expect("written");
        fs::write(&world.path, "").expect("cut");
        assert!(is_cut(&world.poll()), "the copy has not all of it");
        world.append(&STOPPED.repeat(200));
        world.poll();
        let length = u32::try_from(STOPPED.len() * 200).expect("small");
        let gzip = [&[0x1f, 0x8b, 8, 0][..], &length.to_le_bytes()].concat();
        fs::write(world.folder.path().join("auth.log.1.gz"), gzip).expect("written");
        fs::write(&world.path, "").expect("cut");
        assert_eq!(world.poll(), [], "it was packed meanwhile");
    }

    #[test]
    fn a_link_to_nowhere_and_a_pipe_in_its_place_are_told_once_and_stall_nothing() {
        let link = |path: &Path| std::os::unix::fs::symlink("/dev/null", path).expect("linked");
        let pipe = |path: &Path| nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        for put in [&link as &dyn Fn(&Path), &pipe] {
            let mut world = World::new(STOPPED);
            fs::remove_file(&world.path).expect("removed");
            put(&world.path);
            let found: Vec<_> = (0..3).flat_map(|_| world.poll()).collect();
            assert!(is_cut(&found), "{found:?}");
        }
    }

    #[test]
    fn a_file_that_is_removed_is_told_once_and_a_host_without_any_too() {
        let mut world = World::new(STOPPED);
        fs::remove_file(&world.path).expect("removed");
        assert_eq!(world.poll(), [], "rotation gives the name back");
        world.syslog.files[0].gone.grow_old();
        assert!(is_cut(&world.poll()));
        assert_eq!(world.poll(), []);
        let mut none = Syslog::new(&[Path::new("/nonexistent/syslog")]);
        assert!(matches!(&none.poll()[..], [HostLoggingFact::Unwatched { part, .. }] if part == "syslog"));
        assert_eq!(none.poll(), [], "once");
    }
}
