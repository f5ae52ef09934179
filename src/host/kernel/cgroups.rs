//! A workload's own control group: which it is, and the processes in it.
//!
//! Contract: a group is a workload's own only when a part of its path is the workload's whole id, with the prefix and suffix that
//! runtimes give it (`docker-ID.scope`, `libpod-ID`); a session's or the root's group is nobody's. Limits: [`MAX_GROUPS`] nested
//! groups, [`MAX_DEPTH`]. Sources: cgroups(7), proc(5) `/proc/PID/cgroup` and `mountinfo`. Design: version 2 first, because only
//! its groups have the ids that sockets name; of version 1 `pids` and `systemd` first, which every runtime uses.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::proc;

/// Groups inside a workload's group that are looked at.
const MAX_GROUPS: usize = 64;
const MAX_DEPTH: usize = 8;
/// A directory without directories inside has two links: its name and its own dot.
const NO_DIRECTORIES: u64 = 2;

/// Where a hierarchy is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mount {
    /// `None` for version 2, else the controllers (`pids`, `name=systemd`).
    controllers: Option<Vec<String>>,
    /// Which part of the hierarchy.
    root: String,
    at: PathBuf,
}

/// The mounted hierarchies.
#[derive(Clone, Debug, Default)]
pub(super) struct Cgroups {
    mounts: Vec<Mount>,
}

/// A workload's own group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OwnGroup {
    directory: PathBuf,
    /// Its id is what sockets name.
    unified: bool,
}

/// What is in a group and the groups inside it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Members {
    /// In order, each once.
    pub(super) pids: Vec<u32>,
    /// Ids of version 2, in no order.
    pub(super) ids: Vec<u64>,
    /// More groups than are looked at.
    pub(super) overflow: bool,
}

impl Cgroups {
    /// As they are mounted where the calling thread is.
    pub(super) fn read() -> Self {
        Self::parse(&proc::read(Path::new("/proc/thread-self/mountinfo")).unwrap_or_default())
    }

    fn parse(mountinfo: &str) -> Self {
        let mut mounts: Vec<Mount> = mountinfo.lines().filter_map(mount).collect();
        mounts.sort_by_key(|mount| match &mount.controllers {
            None => 0,
            Some(controllers) if controllers.iter().any(|name| name == "pids") => 1,
            Some(controllers) if controllers.iter().any(|name| name == "name=systemd") => 2,
            Some(_) => 3,
        });
        Self { mounts }
    }

    /// The group of a workload that a process of it is in, if it has one of its own.
    pub(super) fn own(&self, pid: u32, id: &str) -> Option<OwnGroup> {
        let lines = proc::read(&proc::path(pid, "cgroup")).ok()?;
        self.candidates(&lines, id).find(|group| group.directory.join("cgroup.procs").is_file())
    }

    fn candidates<'a>(&'a self, lines: &'a str, id: &'a str) -> impl Iterator<Item = OwnGroup> + 'a {
        self.mounts.iter().filter_map(move |mount| {
            let path = lines.lines().find_map(|line| mount.path(line))?;
            let own = own_path(path, id)?;
            let below = own.strip_prefix(mount.root.trim_end_matches('/'))?;
            let directory = mount.at.join(below.trim_start_matches('/'));
            Some(OwnGroup { directory, unified: mount.controllers.is_none() })
        })
    }
}

impl Mount {
    /// The path of a line of `/proc/PID/cgroup` if it is of this hierarchy: `8:pids:/docker/ID`, `0::/docker/ID`.
    fn path<'a>(&self, line: &'a str) -> Option<&'a str> {
        let mut fields = line.splitn(3, ':');
        let (_, names, path) = (fields.next()?, fields.next()?, fields.next()?);
        let same = match &self.controllers {
            None => names.is_empty(),
            Some(controllers) => names.split(',').any(|name| controllers.iter().any(|known| known == name)),
        };
        same.then_some(path)
    }
}

/// `39 31 0:36 / /sys/fs/cgroup/pids rw,relatime shared:9 - cgroup cgroup rw,pids`.
fn mount(line: &str) -> Option<Mount> {
    let (before, after) = line.split_once(" - ")?;
    let mut before = before.split(' ').skip(3);
    let (root, at) = (before.next()?, before.next()?);
    let mut after = after.split(' ');
    let (kind, _, options) = (after.next()?, after.next()?, after.next()?);
    let controllers = match kind {
        "cgroup2" => None,
        "cgroup" => Some(options.split(',').filter(|word| *word != "rw" && *word != "ro").map(str::to_owned).collect()),
        _ => return None,
    };
    Some(Mount { controllers, root: root.to_owned(), at: PathBuf::from(at) })
}

/// The path up to the part that is the workload's.
fn own_path<'a>(path: &'a str, id: &str) -> Option<&'a str> {
    if id.is_empty() || path.split('/').any(|part| part == "..") {
        return None;
    }
    let mut end = 0;
    for part in path.split('/') {
        end += part.len();
        let name = part.strip_suffix(".scope").or_else(|| part.strip_suffix(".slice")).unwrap_or(part);
        let before = name.strip_suffix(id);
        if before.is_some_and(|before| before.is_empty() || before.ends_with(['-', ':'])) {
            return path.get(..end);
        }
        end += 1;
    }
    None
}

