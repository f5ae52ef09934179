//! A containerd of its own, with its CRI plugin, in a network and a mount namespace of its own.
//!
//! Contract: nothing outside its folder and its namespaces is touched, and all of it is gone when the value is dropped, also after
//! a failed test. Limits: needs root, `containerd`, `ctr`, `runc`, the CNI plugins of Debian, `ip`, `nsenter`, `unshare`, a static busybox.
//! Design: a holder process keeps the mount namespace over a restart of the daemon; `/run` and `/var/lib` in it are the test's own,
//! because shims put their sockets below the one and CNI its results below the other.

#![allow(dead_code, reason = "each test file uses its own part of the harness")]
#![allow(clippy::expect_used, clippy::disallowed_methods, reason = "test code: failures panic, patience needs a clock")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sha2::Digest as _;

use super::patience::{self, PATIENCE, wait_for, wait_until};

/// The image that sleeps, serves, and does what a test asks.
pub const IMAGE: &str = "localhost/busybox:lab";
/// The image of every pod's sandbox.
pub const PAUSE: &str = "localhost/pause:lab";
const BUSYBOX: &str = "/bin/busybox";
const PLUGINS: &str = "/usr/lib/cni";
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A running daemon.
pub struct Containerd {
    name: String,
    folder: tempfile::TempDir,
    holder: Child,
    child: Option<Child>,
}

/// Why no daemon can be started here; `None` when one can.
pub fn unavailable() -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("not root".to_owned());
    }
    let folders = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let found = |tool: &str| folders.split(':').any(|folder| Path::new(folder).join(tool).is_file());
    let tools = ["containerd", "ctr", "runc", "containerd-shim-runc-v2", "ip", "nsenter", "unshare", "tar"];
    if let Some(tool) = tools.into_iter().find(|tool| !found(tool)) {
        return Some(format!("{tool} is not installed"));
    }
    for file in [BUSYBOX.to_owned(), format!("{PLUGINS}/bridge"), format!("{PLUGINS}/host-local")] {
        if !Path::new(&file).is_file() {
            return Some(format!("{file} is missing (packages busybox-static, containernetworking-plugins)"));
        }
    }
    match Command::new("unshare").args(["--net", "--mount", "true"]).output() {
        Ok(output) if output.status.success() => None,
        _ => Some("no permission to make namespaces".to_owned()),
    }
}

impl Containerd {
    /// Starts a daemon and imports the images.
    pub fn start() -> Self {
        let name = format!("hwc-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let folder = tempfile::Builder::new().prefix(&name).tempdir().expect("temporary folder");
        run(Command::new("ip").args(["netns", "add", &name]));
        run(Command::new("ip").args(["-n", &name, "link", "set", "lo", "up"]));
        let holder = hold(&folder.path().join("held"));
        let mut daemon = Self { name, folder, holder, child: None };
        daemon.configure();
        daemon.launch();
        for namespace in ["k8s.io", "moby", &daemon.plain()] {
            daemon.import(namespace, IMAGE, &["/bin/sh"]);
        }
        daemon.import("k8s.io", PAUSE, &["/bin/sleep", "100000"]);
        daemon
    }

    /// The network namespace's name.
    pub fn netns(&self) -> &str {
        &self.name
    }

    /// The containerd namespace for containers without a pod; also the root of the cgroups.
    pub fn plain(&self) -> String {
        self.name.clone()
    }

    /// The socket.
    pub fn address(&self) -> String {
        self.path("containerd.sock").display().to_string()
    }

    /// Runs `ctr` in a containerd namespace; its output, without the last newline. Panics when it fails.
    pub fn ctr(&self, namespace: &str, arguments: &[&str]) -> String {
        let output = run(self.command(namespace).args(arguments));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Starts a container that sleeps, in the namespace [`Self::plain`].
    pub fn sleeper(&self, name: &str, flags: &[&str]) {
        let plain = self.plain();
        self.ctr(&plain, &[&["run", "-d"], flags, &[IMAGE, name, "sleep", "100000"]].concat());
    }

    /// Kills a task and removes it with its container.
    pub fn remove(&self, name: &str) {
        self.ctr(&self.plain(), &["tasks", "rm", "-f", name]);
        self.ctr(&self.plain(), &["containers", "rm", name]);
    }

    /// Ends the daemon; its containers run on.
    pub fn stop(&mut self) {
        self.end(Signal::SIGTERM);
    }

    /// Stops the daemon's process where it is, until [`Self::thaw`].
    pub fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
    }

    pub fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Starts it again after [`Self::stop`].
    pub fn launch(&mut self) {
        let log = fs::File::create(self.path("containerd.log")).expect("log file");
        let errors = log.try_clone().expect("log file");
        let mut command = self.inside("containerd");
        command.arg("--config").arg(self.path("config.toml"));
        let child = command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn().expect("containerd");
        self.child = Some(child);
        wait_for("containerd answers", || {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().expect("child"));
            assert!(ended.is_none(), "containerd ended:\n{}", self.log());
            let answers = self.command("default").arg("version").output().expect("ctr").status.success();
            if answers { Ok(()) } else { Err(self.log()) }
        });
    }

