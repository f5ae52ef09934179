//! The kernel's audit alone, and with a real auditd: rules that are removed, rules that are loaded anew, who started a container, and a process that takes auditd's name.
//!
//! Needs root, auditd, auditctl and a Docker daemon; says why it skips otherwise. The kernel has one audit for the whole machine: a host that uses it
//! already is left alone, what the test switches on is switched off, and one test does it all.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::dockerd::{self, Dockerd, IMAGE};
use crate::support::patience::wait_until;
use crate::support::sniffing::Sniffing;

/// The kernel's audit and processes are looked at at least so often.
const LOOK: std::time::Duration = std::time::Duration::from_secs(2);
const RULES: &str = "-D\n-w /etc/hopwatch-test -p wa -k one\n-w /etc/hopwatch-test2 -p wa -k two\n";

fn auditctl(arguments: &[&str]) -> String {
    let output = Command::new("auditctl").args(arguments).output().expect("auditctl runs");
    assert!(output.status.success(), "auditctl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn unavailable() -> Option<String> {
    if let Some(why) = dockerd::unavailable() {
        return Some(why);
    }
    let status = Command::new("auditctl").arg("-s").output();
    let Ok(status) = status else { return Some("needs auditctl (Debian package auditd)".to_owned()) };
    let text = String::from_utf8_lossy(&status.stdout).into_owned();
    if !status.status.success() {
        return Some(format!("the kernel's audit cannot be asked: {}", String::from_utf8_lossy(&status.stderr)));
    }
    let is_free = text.contains("enabled 0") && text.contains("\npid 0") && auditctl(&["-l"]).contains("No rules");
    (!is_free).then(|| "the kernel's audit is in use on this machine".to_owned())
}

/// The kernel's audit, switched on while nobody takes its records; off again on Drop.
struct Alone;

impl Alone {
    fn start() -> Self {
        auditctl(&["-e", "1"]);
        auditctl(&["-w", "/etc/hopwatch-test", "-p", "wa", "-k", "one"]);
        Self
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        switch_off();
    }
}

fn switch_off() {
    for arguments in [["-D"].as_slice(), &["-e", "0"]] {
        let _ = Command::new("auditctl").args(arguments).output();
    }
}

/// A real auditd that writes below a folder; off again on Drop.
struct Auditd {
    folder: tempfile::TempDir,
    child: Child,
}

impl Auditd {
    fn configured() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let conf = format!(
            "local_events = yes\nwrite_logs = yes\nlog_file = {}\nlog_format = ENRICHED\nflush = INCREMENTAL_ASYNC\nfreq = 50\nspace_left = 75\nadmin_space_left = 50\n",
            folder.path().join("audit.log").display()
        );
        std::fs::write(folder.path().join("auditd.conf"), conf).expect("a configuration");
        std::fs::write(folder.path().join("rules"), RULES).expect("rules");
        folder
    }

    fn start() -> Self {
        let folder = Self::configured();
        let mut command = Command::new("auditd");
        command.args(["-n", "-c"]).arg(folder.path()).stdin(Stdio::null()).stdout(Stdio::null());
        let daemon = Self { child: command.spawn().expect("auditd runs"), folder };
        wait_until("auditd writes", || daemon.folder.path().join("audit.log").is_file());
        wait_until("audit records", || auditctl(&["-s"]).contains("enabled 1"));
        daemon.load();
        daemon
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Another process takes its name, and it ends: nobody takes the kernel's records.
    fn give_way(&mut self) -> Impostor {
        std::fs::copy("/usr/bin/sleep", self.path("auditd")).expect("copied");
        let impostor = Impostor(Command::new(self.path("auditd")).arg("600").spawn().expect("it runs"));
        std::thread::sleep(LOOK);
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
        impostor
    }

    /// As augenrules does: all rules go, and come again.
    fn load(&self) {
        auditctl(&["-R", &self.path("rules").display().to_string()]);
    }
}

impl Drop for Auditd {
    fn drop(&mut self) {
        switch_off();
        // One that gave way has ended, and its number may be another's.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        }
        let _ = self.child.wait();
    }
}

/// A process that calls itself auditd; ended on Drop.
struct Impostor(Child);

impl Drop for Impostor {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `hopwatch sniff` on a host whose auditd is this one.
fn sniff(docker: &Dockerd, audit: &Auditd) -> Sniffing {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/var/run/netns/{}", docker.netns())).arg("unshare");
    command.env("DOCKER_HOST", docker.host());
    run(command, audit.folder.path(), "docker0")
}

/// On a host whose auditd would write in this folder, or does.
fn run(mut command: Command, folder: &Path, interface: &str) -> Sniffing {
    let config = folder.join("hopwatch.yaml");
    std::fs::write(&config, "rules:\n  host-audit-tampered: {settle: 1s}\n").expect("a configuration");
    let line = format!(
        "mount --bind {} /etc/audit/auditd.conf && exec {} sniff -i {interface} --format json --listen none -c {}",
        folder.join("auditd.conf").display(),
        env!("CARGO_BIN_EXE_hopwatch"),
        config.display()
    );
    command.args(["--mount", "sh", "-c", &line]);
    Sniffing::start(command)
}

#[test]
#[ignore = "switches on the kernel's audit, for the whole machine: scripts/lab.sh runs it alone"]
fn audit_rules_that_go_are_reported_and_who_started_a_container_is_known_from_audit() {
    let reason = unavailable().or_else(|| {
        let has_conf = Path::new("/etc/audit/auditd.conf").is_file();
        (!has_conf).then(|| "needs auditd (Debian package auditd)".to_owned())
    });
    if let Some(why) = reason {
        println!("skipped: {why}");
        return;
    }
    the_kernel_alone_says_who_removed_rules(false);
    the_kernel_alone_says_who_removed_rules(true);
    let docker = Dockerd::start(&[]);
    docker.docker(&["run", "-d", "--name", "first", IMAGE, "sleep", "600"]);
    let mut audit = Auditd::start();
    let running = sniff(&docker, &audit);

    // Nobody watches the client: it is not known who asked.
    docker.docker(&["run", "-d", "--name", "quiet-1", "--log-driver", "none", IMAGE, "sleep", "600"]);
    wait_until("the log driver is reported", || !running.said("log-driver-changed", "who").is_empty());
    let who = running.said("log-driver-changed", "who");
    assert!(who[0].starts_with("not known"), "{who:?}");

    // The rules are loaded anew, with one that watches the client.
    let client =
        String::from_utf8(Command::new("which").arg("docker").output().expect("which runs").stdout).expect("a path");
    let client = std::fs::canonicalize(client.trim()).expect("docker").display().to_string();
    std::fs::write(audit.path("rules"), format!("{RULES}-w {client} -p x -k docker\n")).expect("rules");
    audit.load();
    docker.docker(&["run", "-d", "--name", "other", "--log-driver", "none", IMAGE, "sleep", "601"]);
    wait_until("the second is reported", || running.said("log-driver-changed", "who").len() > 1);
    let who = running.said("log-driver-changed", "who");
    assert!(who[1].contains(&client) && who[1].contains("uid 0"), "{who:?}");
    assert_eq!(running.said("host-audit-tampered", "recorder"), Vec::<String>::new(), "rules were loaded anew");

    auditctl(&["-D"]);
    wait_until("the rules are missed", || !running.said("host-audit-tampered", "recorder").is_empty());
    let by = running.said("host-audit-tampered", "by").join(" ");
    assert!(by.contains("auditctl"), "auditd wrote who removed them: {by:?}");

    let _impostor = audit.give_way();
    let recorders = || running.said("host-audit-tampered", "recorder").join(" ");
    wait_until("records that nobody takes are missed", || recorders().contains("hands audit's records to nobody"));
}

/// Where no auditd writes, the kernel's records are read as they come, also beside a file that an auditd left behind.
fn the_kernel_alone_says_who_removed_rules(is_left_behind: bool) {
    let (_audit, folder) = (Alone::start(), Auditd::configured());
    if is_left_behind {
        std::fs::write(folder.path().join("audit.log"), "").expect("written");
    }
    // In the initial network, which alone is told.
    let running = run(Command::new("unshare"), folder.path(), "lo");
    std::thread::sleep(3 * LOOK);
    auditctl(&["-D"]);
    wait_until("the rules are missed", || !running.said("host-audit-tampered", "recorder").is_empty());
    let by = running.said("host-audit-tampered", "by").join(" ");
    assert!(by.contains("auditctl"), "the kernel says who removed them: {by:?}");
}
