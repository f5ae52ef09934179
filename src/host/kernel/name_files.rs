//! The host's copies of a container's `resolv.conf` and `hosts`.
//!
//! Contract: read when a file is another one or was written to, by its metadata; a link, a pipe and a device are not read, and nothing waits. Limits:
//! [`MAX_BYTES`] of a file, [`MAX_NAMES`] names, [`MAX_LIST`] words of a list, [`MAX_TEXT`] bytes of a word. Paths are the runtime's word.
//! Source: resolv.conf(5), hosts(5).

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::input::{HostsFile, ResolverFile};

const MAX_BYTES: u64 = 64 * 1024;
const MAX_NAMES: usize = 256;
const MAX_LIST: usize = 16;
/// The longest name of DNS.
const MAX_TEXT: usize = 253;
/// Addresses of one name.
const MAX_ADDRESSES: usize = 8;

/// Which state of a file was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    device: u64,
    inode: u64,
    size: u64,
    written: (i64, i64),
    changed: (i64, i64),
}

/// Reads a text; whether it was cut.
type Parse<T> = fn(&str, bool) -> T;

/// A file, and what it said the last time.
#[derive(Debug)]
pub(super) struct Watched<T> {
    path: Option<PathBuf>,
    mark: Option<Mark>,
    said: Option<T>,
    parse: Parse<T>,
}

impl<T> Watched<T> {
    pub(super) const fn new(parse: Parse<T>) -> Self {
        Self { path: None, mark: None, said: None, parse }
    }

    /// It is at this path.
    pub(super) fn place(&mut self, path: Option<&str>) {
        let path = path.map(PathBuf::from).filter(|path| path.is_absolute());
        if self.path != path {
            *self = Self { path, ..Self::new(self.parse) };
        }
    }

    /// What it says now.
    pub(super) fn read(&mut self) -> Option<&T> {
        let now = self.path.as_deref().and_then(mark);
        if now.is_none() || now != self.mark {
            self.said = self.path.as_deref().and_then(open).map(|(text, is_cut)| (self.parse)(&text, is_cut));
            self.mark = now;
        }
        self.said.as_ref()
    }
}

fn mark(path: &Path) -> Option<Mark> {
    let of = std::fs::symlink_metadata(path).ok().filter(std::fs::Metadata::is_file)?;
    Some(Mark {
        device: of.dev(),
        inode: of.ino(),
        size: of.size(),
        written: (of.mtime(), of.mtime_nsec()),
        changed: (of.ctime(), of.ctime_nsec()),
    })
}

/// Its text, cut to a bound, and whether it was; nothing where it is no plain file.
fn open(path: &Path) -> Option<(String, bool)> {
    let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK | nix::libc::O_CLOEXEC;
    let file: File = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
    let mut bytes = Vec::new();
    let read = file.take(MAX_BYTES + 1).read_to_end(&mut bytes).ok().filter(|_| is_file)?;
    let is_cut = u64::try_from(read).is_ok_and(|read| read > MAX_BYTES);
    Some((String::from_utf8_lossy(&bytes).into_owned(), is_cut))
}

/// Lines without comments, as words.
fn lines(text: &str) -> impl Iterator<Item = std::str::SplitAsciiWhitespace<'_>> {
    text.lines().map(|line| line.split(['#', ';']).next().unwrap_or_default().split_ascii_whitespace())
}

/// What a `resolv.conf` says; of several lines with domains the last counts.
pub(super) fn resolver(text: &str, is_cut: bool) -> ResolverFile {
    let mut all = ResolverFile { is_cut, ..ResolverFile::default() };
    let bounded =
        |words: std::str::SplitAsciiWhitespace<'_>| -> Vec<String> { words.take(MAX_LIST).map(cut).collect() };
    for mut words in lines(text) {
        match words.next() {
            Some("nameserver") if all.servers.len() < MAX_LIST => all.servers.extend(words.next().map(cut)),
            Some("search" | "domain") => all.search = bounded(words),
            Some("options") if all.options.len() < MAX_LIST => all.options.extend(bounded(words)),
            _ => {}
        }
    }
    all.options.truncate(MAX_LIST);
    all
}