    /// The end of the daemon's log.
    pub fn log(&self) -> String {
        let log = fs::read_to_string(self.path("containerd.log")).unwrap_or_default();
        log.lines().rev().take(20).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    fn configure(&self) {
        let cni = self.path("cni");
        fs::create_dir_all(&cni).expect("folder");
        let ranges = self.path("ranges");
        let network = format!(
            r#"{{"cniVersion":"0.4.0","name":"lab","plugins":[{{"type":"bridge","bridge":"cni0","isGateway":true,"ipMasq":false,
            "ipam":{{"type":"host-local","dataDir":"{}","ranges":[[{{"subnet":"10.77.0.0/24"}}]]}}}}]}}"#,
            ranges.display()
        );
        fs::write(cni.join("10-lab.conflist"), network).expect("network");
        let config = format!(
            r#"version = 2
root = "{root}"
state = "{state}"
[grpc]
  address = "{address}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{PLUGINS}"
    conf_dir = "{cni}"
"#,
            root = self.path("root").display(),
            state = self.path("state").display(),
            address = self.address(),
            cni = cni.display(),
        );
        fs::write(self.path("config.toml"), config).expect("configuration");
    }

    /// A Docker archive with one layer, made here from the static busybox.
    fn import(&self, namespace: &str, image: &str, entry: &[&str]) {
        let folder = self.path("image");
        let bin = folder.join("root/bin");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&bin).expect("folder");
        fs::copy(BUSYBOX, bin.join("busybox")).expect("busybox");
        for tool in ["sh", "sleep", "nc", "true"] {
            symlink("busybox", bin.join(tool)).expect("link");
        }
        let layer = run(Command::new("tar").arg("-C").arg(folder.join("root")).args(["-c", "."])).stdout;
        let digest = sha2::Sha256::digest(&layer).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let config = serde_json::json!({
            "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }, "os": "linux",
            "config": {"Cmd": entry, "Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest}")]},
        });
        let manifest = serde_json::json!([{"Config": "config.json", "RepoTags": [image], "Layers": ["layer.tar"]}]);
        fs::write(folder.join("layer.tar"), layer).expect("layer");
        fs::write(folder.join("config.json"), config.to_string()).expect("config");
        fs::write(folder.join("manifest.json"), manifest.to_string()).expect("manifest");
        let archive = self.path("image.tar");
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(&folder).arg("-cf").arg(&archive).args(["manifest.json", "config.json", "layer.tar"]);
        run(&mut tar);
        self.ctr(namespace, &["images", "import", "--snapshotter", "native", &archive.display().to_string()]);
    }

    /// In the namespaces of this daemon.
    fn inside(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/var/run/netns/{}", self.name));
        command.arg(format!("--mount=/proc/{}/ns/mnt", self.holder.id())).arg("--").arg(program);
        let folders = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
        command.env("PATH", folders).current_dir("/");
        command
    }

    fn command(&self, namespace: &str) -> Command {
        let mut command = self.inside("ctr");
        command.args(["--address", &self.address(), "--namespace", namespace, "--timeout", "20s"]);
        command.env("CONTAINERD_SNAPSHOTTER", "native");
        command
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("runs");
        kill(Pid::from_raw(i32::try_from(child.id()).expect("pid")), signal).expect("signal");
    }

    fn end(&mut self, signal: Signal) {
        let Some(mut child) = self.child.take() else { return };
        let _ = kill(Pid::from_raw(i32::try_from(child.id()).expect("pid")), Signal::SIGCONT);
        patience::end(&mut child, signal, PATIENCE);
    }

    /// Every task that is left, in each of the namespaces that tests use.
    fn end_tasks(&self) {
        for namespace in ["k8s.io", "moby", &self.plain()] {
            let listed = self.command(namespace).args(["tasks", "list", "-q"]).output();
            let listed = listed.map(|output| output.stdout).unwrap_or_default();
            for id in String::from_utf8_lossy(&listed).split_whitespace() {
                let _ = self.command(namespace).args(["tasks", "rm", "-f", id]).output();
            }
        }
    }

    /// Shims with this folder's socket in their command line, and what they still hold; they are ours.
    fn end_shims(&self) {
        let folder = self.folder.path().to_string_lossy().into_owned();
        for pid in pids() {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).into_owned();
            if line.contains("containerd-shim") && line.contains(&folder) {
                for child in pids().into_iter().filter(|child| parent(*child) == Some(pid)) {
                    let _ = kill(Pid::from_raw(child), Signal::SIGKILL);
                }
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
    }

    /// Empty groups of this daemon's containers.
    fn remove_cgroups(&self) {
        let Ok(controllers) = fs::read_dir("/sys/fs/cgroup") else { return };
        let roots = controllers.flatten().map(|entry| entry.path()).chain([PathBuf::from("/sys/fs/cgroup")]);
        for root in roots {
            let group = root.join(&self.name);
            for below in fs::read_dir(&group).into_iter().flatten().flatten() {
                let _ = fs::remove_dir(below.path());
            }
            let _ = fs::remove_dir(group);
            // Only ever made by `ctr`, and gone only when empty; Docker's own is called otherwise.
            let _ = fs::remove_dir(root.join("moby"));
        }
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.thaw();
            self.end_tasks();
        }
        self.end(Signal::SIGTERM);
        self.end_shims();
        let _ = self.holder.kill();
        let _ = self.holder.wait();
        self.remove_cgroups();
        let _ = Command::new("ip").args(["netns", "del", &self.name]).output();
    }
}

/// A process that keeps a mount namespace with folders of its own; ready once the file is there.
fn hold(ready: &Path) -> Child {
    let script = "mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /var/lib && : > \"$1\" && exec sleep 100000";
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"]).arg(ready);
    let mut child = command.stdin(Stdio::null()).spawn().expect("unshare");
    wait_until("there is a mount namespace", || {
        assert_eq!(child.try_wait().expect("child"), None, "no mount namespace");
        ready.exists()
    });
    child
}

fn pids() -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn parent(pid: i32) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}