impl OwnGroup {
    /// Everything in it now; `None` when it is gone.
    pub(super) fn members(&self) -> Option<Members> {
        let mut members = Members::default();
        let mut waiting = vec![(self.directory.clone(), 0)];
        let mut groups = 0;
        while let Some((directory, depth)) = waiting.pop() {
            groups += 1;
            let text = proc::read(&directory.join("cgroup.procs"));
            let (Ok(text), Ok(metadata)) = (text, fs::metadata(&directory)) else {
                if depth == 0 {
                    return None;
                }
                continue;
            };
            members.pids.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()).filter(|pid| *pid != 0));
            members.ids.extend(self.unified.then_some(metadata.ino()));
            if metadata.nlink() > NO_DIRECTORIES {
                let room = MAX_GROUPS.saturating_sub(groups + waiting.len());
                members.overflow |= !nested(&directory, depth + 1, room, &mut waiting);
            }
        }
        members.pids.sort_unstable();
        members.pids.dedup();
        Some(members)
    }
}

/// Notes the directories in a directory; whether there was room.
fn nested(directory: &Path, depth: usize, room: usize, waiting: &mut Vec<(PathBuf, usize)>) -> bool {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut inside = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    if depth > MAX_DEPTH {
        return inside.next().is_none();
    }
    waiting.extend(inside.by_ref().take(room).map(|entry| (entry.path(), depth)));
    inside.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4f66ad9a0b2e4f66ad9a0b2e4f66ad9a0b2e4f66ad9a0b2e4f66ad9a0b2e1234";

    #[test]
    fn every_runtimes_name_of_a_group_is_known() {
        for (before, after) in [
            ("/docker/", ""),
            ("/system.slice/docker-", ".scope"),
            ("/machine.slice/libpod-", ".scope"),
            ("/libpod_parent/libpod-", ""),
            ("/kubepods/burstable/pod8c1/", ""),
            ("/system.slice/containerd.service/kubepods-besteffort-pod1.slice:cri-containerd:", ""),
            ("/kubepods.slice/kubepods-pod1.slice/crio-", ".scope"),
        ] {
            let own = format!("{before}{ID}{after}");
            assert_eq!(own_path(&own, ID), Some(&*own));
            assert_eq!(own_path(&format!("{own}/container/init.scope"), ID), Some(&*own), "what is inside is its own");
        }
    }

    #[test]
    fn a_shared_group_is_nobodys() {
        for path in ["/", "", "/user.slice/user-1000.slice/session-3.scope", "/docker/../4f66ad9a", "/docker"] {
            assert_eq!(own_path(path, ID), None, "{path}");
        }
        assert_eq!(own_path(&format!("/docker/x{ID}"), ID), None, "another id that ends alike");
        assert_eq!(own_path(&format!("/../{ID}"), ID), None, "outside of what is mounted");
        assert_eq!(own_path("/docker/a", ""), None);
    }

    #[test]
    fn version_two_is_asked_first_and_a_mounted_part_is_below_its_root() {
        let cgroups = Cgroups::parse(
            "32 31 0:29 / /cg/cpu rw - cgroup cgroup rw,cpu,cpuacct\n39 31 0:36 /docker /cg/pids rw - cgroup cgroup rw,pids\n\
             41 31 0:38 / /cg/unified rw,relatime shared:3 - cgroup2 cgroup2 rw\n23 1 0:5 / /proc rw - proc proc rw\nx\n",
        );
        let lines = "3:cpu,cpuacct:/docker/abc\n2:pids:/docker/abc/x\n0::/docker/abc\n";
        let found: Vec<_> = cgroups.candidates(lines, "abc").map(|group| (group.directory, group.unified)).collect();
        let expected = [("/cg/unified/docker/abc", true), ("/cg/pids/abc", false), ("/cg/cpu/docker/abc", false)];
        assert_eq!(found, expected.map(|(path, unified)| (PathBuf::from(path), unified)));
    }

    #[test]
    fn members_of_nested_groups_are_found() {
        let folder = tempfile::tempdir().expect("folder");
        let inside = folder.path().join("a/b");
        fs::create_dir_all(&inside).expect("directories");
        fs::write(folder.path().join("cgroup.procs"), "7\n3\n0\n").expect("write");
        fs::write(inside.join("cgroup.procs"), "5\n7\n").expect("write");
        let group = OwnGroup { directory: folder.path().to_owned(), unified: true };
        // "a" has no list: it was removed meanwhile, and what is below it went with it.
        assert_eq!(group.members().map(|members| members.pids), Some(vec![3, 7]));
        fs::write(folder.path().join("a/cgroup.procs"), "").expect("write");
        let members = group.members().expect("there");
        assert_eq!((&members.pids[..], members.ids.len(), members.overflow), (&[3, 5, 7][..], 3, false));
        drop(folder);
        assert_eq!(group.members(), None);
    }
}
