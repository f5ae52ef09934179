//! A Podman service of its own, in network and mount namespaces of its own; as root, or as a user who exists only there.
//!
//! Contract: nothing outside its folder and its namespaces is touched (`/run`, `/var/lib`, `/dev/shm`, the lists of users and the
//! tun device are its own), but for a cgroup that is removed; all is gone when the value is dropped. Limits: needs root, `podman`,
//! `runc`, `conmon`, the network plugins, `ip`, `nsenter`, `unshare`, `setpriv`, a static busybox; rootless also `slirp4netns`
//! and `newuidmap`. Design: a process holds the namespaces, and every command enters them; it ends with its input.

#![allow(dead_code, reason = "each test file uses its own part of the harness")]
#![allow(clippy::expect_used, clippy::disallowed_methods, reason = "test code: failures panic, patience needs a clock")]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::patience::{self, wait_for};

/// The image that [`Podman::start`] imports.
pub const IMAGE: &str = "busybox-static";
/// The user of a rootless Podman.
pub const USER: u32 = 42_424;
const BUSYBOX: &str = "/bin/busybox";
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// What makes the namespaces a host of their own. `$1` is the folder.
const HOLD: &str = r#"
set -e
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/lib
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mkdir -p /dev/net
for file in passwd group subuid subgid; do
    touch "$1/etc/$file"
    [ -e "/etc/$file" ] && mount --bind "$1/etc/$file" "/etc/$file"
done
[ -e /dev/net/tun ] && mount --bind "$1/tun" /dev/net/tun
echo ready
exec cat
"#;

/// A running service.
pub struct Podman {
    netns: String,
    folder: tempfile::TempDir,
    holder: Child,
    service: Option<Child>,
    rootless: bool,
}

/// Why no service can be started here; `None` when one can.
pub fn unavailable(rootless: bool) -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("not root".to_owned());
    }
    let folders = std::env::var("PATH").unwrap_or_default();
    let found = |tool: &str| folders.split(':').any(|folder| Path::new(folder).join(tool).is_file());
    let always = ["podman", "runc", "conmon", "ip", "nsenter", "unshare", "setpriv", "tar"];
    let user: &[&str] = if rootless { &["slirp4netns", "newuidmap"] } else { &[] };
    if let Some(tool) = always.iter().chain(user).find(|tool| !found(tool)) {
        return Some(format!("{tool} is not installed"));
    }
    if !Path::new(BUSYBOX).is_file() {
        return Some(format!("{BUSYBOX} is missing (package busybox-static)"));
    }
    if rootless && !["/etc/subuid", "/etc/subgid", "/dev/net/tun"].iter().all(|path| Path::new(path).exists()) {
        return Some("/etc/subuid, /etc/subgid or /dev/net/tun is missing".to_owned());
    }
    match Command::new("unshare").args(["--net", "--mount", "true"]).output() {
        Ok(output) if output.status.success() => None,
        _ => Some("no permission to make network and mount namespaces".to_owned()),
    }
}

