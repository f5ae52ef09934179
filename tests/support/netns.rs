//! A network namespace with a bridge and a peer behind it, the sniffer in it, and a Prometheus beside it.
//!
//! The host's side is 10.9.0.1 on the bridge, the peer's 10.9.0.2 in a namespace of its own. Everything ends on Drop.

use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::patience::wait_for;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Why namespaces cannot be made here.
pub fn unavailable() -> Option<&'static str> {
    let root = std::fs::read_to_string("/proc/self/status").is_ok_and(|status| status.contains("\nUid:\t0\t"));
    let made = root && Command::new("ip").args(["netns", "list"]).output().is_ok_and(|output| output.status.success());
    let tools = ["busybox", "ping", "curl", "setpriv"].iter().all(|tool| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder| folder.join(tool).is_file())
    });
    match (root, made, tools) {
        (false, ..) => Some("needs root, for network namespaces"),
        (_, false, _) => Some("needs the program ip (Debian package iproute2)"),
        (.., false) => Some(
            "needs busybox, ping, curl and setpriv (Debian packages busybox-static, iputils-ping, curl, util-linux)",
        ),
        _ => None,
    }
}

/// Two namespaces, joined by a bridge in the first.
pub struct Namespace {
    name: String,
    peer: String,
    background: std::cell::RefCell<Vec<Child>>,
}

impl Namespace {
    pub fn with_bridge(bridge: &str) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("hws{}-{number}", std::process::id());
        let namespace = Self { peer: format!("{name}p"), name, background: std::cell::RefCell::default() };
        for made in [&namespace.name, &namespace.peer] {
            run(Command::new("ip").args(["netns", "add", made]));
        }
        for line in [
            "ip link set lo up".to_owned(),
            format!("ip link add {bridge} type bridge"),
            format!("ip addr add 10.9.0.1/24 dev {bridge}"),
            format!("ip link set {bridge} up"),
            format!("ip link add veth0 type veth peer name eth0 netns {}", namespace.peer),
            format!("ip link set veth0 master {bridge} up"),
        ] {
            namespace.run(&line);
        }
        for line in ["ip link set lo up", "ip addr add 10.9.0.2/24 dev eth0", "ip link set eth0 up"] {
            namespace.run_peer(line);
        }
        namespace
    }

    pub fn run(&self, line: &str) {
        run(inside(&self.name).args(["sh", "-c", line]));
    }

    pub fn run_peer(&self, line: &str) {
        run(inside(&self.peer).args(["sh", "-c", line]));
    }

    /// Runs until the namespace is dropped.
    pub fn run_peer_background(&self, line: &str) {
        self.background_in(&self.peer, line);
    }

    /// Runs until the namespace is dropped.
    pub fn run_background(&self, line: &str) {
        self.background_in(&self.name, line);
    }

    fn background_in(&self, namespace: &str, line: &str) {
        let mut command = inside(namespace);
        command.args(["sh", "-c", &format!("exec {line}")]).stdin(Stdio::null()).stdout(Stdio::null());
        self.background.borrow_mut().push(command.spawn().expect("start a program"));
    }

    /// Calls on a thread that is in the namespace.
    pub fn inside<T: Send>(&self, body: impl FnOnce() -> T + Send) -> T {
        call_in(&self.name, body)
    }

    /// Calls on a thread that is in the peer's namespace.
    pub fn inside_peer<T: Send>(&self, body: impl FnOnce() -> T + Send) -> T {
        call_in(&self.peer, body)
    }

    /// A Prometheus that scrapes `target` every second.
    pub fn prometheus(&self, target: SocketAddr) -> Served<'_> {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("prometheus.yml");
        let text = format!(
            "scrape_configs:\n- job_name: hopwatch\n  scrape_interval: 1s\n  static_configs: [{{targets: ['{target}']}}]\n"
        );
        std::fs::write(&config, text).expect("write");
        let address = free_address();
        let mut command = inside(&self.name);
        command
            .arg("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Served { namespace: self, child: command.spawn().expect("start prometheus"), address, _folder: folder }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        for child in self.background.get_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
        for made in [&self.name, &self.peer] {
            let _ = Command::new("ip").args(["netns", "del", made]).status();
        }
    }
}

/// What is opened there stays there; the thread ends.
fn call_in<T: Send>(namespace: &str, body: impl FnOnce() -> T + Send) -> T {
    let file = std::fs::File::open(format!("/var/run/netns/{namespace}")).expect("the namespace");
    let there = move || {
        nix::sched::setns(file, nix::sched::CloneFlags::CLONE_NEWNET).expect("enter the namespace");
        body()
    };
    std::thread::scope(|scope| scope.spawn(there).join().expect("no panic"))
}