/// What a `hosts` says; names in small letters.
pub(super) fn hosts(text: &str, is_cut: bool) -> HostsFile {
    let mut names: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
    let mut omitted = u32::from(is_cut);
    for mut words in lines(text) {
        let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else { continue };
        for name in words.map(|word| cut(word).to_ascii_lowercase()) {
            if names.len() >= MAX_NAMES && !names.contains_key(&name) {
                omitted = omitted.saturating_add(1);
                continue;
            }
            let addresses = names.entry(name).or_default();
            if addresses.len() < MAX_ADDRESSES && !addresses.contains(&address) {
                addresses.push(address);
            }
        }
    }
    HostsFile { names, omitted }
}

fn cut(word: &str) -> String {
    word.chars().take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resolver_file_is_read_without_its_comments() {
        let text = "# made by docker\nnameserver 127.0.0.11 ; own\nnameserver\nnameserver 10.0.0.2\nsearch a\ndomain b.test c.test\n\
                    options ndots:0 edns0\noptions rotate\nx\n";
        let said = resolver(text, false);
        assert_eq!(said.servers, ["127.0.0.11", "10.0.0.2"]);
        assert_eq!((said.search, said.options.len()), (vec!["b.test".to_owned(), "c.test".to_owned()], 3));
    }

    #[test]
    fn fixed_names_are_read_in_the_files_order_and_bounded() {
        let said = hosts(
            "127.0.0.1\tlocalhost\n10.0.0.5 Proxy.Internal proxy # x\n10.0.0.6 proxy\nbad name\n::1 localhost\n",
            false,
        );
        let addresses =
            |name: &str| said.names.get(name).map(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(addresses("proxy"), Some(vec!["10.0.0.5".to_owned(), "10.0.0.6".to_owned()]));
        assert_eq!((addresses("proxy.internal").is_some(), said.names.len(), said.omitted), (true, 3, 0));
        let many: String = (0..1000).map(|number| format!("10.0.0.1 name-{number} {}\n", "x".repeat(1000))).collect();
        let said = hosts(&many, true);
        assert_eq!((said.names.len(), said.omitted), (MAX_NAMES, 746));
        assert!(said.names.keys().all(|name| name.len() <= MAX_TEXT));
    }

    #[test]
    fn a_file_is_read_again_when_it_was_written_to_and_not_when_it_is_a_link() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("hosts");
        let place = path.to_str().expect("a path");
        std::fs::write(&path, "10.0.0.1 a\n").expect("written");
        let mut watched = Watched::new(hosts);
        assert_eq!(watched.read(), None, "its place is not known");
        watched.place(Some(place));
        assert!(watched.read().is_some_and(|said| said.names.contains_key("a")));
        std::fs::write(&path, "10.0.0.1 abc\n").expect("written");
        assert!(watched.read().is_some_and(|said| said.names.contains_key("abc")));
        let long = "#".repeat(70_000) + "\n10.0.0.2 hidden\n";
        std::fs::write(&path, &long).expect("written");
        assert_eq!(watched.read().map(|said| said.omitted), Some(1), "what is behind the bound is not silent");
        assert!(open(&path).is_some_and(|(text, is_cut)| is_cut && resolver(&text, is_cut).is_cut));
        std::fs::remove_file(&path).expect("removed");
        assert_eq!(watched.read(), None);
        std::os::unix::fs::symlink("/etc/hosts", &path).expect("a link");
        assert_eq!(watched.read(), None);
        nix::unistd::mkfifo(&folder.path().join("pipe"), nix::sys::stat::Mode::S_IRUSR).expect("a pipe");
        watched.place(folder.path().join("pipe").to_str());
        assert_eq!(watched.read(), None, "and nothing waits");
    }
}
