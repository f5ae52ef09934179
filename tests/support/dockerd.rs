//! A Docker daemon of its own, in a network namespace of its own.
//!
//! Contract: nothing outside its folder, its namespace and its containers is touched, and all of it is gone when the value
//! is dropped, also after a failed test. Limits: needs root, `dockerd`, `docker`, `ip`, `nsenter` and a static busybox.
//! Design: the daemon is a child of this process, so it is ended by its own id.

#![allow(dead_code, reason = "each test file uses its own part of the harness")]
#![allow(clippy::expect_used, clippy::disallowed_methods, reason = "test code: failures panic, patience needs a clock")]

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::patience::{self, PATIENCE, wait_for};

/// The image that [`Dockerd::start`] imports.
pub const IMAGE: &str = "busybox-static";
const BUSYBOX: &str = "/bin/busybox";
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A running daemon.
pub struct Dockerd {
    netns: String,
    folder: tempfile::TempDir,
    child: Option<Child>,
    flags: Vec<String>,
}

/// Why no daemon can be started here; `None` when one can.
pub fn unavailable() -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("not root".to_owned());
    }
    let folders = std::env::var("PATH").unwrap_or_default();
    let found = |tool: &str| folders.split(':').any(|folder| Path::new(folder).join(tool).is_file());
    let missing = ["dockerd", "docker", "ip", "nsenter", "tar"].into_iter().find(|tool| !found(tool));
    if let Some(tool) = missing {
        return Some(format!("{tool} is not installed"));
    }
    if !Path::new(BUSYBOX).is_file() {
        return Some(format!("{BUSYBOX} is missing (package busybox-static)"));
    }
    let made = Command::new("unshare").args(["--net", "true"]).output();
    match made {
        Ok(output) if output.status.success() => None,
        _ => Some("no permission to make a network namespace".to_owned()),
    }
}

impl Dockerd {
    /// Starts a daemon with these flags more, and imports [`IMAGE`].
    pub fn start(flags: &[&str]) -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let netns = format!("hwt-{}-{number}", std::process::id());
        let folder = tempfile::Builder::new().prefix(&netns).tempdir().expect("temporary folder");
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let mut daemon = Self { netns, folder, child: None, flags };
        run(Command::new("ip").args(["netns", "add", &daemon.netns]));
        run(Command::new("ip").args(["-n", &daemon.netns, "link", "set", "lo", "up"]));
        daemon.launch();
        daemon.import_busybox();
        daemon
    }

    /// The network namespace's name, for `ip netns exec` and `nsenter --net=/var/run/netns/NAME`.
    pub fn netns(&self) -> &str {
        &self.netns
    }

    /// What `DOCKER_HOST` must be.
    pub fn host(&self) -> String {
        format!("unix://{}", self.path("docker.sock").display())
    }

    /// Runs the `docker` command; its output, without the last newline. Panics when it fails.
    pub fn docker(&self, arguments: &[&str]) -> String {
        let output = run(self.command().args(arguments));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Ends the daemon in an orderly way, and waits for it.
    pub fn stop(&mut self) {
        self.end(Signal::SIGTERM);
    }

    /// Starts it again after [`Self::stop`].
    pub fn launch(&mut self) {
        let log = fs::File::create(self.path("dockerd.log")).expect("log file");
        let errors = log.try_clone().expect("log file");
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/var/run/netns/{}", self.netns)).arg("dockerd");
        command.arg("--data-root").arg(self.path("data")).arg("--exec-root").arg(self.path("exec"));
        command.arg("--pidfile").arg(self.path("pid")).arg("-H").arg(self.host()).args(&self.flags);
        let child = command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn().expect("dockerd");
        self.child = Some(child);
        // The daemon has no readiness signal but its answer.
        wait_for("dockerd answers", || {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().expect("child"));
            assert!(ended.is_none(), "dockerd ended:\n{}", self.log());
            let answers = self.command().arg("version").output().expect("docker").status.success();
            if answers { Ok(()) } else { Err(self.log()) }
        });
    }

    fn command(&self) -> Command {
        let mut command = Command::new("docker");
        command.arg("-H").arg(self.host()).env_remove("DOCKER_HOST").env_remove("DOCKER_CONTEXT");
        command
    }

    fn import_busybox(&self) {
        let root = self.path("root");
        let bin = root.join("bin");
        fs::create_dir_all(&bin).expect("folder");
        fs::copy(BUSYBOX, bin.join("busybox")).expect("busybox");
        for tool in ["sh", "sleep", "nc", "ping", "wget", "nslookup", "true"] {
            symlink("busybox", bin.join(tool)).expect("link");
        }
        let tar = run(Command::new("tar").arg("-C").arg(&root).args(["-c", "."]));
        let mut import = self.command().args(["import", "-", IMAGE]).stdin(Stdio::piped()).spawn().expect("docker");
        import.stdin.take().expect("stdin").write_all(&tar.stdout).expect("import");
        assert!(import.wait().expect("docker").success(), "the image was not imported");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The end of the daemon's log.
    pub fn log(&self) -> String {
        let log = fs::read_to_string(self.path("dockerd.log")).unwrap_or_default();
        log.lines().rev().take(20).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    fn end(&mut self, signal: Signal) {
        let Some(mut child) = self.child.take() else { return };
        patience::end(&mut child, signal, PATIENCE);
    }

    /// What the daemon started and did not end itself.
    fn end_containerd(&self) {
        let Ok(text) = fs::read_to_string(self.path("exec/containerd/containerd.pid")) else { return };
        let Ok(pid) = text.trim().parse::<i32>() else { return };
        let ours = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let folder = self.folder.path().to_string_lossy().into_owned();
        if String::from_utf8_lossy(&ours).contains(&folder) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }

    fn unmount(&self) {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let folder = self.folder.path().to_string_lossy().into_owned();
        let below = mounts.lines().filter_map(|line| line.split(' ').nth(1)).filter(|path| path.starts_with(&folder));
        for path in below.collect::<Vec<_>>().into_iter().rev() {
            let _ = Command::new("umount").args(["-l", path]).output();
        }
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        if self.child.is_some() {
            let listed = self.command().args(["ps", "-aq"]).output().map(|output| output.stdout).unwrap_or_default();
            let listed = String::from_utf8_lossy(&listed).into_owned();
            let ids: Vec<&str> = listed.split_whitespace().collect();
            if !ids.is_empty() {
                let _ = self.command().args(["rm", "-f"]).args(ids).output();
            }
        }
        self.end(Signal::SIGTERM);
        self.end_containerd();
        self.unmount();
        let _ = Command::new("ip").args(["netns", "del", &self.netns]).output();
    }
}

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}