fn inside(namespace: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/var/run/netns/{namespace}"));
    command
}

fn run(command: &mut Command) {
    let output = command.output().expect("run a program");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Each namespace has a loopback of its own, so a fixed pool is free as long as the numbers differ.
fn free_address() -> SocketAddr {
    let port = 20_000 + u16::try_from(NEXT.fetch_add(1, Ordering::Relaxed) % 10_000).expect("small");
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// A program that serves HTTP in the namespace.
pub struct Served<'a> {
    namespace: &'a Namespace,
    child: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Served<'_> {
    pub fn get(&self, path: &str) -> String {
        get(self.namespace, self.address, path)
    }

    pub fn wait_until(&self, path: &str, what: &str, reached: impl Fn(&str) -> bool) {
        wait_until(|| self.get(path), what, reached);
    }
}

impl Drop for Served<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A running `hopwatch sniff` (or `record`, when an output folder is among the arguments).
pub struct Sniffer {
    namespace: String,
    child: Option<Child>,
    address: SocketAddr,
    /// Holds its configuration and its log.
    folder: tempfile::TempDir,
}

/// The log's name in a sniffer's folder.
const LOG: &str = "log";

impl Sniffer {
    pub fn start(namespace: &Namespace, config: &str, arguments: &[&str]) -> Self {
        Self::start_onto(namespace, config, arguments, Stdio::piped())
    }

    /// With this standard output.
    pub fn start_onto(namespace: &Namespace, config: &str, arguments: &[&str], stdout: Stdio) -> Self {
        let binary = PathBuf::from(env!("CARGO_BIN_EXE_hopwatch"));
        Self::start_with(namespace, config, arguments, &[], binary, stdout)
    }

    /// Started by another program, as one that takes rights away.
    pub fn start_by(namespace: &Namespace, config: &str, before: &[&str]) -> Self {
        let binary = PathBuf::from(env!("CARGO_BIN_EXE_hopwatch"));
        Self::start_with(namespace, config, &[], before, binary, Stdio::piped())
    }

    /// Without any capability. The binary is copied to where everybody may run it.
    pub fn start_as_nobody(namespace: &Namespace, config: &str) -> Self {
        let folder = tempfile::Builder::new()
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .tempdir()
            .expect("a folder");
        let binary = folder.keep().join("hopwatch");
        // By another process: what this one writes, a child of another test's thread may hold open, and then it cannot be run.
        let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_hopwatch")).arg(&binary).status();
        assert!(copied.expect("cp").success());
        Self::start_with(
            namespace,
            config,
            &[],
            &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--"],
            binary,
            Stdio::piped(),
        )
    }

    fn start_with(
        namespace: &Namespace,
        config: &str,
        arguments: &[&str],
        before: &[&str],
        binary: PathBuf,
        stdout: Stdio,
    ) -> Self {
        let folder = tempfile::Builder::new()
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .tempdir()
            .expect("a folder");
        let file = folder.path().join("hopwatch.yaml");
        std::fs::write(&file, config).expect("write");
        // Unless the configuration names it.
        let named = config.split_once("serve: {listen: \"").and_then(|(_, rest)| rest.split_once('"'));
        let address = named.map_or_else(free_address, |(named, _)| named.parse().expect("an address"));
        let listen = ["--listen".to_owned(), address.to_string()];
        let mut command = inside(&namespace.name);
        command
            .args(before)
            .arg(binary)
            .arg(if arguments.contains(&"-o") { "record" } else { "sniff" })
            .arg("-c")
            .arg(file)
            .args(if named.is_some() { &[][..] } else { &listen[..] })
            .args(["--format", "json"])
            // Unless the configuration names them.
            .args(if config.contains("capture: {interfaces: ") { &[][..] } else { &["-i", "br-*"] })
            .args(arguments)
            .env("DOCKER_HOST", "unix:///nowhere/docker.sock")
            .env("STATE_DIRECTORY", folder.path())
            .env("NO_COLOR", "1")
            .stdout(stdout)
            .stderr(std::fs::File::create(folder.path().join(LOG)).expect("a file for the log"));
        let child = command.spawn().expect("start hopwatch");
        Self { namespace: namespace.name.clone(), child: Some(child), address, folder }
    }

    /// It serves there from now on.
    pub const fn serves_at(&mut self, address: SocketAddr) {
        self.address = address;
    }

    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn get(&self, path: &str) -> String {
        get_in(&self.namespace, self.address, path)
    }

    pub fn wait_until(&self, path: &str, what: &str, reached: impl Fn(&str) -> bool) {
        wait_until(|| self.get(path), what, reached);
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.as_ref().expect("runs").id()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join(LOG)).expect("UTF-8")
    }

    pub fn wait_until_logged(&self, text: &str) {
        wait_until(|| self.log(), text, |log| log.contains(text));
    }

    /// Replaces its configuration file.
    pub fn configure(&self, config: &str) {
        std::fs::write(self.folder.path().join("hopwatch.yaml"), config).expect("write");
    }

    /// Puts a pipe without a writer in the place of its configuration file.
    pub fn configuration_becomes_a_pipe(&self) {
        let file = self.folder.path().join("hopwatch.yaml");
        std::fs::remove_file(&file).expect("removed");
        nix::unistd::mkfifo(&file, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    }

    /// The status and the text of the answer to a POST with these headers.
    pub fn post(&self, path: &str, headers: &[&str]) -> (String, String) {
        let mut curl = inside(&self.namespace);
        curl.args(["curl", "-sg", "-m", "20", "-X", "POST", "-w", "\n%{http_code}"]);
        for header in headers {
            curl.args(["-H", header]);
        }
        let output = curl.arg(format!("http://{}{path}", self.address)).output().expect("run curl");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (text, status) = text.rsplit_once('\n').expect("a status");
        (status.to_owned(), text.to_owned())
    }

    /// The HTTP status of a page.
    pub fn status(&self, path: &str) -> String {
        let url = format!("http://{}{path}", self.address);
        let mut curl = inside(&self.namespace);
        curl.args(["curl", "-sg", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}", &url]);
        String::from_utf8_lossy(&curl.output().expect("run curl").stdout).into_owned()
    }

    pub fn signal(&self, signal: &str) {
        let id = self.child.as_ref().expect("runs").id().to_string();
        run(Command::new("kill").args([signal, &id]));
    }

    /// The exit code and the log, once it has ended by itself or by a signal. Nothing reads its standard output meanwhile.
    #[allow(clippy::disallowed_methods, reason = "bounds the wait for another process")]
    pub fn wait(mut self, patience: Duration) -> (Option<i32>, String) {
        let mut child = self.child.take().expect("runs");
        let began = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().expect("a child") {
                break status;
            }
            if began.elapsed() >= patience {
                let _ = child.kill();
                let _ = child.wait();
                panic!("it has not ended within {patience:?}");
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        (status.code(), self.log())
    }

    /// Waits until it ends by itself; its exit code and the log.
    pub fn ended(mut self) -> (Option<i32>, String) {
        let status = self.child.take().expect("runs").wait().expect("ends");
        (status.code(), self.log())
    }

    /// SIGTERM; the JSON lines and the log.
    pub fn end(mut self) -> (Vec<serde_json::Value>, String) {
        let mut child = self.child.take().expect("runs");
        run(Command::new("kill").args(["-TERM", &child.id().to_string()]));
        let mut out = String::new();
        child.stdout.take().expect("piped").read_to_string(&mut out).expect("UTF-8");
        let (status, log) = (child.wait().expect("ends"), self.log());
        assert!(status.success() && !log.contains("panicked"), "{status}: {log}");
        (out.lines().map(|line| serde_json::from_str(line).expect("JSON Lines")).collect(), log)
    }
}

impl Drop for Sniffer {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn get(namespace: &Namespace, address: SocketAddr, path: &str) -> String {
    get_in(&namespace.name, address, path)
}

/// The body, or an empty text while nobody listens.
fn get_in(namespace: &str, address: SocketAddr, path: &str) -> String {
    let output = Command::new("nsenter")
        .arg(format!("--net=/var/run/netns/{namespace}"))
        .args(["curl", "-sg", "-m", "5", &format!("http://{address}{path}")])
        .output()
        .expect("run curl");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Asks again until the page says so.
fn wait_until(page: impl Fn() -> String, what: &str, reached: impl Fn(&str) -> bool) {
    wait_for(what, || {
        let page = page();
        if !page.is_empty() && reached(&page) { Ok(()) } else { Err(format!("last answer:\n{page}")) }
    });
}

/// Runs one test of this binary again inside a network namespace, with a variable that says so; what it printed.
pub fn again_inside(netns: &str, test: &str, (variable, value): (&str, &str)) -> String {
    let output = std::process::Command::new("nsenter")
        .arg(format!("--net=/var/run/netns/{netns}"))
        .arg(std::env::current_exe().expect("this test"))
        .args(["--exact", test, "--nocapture"])
        .env(variable, value)
        .output()
        .expect("nsenter");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    said
}
