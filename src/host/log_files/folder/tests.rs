//! A folder of a test's own, in which files become what attackers and rotation make of them.

use std::fs;
use std::os::unix::fs::symlink;

use super::*;
use crate::host::log_files::{LogPlace, LogWatcher};
use crate::input::{LogFileChange, LogFileFact};

fn at(millis: u64) -> Timestamp {
    Timestamp::from_secs(1000).plus(Duration::from_millis(millis))
}

struct Bench {
    folder: tempfile::TempDir,
    watcher: LogWatcher,
}

impl Bench {
    fn new(source: LogFileSource) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let bench = Self { folder, watcher: LogWatcher::new(at(0)).expect("inotify") };
        bench.write("a.log", 1000);
        let path = if source == LogFileSource::Runtime { bench.path("a.log") } else { bench.folder.path().to_owned() };
        let mut bench = bench;
        let fact = bench.watcher.watch(&WorkloadId::new("app"), &LogPlace { path, source });
        assert!(matches!(fact, LogFileFact::Watched { .. }), "{fact:?}");
        assert_eq!(bench.read(0), []);
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: usize) {
        fs::write(self.path(name), vec![b'x'; bytes]).expect("a file");
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).expect("a new name");
    }

    /// What changed by then, without the folder's path.
    fn read(&mut self, millis: u64) -> Vec<(String, LogChange)> {
        let root = format!("{}/", self.folder.path().display());
        let change = |fact| match fact {
            LogFileFact::Changed(change) => {
                let LogFileChange { path, change, .. } = (*change).clone();
                (path.replace(&root, ""), change)
            }
            other => panic!("{other:?}"),
        };
        self.watcher.read(at(millis)).into_iter().map(change).collect()
    }
}

fn of_a(change: LogChange) -> Vec<(String, LogChange)> {
    vec![("a.log".to_owned(), change)]
}

#[test]
fn a_file_that_is_cut_is_truncated_and_one_that_grows_is_nothing() {
    let mut bench = Bench::new(LogFileSource::Runtime);
    fs::OpenOptions::new().append(true).open(bench.path("a.log")).and_then(|file| file.set_len(2000)).expect("growth");
    assert_eq!(bench.read(100), []);
    fs::OpenOptions::new().write(true).open(bench.path("a.log")).and_then(|file| file.set_len(0)).expect("a cut");
    assert_eq!(bench.read(200), of_a(LogChange::Truncated { from: 2000, to: 0, copy: None }));
    assert_eq!(bench.read(300), []);
}

#[test]
fn a_copy_that_was_made_first_is_named() {
    let mut bench = Bench::new(LogFileSource::Runtime);
    fs::copy(bench.path("a.log"), bench.path("a.log.1")).expect("a copy");
    fs::OpenOptions::new().write(true).open(bench.path("a.log")).and_then(|file| file.set_len(0)).expect("a cut");
    let copy = Some("a.log.1".to_owned());
    assert_eq!(bench.read(100), of_a(LogChange::Truncated { from: 1000, to: 0, copy }));
}

#[test]
fn a_link_in_its_place_is_reported_once_and_so_is_its_end() {
    let mut bench = Bench::new(LogFileSource::Runtime);
    fs::remove_file(bench.path("a.log")).expect("removed");
    symlink("/dev/null", bench.path("a.log")).expect("a link");
    assert_eq!(bench.read(100), of_a(LogChange::Linked { to: "/dev/null".to_owned() }));
    assert_eq!(bench.read(200), []);
    fs::remove_file(bench.path("a.log")).expect("removed");
    bench.write("a.log", 5);
    assert_eq!(bench.read(300), of_a(LogChange::Restored));
}

#[test]
fn rotation_renames_first_and_creates_then() {
    let mut bench = Bench::new(LogFileSource::Runtime);
    bench.rename("a.log", "a.log.1");
    assert_eq!(bench.read(100), [], "the new file may come yet");
    bench.write("a.log", 5);
    assert_eq!(bench.read(200), of_a(LogChange::Rotated { to: "a.log.1".to_owned() }));
}

#[test]
fn a_name_that_stays_empty_is_removed_or_renamed() {
    let mut bench = Bench::new(LogFileSource::Runtime);
    fs::remove_file(bench.path("a.log")).expect("removed");
    assert_eq!(bench.read(100), []);
    assert_eq!(bench.read(2100), of_a(LogChange::Removed { size: 1000, renamed: None }));
    bench.write("a.log", 5);
    assert_eq!(bench.read(2200), of_a(LogChange::Restored));
    bench.rename("a.log", "elsewhere");
    assert_eq!(bench.read(2300), []);
    let renamed = Some("elsewhere".to_owned());
    assert_eq!(bench.read(4400), of_a(LogChange::Removed { size: 5, renamed }));
}

#[test]
fn a_container_that_is_removed_with_its_folder_says_nothing() {
    let mut bench = Bench::new(LogFileSource::Runtime);
    fs::remove_dir_all(bench.folder.path()).expect("removed");
    assert_eq!(bench.read(100), []);
    bench.watcher.unwatch(&WorkloadId::new("app"));
    assert_eq!(bench.read(5000), []);
}

#[test]
fn in_a_folder_every_log_is_followed_and_what_was_rotated_is_not() {
    let mut bench = Bench::new(LogFileSource::Folder);
    bench.write("b.log", 100);
    bench.write("b.log.1", 100);
    assert_eq!(bench.read(100), []);
    fs::remove_file(bench.path("b.log.1")).expect("removed");
    symlink("/dev/stdout", bench.path("out.log")).expect("a link");
    assert_eq!(bench.read(5000), [], "images link logs to standard output");
    bench.write("b.log", 0);
    symlink("/dev/null", bench.path("c.log")).expect("a link");
    let changes = bench.read(5100);
    let expected = [
        ("b.log".to_owned(), LogChange::Truncated { from: 100, to: 0, copy: None }),
        ("c.log".to_owned(), LogChange::Linked { to: "/dev/null".to_owned() }),
    ];
    assert_eq!(changes, expected);
}

#[test]
fn what_cannot_be_watched_says_why() {
    let mut watcher = LogWatcher::new(at(0)).expect("inotify");
    let place = LogPlace { path: "/nonexistent/of/a/container/x-json.log".into(), source: LogFileSource::Runtime };
    let fact = watcher.watch(&WorkloadId::new("app"), &place);
    assert!(
        matches!(&fact, LogFileFact::Unwatched { why, .. } if why.contains("cannot read /nonexistent/of/a/container")),
        "{fact:?}"
    );
}
