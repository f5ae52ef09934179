//! Network namespaces of a test, processes in them, and control groups for these; everything ends on Drop.
//!
//! The body of a test runs on a thread inside the first namespace, which stands for the host's.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use hopwatch::input::{NetnsId, WorkloadId};
use nix::sched::{CloneFlags, setns};

use super::patience::{PATIENCE, wait_until, within};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Why this cannot be done here.
pub fn unavailable() -> Option<&'static str> {
    let root = fs::read_to_string("/proc/self/status").is_ok_and(|status| status.contains("\nUid:\t0\t"));
    let tools = ["ip", "nsenter", "busybox"].iter().all(|tool| {
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|folder| folder.join(tool).is_file())
    });
    match (root, tools) {
        (false, _) => Some("needs root, for network namespaces"),
        (_, false) => Some("needs ip, nsenter and busybox (Debian packages iproute2, util-linux, busybox)"),
        _ if group_root().is_none() => Some("needs a control group hierarchy that can be written"),
        _ => None,
    }
}

fn group_root() -> Option<PathBuf> {
    let roots = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"].map(PathBuf::from);
    let probe = format!("hopwatch-test-{}-probe{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    roots.into_iter().find(|root| {
        let made = root.join("cgroup.procs").is_file() && fs::create_dir(root.join(&probe)).is_ok();
        made && fs::remove_dir(root.join(&probe)).is_ok()
    })
}

/// Calls on a thread inside a new namespace; `None`, with a message, where that cannot be had.
pub fn on_a_host<T: Send>(body: impl FnOnce(&mut Host) -> T + Send) -> Option<T> {
    if let Some(reason) = unavailable() {
        println!("skipped: {reason}");
        return None;
    }
    let mut host = Host { namespaces: Vec::new(), children: Vec::new(), groups: Vec::new() };
    let name = host.namespace();
    let there = move || {
        setns(door(&name), CloneFlags::CLONE_NEWNET).expect("enter the namespace");
        sh("ip link set lo up");
        body(&mut host)
    };
    match std::thread::scope(|scope| scope.spawn(there).join()) {
        Ok(value) => Some(value),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// The namespaces, processes and groups of one test.
pub struct Host {
    namespaces: Vec<String>,
    children: Vec<Child>,
    groups: Vec<PathBuf>,
}

/// A process that stands for a container.
#[derive(Clone, Debug)]
pub struct Container {
    pub id: WorkloadId,
    pub pid: u32,
    group: PathBuf,
}

impl Host {
    /// A new namespace; its name for `ip netns`.
    pub fn namespace(&mut self) -> String {
        let name = format!("hwk{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        sh(&format!("ip netns add {name}"));
        self.namespaces.push(name.clone());
        sh(&format!("ip -n {name} link set lo up"));
        name
    }

    /// A container with a group of its own; in the host's namespace where none is named.
    pub fn container(&mut self, namespace: Option<&str>, line: &str) -> Container {
        let name = format!("hopwatch-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let group = group_root().expect("control groups").join(&name);
        fs::create_dir(&group).expect("a control group");
        self.groups.push(group.clone());
        let pid = self.run(namespace, Some(&group), line);
        Container { id: WorkloadId::new(&name), pid, group }
    }

    /// Another process of a container.
    pub fn exec(&mut self, container: &Container, namespace: Option<&str>, line: &str) -> u32 {
        self.run(namespace, Some(&container.group), line)
    }

    /// A process, as it is after its `exec`.
    pub fn run(&mut self, namespace: Option<&str>, group: Option<&Path>, line: &str) -> u32 {
        let mut command = Command::new("sh");
        let join = group.map(|group| format!("echo $$ > {}/cgroup.procs; ", group.display())).unwrap_or_default();
        let enter = namespace.map(|name| format!("nsenter --net=/var/run/netns/{name} ")).unwrap_or_default();
        command.args(["-c", &format!("{join}exec {enter}{line}")]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("start");
        let pid = child.id();
        self.children.push(child);
        let wanted = line.split(' ').next().unwrap_or(line);
        let started = || {
            let words = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            words.split('\0').next() == Some(wanted)
        };
        wait_until("the process has started", started);
        pid
    }

    /// Ends a process.
    pub fn kill(&mut self, pid: u32) {
        let at = self.children.iter().position(|child| child.id() == pid).expect("one of this test's");
        let mut child = self.children.swap_remove(at);
        child.kill().and_then(|()| child.wait().map(drop)).expect("end it");
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        for group in &self.groups {
            // The kernel lets a group go a moment after its last process.
            within(PATIENCE, || fs::remove_dir(group).is_ok() || !group.exists());
        }
        for name in &self.namespaces {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

pub fn netns(name: &str) -> NetnsId {
    let metadata = door(name).metadata().expect("the namespace's inode");
    NetnsId(std::os::unix::fs::MetadataExt::ino(&metadata))
}

fn door(name: &str) -> File {
    File::open(format!("/var/run/netns/{name}")).expect("the namespace")
}

/// In the namespace of the calling thread.
pub fn sh(line: &str) {
    let output = Command::new("sh").args(["-c", line]).output().expect("run a program");
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}