impl Podman {
    /// Starts root's service, or a user's, and imports [`IMAGE`].
    pub fn start(rootless: bool) -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let netns = format!("hwp-{}-{number}", std::process::id());
        let folder = tempfile::Builder::new()
            .prefix(&netns)
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir()
            .expect("temporary folder");
        prepare(folder.path());
        run(Command::new("ip").args(["netns", "add", &netns]));
        run(Command::new("ip").args(["-n", &netns, "link", "set", "lo", "up"]));
        let mut holder = Command::new("nsenter")
            .arg(format!("--net=/var/run/netns/{netns}"))
            .args(["unshare", "--mount", "--propagation", "private", "sh", "-c", HOLD, "sh"])
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare");
        let mut line = String::new();
        BufReader::new(holder.stdout.take().expect("piped")).read_line(&mut line).expect("ready");
        assert_eq!(line, "ready\n");
        let mut podman = Self { netns, folder, holder, service: None, rootless };
        podman.podman(&["import", &podman.path("image.tar").to_string_lossy(), IMAGE]);
        podman.launch();
        podman
    }

    /// The network namespace's name.
    pub fn netns(&self) -> &str {
        &self.netns
    }

    /// What `CONTAINER_HOST` must be.
    pub fn host(&self) -> String {
        format!("unix://{}", self.path("home/podman.sock").display())
    }

    /// Runs the `podman` command; its output, without the last newline. Panics when it fails.
    pub fn podman(&self, arguments: &[&str]) -> String {
        let output = run(self.command().args(arguments));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Ends the service; its containers run on.
    pub fn stop(&mut self) {
        let Some(mut child) = self.service.take() else { return };
        // `nsenter` and `setpriv` become the service itself.
        patience::end(&mut child, Signal::SIGTERM, Duration::from_secs(5));
    }

    /// Starts it again after [`Self::stop`].
    pub fn launch(&mut self) {
        let log = fs::File::create(self.path("podman.log")).expect("log file");
        let errors = log.try_clone().expect("log file");
        let mut command = self.command();
        command.args(["system", "service", "--time", "0", &self.host()]);
        self.service = Some(command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn().expect("podman"));
        // The service has no readiness signal but its answer.
        wait_for("podman answers", || {
            let answer = std::os::unix::net::UnixStream::connect(self.path("home/podman.sock"));
            answer.map(drop).map_err(|_| fs::read_to_string(self.path("podman.log")).unwrap_or_default())
        });
    }

    /// A cgroup for all containers, so that none is left behind.
    pub fn cgroup(&self) -> String {
        format!("/{}", self.netns)
    }

    fn command(&self) -> Command {
        let mut command = Command::new("nsenter");
        let home = self.path("home");
        command.args(["-t", &self.holder.id().to_string(), "-m", "-n"]).env_clear().current_dir("/");
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", &home);
        command.env("CONTAINERS_CONF", self.path("containers.conf"));
        if self.rootless {
            let user = USER.to_string();
            command.env("XDG_RUNTIME_DIR", self.path("home/run"));
            command.args([
                "setpriv",
                &format!("--reuid={user}"),
                &format!("--regid={user}"),
                "--clear-groups",
                "podman",
            ]);
        } else {
            command.arg("podman").arg("--root").arg(home.join("root")).arg("--runroot").arg(home.join("runroot"));
            command.arg("--tmpdir").arg(home.join("tmp")).arg("--network-config-dir").arg(home.join("networks"));
        }
        command.args(["--cgroup-manager", "cgroupfs", "--events-backend", "file", "--runtime", "runc"]);
        command
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Containers, then what holds a user's namespaces together, then the cgroup.
    fn clear(&self) {
        let _ = self.command().args(["pod", "rm", "-f", "-a", "-t", "0"]).output();
        let _ = self.command().args(["rm", "-f", "-a", "-t", "0"]).output();
        if let Ok(text) = fs::read_to_string(self.path("home/run/libpod/tmp/pause.pid"))
            && let Ok(pid) = text.trim().parse::<i32>()
        {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let cgroups = mounts.lines().filter(|line| line.contains(" cgroup")).filter_map(|line| line.split(' ').nth(1));
        for folder in cgroups {
            let cgroup = PathBuf::from(format!("{folder}{}", self.cgroup()));
            // What watches over a container outlives it by a moment.
            patience::within(Duration::from_secs(3), || {
                remove_cgroups(&cgroup);
                !cgroup.exists()
            });
        }
    }
}

/// The innermost first; a cgroup that is busy or gone stays as it is.
fn remove_cgroups(folder: &Path) {
    for inner in folder.read_dir().into_iter().flatten().flatten() {
        if inner.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_cgroups(&inner.path());
        }
    }
    let _ = fs::remove_dir(folder);
}

impl Drop for Podman {
    fn drop(&mut self) {
        self.clear();
        self.stop();
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
        let _ = Command::new("ip").args(["netns", "del", &self.netns]).output();
    }
}

/// The image, the settings, and the lists of users.
fn prepare(folder: &Path) {
    let bin = folder.join("image/bin");
    fs::create_dir_all(&bin).expect("folder");
    fs::copy(BUSYBOX, bin.join("busybox")).expect("busybox");
    for tool in ["sh", "sleep", "nc", "ping", "true"] {
        symlink("busybox", bin.join(tool)).expect("link");
    }
    run(Command::new("tar").arg("-C").arg(folder.join("image")).arg("-cf").arg(folder.join("image.tar")).arg("."));
    // Podman's own defaults are higher than what an unprivileged machine allows.
    let limits = "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\n";
    fs::write(folder.join("containers.conf"), limits).expect("settings");
    fs::create_dir_all(folder.join("home/run")).expect("folder");
    fs::create_dir(folder.join("etc")).expect("folder");
    let home = folder.join("home");
    let lists = [
        ("passwd", format!("root:x:0:0::/root:/bin/sh\nhopwatch:x:{USER}:{USER}::{}:/bin/sh\n", home.display())),
        ("group", format!("root:x:0:\nhopwatch:x:{USER}:\n")),
        ("subuid", "hopwatch:5000000:65536\n".to_owned()),
        ("subgid", "hopwatch:5000000:65536\n".to_owned()),
    ];
    for (name, text) in lists {
        fs::write(folder.join("etc").join(name), text).expect("list");
    }
    run(Command::new("mknod").arg("-m666").arg(folder.join("tun")).args(["c", "10", "200"]));
    for path in ["home", "home/run"] {
        std::os::unix::fs::chown(folder.join(path), Some(USER), Some(USER)).expect("owner");
    }
    fs::set_permissions(folder.join("home/run"), fs::Permissions::from_mode(0o700)).expect("mode");
}

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}
