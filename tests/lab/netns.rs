//! The lab's own world: one set of namespaces that holds everything and takes everything with it.
//!
//! Contract: a [`World`] is a process that is number 1 of its own PID namespace, with a mount and a network namespace of its
//! own. Whatever the lab starts, mounts or creates (daemon, containers, veths, bridges, firewall rules, named namespaces) is
//! inside. When that process ends, the kernel ends and removes all of it; it ends with the lab, even if the lab is killed.
//! Limits: empty control groups survive; they carry the lab's PID in their name and are swept at the end and by the next run.
//! Design: `/run` is a private tmpfs, so no path outside is written; the lab reads its files through `/proc/PID/root`.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::process;

/// The lab's folder, as it is called inside.
pub const HOME: &str = "/run/hopwatch-lab";

/// How control groups of a run are called: this and the lab's PID.
const CGROUP_PREFIX: &str = "hopwatch-lab-";

/// How long a command that sets something up may take.
const SETUP: Duration = Duration::from_secs(30);

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What the first process does: it makes the place and then only reaps orphans.
const INIT: &str = r"
set -e
mount -t tmpfs -o mode=755,size=2g hopwatch-lab /run
mkdir -p /run/cgroup /run/netns /run/lock /run/hopwatch-lab
mount --rbind /sys/fs/cgroup /run/cgroup
mount -t sysfs sysfs /sys
mount --rbind /run/cgroup /sys/fs/cgroup
ip link set dev lo up
echo 1 > /proc/sys/net/ipv4/ip_forward
echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
: > /run/hopwatch-lab/up
sleep infinity &
wait
";

/// The namespaces of one run.
#[derive(Debug)]
pub struct World {
    holder: Child,
    /// The first process inside, as the outside numbers it.
    first: i32,
}

impl World {
    /// Makes it, after sweeping what a killed run left.
    pub fn create() -> Result<Self> {
        sweep_cgroups();
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", "unshare", "--mount", "--net", "--pid", "--fork", "--kill-child"]);
        command.args(["--mount-proc", "--propagation", "private", "sh", "-c", INIT]);
        plain_environment(&mut command);
        let mut holder = process::spawn(&mut command)?;
        let mut look = || {
            ensure!(holder.try_wait()?.is_none(), "the lab's first process ended at once");
            let Some(first) = process::child_of(holder.id())? else { return Ok(None) };
            Ok(root_of(first).join("run/hopwatch-lab/up").exists().then_some(first))
        };
        match process::until("the lab's namespaces stand", SETUP, &mut look) {
            Ok(first) => Ok(Self { holder, first }),
            Err(error) => {
                process::kill_group(&mut holder);
                let said = process::text_of(&process::drain(holder.stderr.take()));
                Err(error).with_context(|| format!("cannot make namespaces: {}", process::tail(&said)))
            }
        }
    }

    /// A command that runs inside.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.first.to_string(), "--net", "--mount", "--pid", "--"]).arg(program);
        plain_environment(&mut command);
        command.env("DOCKER_HOST", format!("unix://{HOME}/docker.sock")).env("DOCKER_CONFIG", format!("{HOME}/cli"));
        command
    }

    /// Runs a shell script inside, which must succeed.
    pub fn script(&self, script: &str) -> Result<String> {
        process::output(self.command("sh").args(["-e", "-c", script]), SETUP)
    }

    /// A path of the lab's folder as seen from outside.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        root_of(self.first).join(HOME.trim_start_matches('/')).join(name)
    }

    /// Where the daemon puts its containers' control groups.
    pub fn cgroup() -> String {
        format!("/{CGROUP_PREFIX}{}", std::process::id())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // The first process is gone only when all others of its PID namespace are.
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.first), nix::sys::signal::Signal::SIGKILL);
        let _ = self.holder.wait();
        sweep_cgroups();
    }
}

fn root_of(pid: i32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/root"))
}

/// The program under test, for scripts of scenarios.
pub static HOPWATCH: OnceLock<String> = OnceLock::new();

fn plain_environment(command: &mut Command) {
    command
        .env_clear()
        .env("PATH", PATH)
        .env("LANG", "C.UTF-8")
        .env("HOME", HOME)
        .env("STATE_DIRECTORY", format!("{HOME}/state"))
        .env("HOPWATCH__EVIDENCE__RING_MIB", "8")
        .env("HOPWATCH__EVIDENCE__AFTER", "200ms");
    if let Some(hopwatch) = HOPWATCH.get() {
        command.env("HOPWATCH", hopwatch);
    }
}

/// Removes control groups of this run and of runs that no longer exist. A group in use cannot be removed.
fn sweep_cgroups() {
    let controllers = std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|entry| entry.path());
    for hierarchy in std::iter::once(PathBuf::from("/sys/fs/cgroup")).chain(controllers) {
        for entry in std::fs::read_dir(&hierarchy).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Some(owner) = name.to_str().and_then(|name| name.strip_prefix(CGROUP_PREFIX)) else { continue };
            if owner == std::process::id().to_string() || !Path::new("/proc").join(owner).exists() {
                remove_groups(&entry.path());
            }
        }
    }
}

fn remove_groups(group: &Path) {
    for entry in std::fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_groups(&entry.path());
        }
    }
    let _ = std::fs::remove_dir(group);
}
