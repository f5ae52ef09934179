//! The sandbox from inside: each forbidden thing is tried by a process that has entered it, as an attacker who runs code there would; and a real sniffer, thread by thread.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::net::TcpListener;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hopwatch::sandbox::{self, Part, Plan, Role};
use nix::errno::Errno;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

use crate::support::netns::{Namespace, Sniffer, unavailable};

/// The folder that the run may write in, and one beside it.
const FOLDER: &str = "HOPWATCH_TEST_SANDBOX";

/// Who tries.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Who {
    /// A thread of this role.
    In(Role),
    /// One that reads packets.
    Packets,
}

const EVERYBODY: [Who; 6] = [
    Who::In(Role::Plain),
    Who::In(Role::Taps),
    Who::In(Role::Sockets),
    Who::In(Role::Helpers),
    Who::In(Role::Watch),
    Who::Packets,
];
/// The kernel's answers where a filter refuses, where Landlock does, and where a call is unknown.
const FILTERED: i32 = libc::EPERM;
const LANDLOCKED: i32 = libc::EACCES;
const UNKNOWN: i32 = libc::ENOSYS;

fn root() -> PathBuf {
    PathBuf::from(std::env::var_os(FOLDER).expect("the folder"))
}

fn plan() -> Plan {
    let mut plan = Plan { listen: Some(9921), ..Plan::default() };
    assert!(plan.write_in(&root().join("own")));
    plan.run_one_of(["/usr/bin/true".into(), "/bin/true".into()]);
    plan
}

/// One call with these arguments; nothing that succeeds here does harm.
#[expect(
    unsafe_code,
    reason = "these calls have no safe form; all arguments are null, or small numbers that no such thing has"
)]
fn call(number: libc::c_long, arguments: [libc::c_long; 4]) -> io::Result<()> {
    let [one, two, three, four] = arguments;
    // SAFETY: a null pointer is refused by the kernel, which reads it and not this process.
    let answer = unsafe { libc::syscall(number, one, two, three, four) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn write_at(path: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).create(true).truncate(false).open(path).map(drop)
}

fn run(program: &str, arguments: &[&str]) -> io::Result<()> {
    let status = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    if status.success() { Ok(()) } else { Err(io::Error::from_raw_os_error(LANDLOCKED)) }
}

fn socket(family: i32, kind: i32) -> io::Result<()> {
    call(libc::SYS_socket, [family.into(), kind.into(), 0, 0])
}

fn number(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(-1)
}

/// Tries everything; what differs from what must be, in words.
fn all(who: Who) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut expect = |what: &str, refusal: Option<i32>, tried: io::Result<()>| {
        let found = tried.as_ref().err().map(number);
        if found != refusal {
            let name =
                |code: Option<i32>| code.map_or_else(|| "success".to_owned(), |code| Errno::from_raw(code).to_string());
            wrong.push(format!("{who:?}: {what}: {} and not {}", name(found), name(refusal)));
        }
    };
    calls(&mut expect);
    files(who, &mut expect);
    others(who, &mut expect);
    wrong
}

type Expect<'e> = &'e mut dyn FnMut(&str, Option<i32>, io::Result<()>);

/// What nobody may call, whatever the rights.
fn calls(expect: Expect<'_>) {
    let parent = libc::c_long::from(nix::unistd::getppid().as_raw());
    let nothing = [0; 4];
    let user = [libc::CLONE_NEWUSER.into(), 0, 0, 0];
    for (name, number, arguments) in [
        ("ptrace", libc::SYS_ptrace, [libc::PTRACE_SEIZE.into(), parent, 0, 0]),
        ("process_vm_readv", libc::SYS_process_vm_readv, [parent, 0, 0, 0]),
        ("process_vm_writev", libc::SYS_process_vm_writev, [parent, 0, 0, 0]),
        ("pidfd_getfd", libc::SYS_pidfd_getfd, [-1, 0, 0, 0]),
        ("mount", libc::SYS_mount, nothing),
        ("umount2", libc::SYS_umount2, nothing),
        ("move_mount", libc::SYS_move_mount, nothing),
        ("open_tree", libc::SYS_open_tree, nothing),
        ("fsopen", libc::SYS_fsopen, nothing),
        ("pivot_root", libc::SYS_pivot_root, nothing),
        ("chroot", libc::SYS_chroot, nothing),
        ("unshare", libc::SYS_unshare, user),
        ("clone into a namespace", libc::SYS_clone, user),
        ("bpf", libc::SYS_bpf, nothing),
        ("perf_event_open", libc::SYS_perf_event_open, nothing),
        ("kexec_load", libc::SYS_kexec_load, [0, 0, 0, -1]),
        ("init_module", libc::SYS_init_module, nothing),
        ("finit_module", libc::SYS_finit_module, [-1, 0, 0, 0]),
        ("delete_module", libc::SYS_delete_module, nothing),
        ("keyctl", libc::SYS_keyctl, [-1, 0, 0, 0]),
        ("add_key", libc::SYS_add_key, nothing),
        ("userfaultfd", libc::SYS_userfaultfd, [-1, 0, 0, 0]),
        ("personality", libc::SYS_personality, [0xffff_ffff, 0, 0, 0]),
        ("reboot", libc::SYS_reboot, nothing),
        ("swapon", libc::SYS_swapon, nothing),
        ("open_by_handle_at", libc::SYS_open_by_handle_at, nothing),
        ("memfd_create", libc::SYS_memfd_create, nothing),
        ("clock_settime", libc::SYS_clock_settime, nothing),
        ("syslog", libc::SYS_syslog, [10, 0, 0, 0]),
        ("TIOCSTI", libc::SYS_ioctl, [0, 0x5412, 0, 0]),
        ("kcmp", libc::SYS_kcmp, nothing),
        ("prlimit of another", libc::SYS_prlimit64, [parent, 7, 0, 0]),
        ("setpriority", libc::SYS_setpriority, nothing),
        ("shmget", libc::SYS_shmget, nothing),
    ] {
        expect(name, Some(FILTERED), call(number, arguments));
    }
    expect("io_uring_setup", Some(UNKNOWN), call(libc::SYS_io_uring_setup, nothing));
    expect("clone3", Some(UNKNOWN), call(libc::SYS_clone3, nothing));
    expect("openat2", Some(UNKNOWN), call(libc::SYS_openat2, nothing));
    #[cfg(target_arch = "x86_64")]
    expect("ptrace, by x32's number", Some(FILTERED), call(0x4000_0000 + 521, nothing));
    #[cfg(target_arch = "x86_64")]
    expect("mount, by x32's number", Some(FILTERED), call(0x4000_0000 + libc::SYS_mount, nothing));
}

fn files(who: Who, expect: Expect<'_>) {
    let (own, other) = (root().join("own"), root().join("other"));
    let is = |roles: &[Role]| matches!(who, Who::In(role) if roles.contains(&role));
    let watches = is(&[Role::Watch]);
    let refusal = if is(&[Role::Watch]) || who == Who::Packets { FILTERED } else { LANDLOCKED };
    let writes = !watches && who != Who::Packets;
    expect("write in its own folder", (!writes).then_some(refusal), write_at(&own.join("file")));
    expect("write elsewhere", Some(refusal), write_at(&other.join("file")));
    expect(
        "write over what is there",
        Some(refusal),
        OpenOptions::new().write(true).open(other.join("secret")).map(drop),
    );
    expect("remove elsewhere", Some(refusal), std::fs::remove_file(other.join("secret")));
    expect("make a folder elsewhere", Some(refusal), std::fs::create_dir(other.join("folder")));
    let link = std::os::unix::fs::symlink("/etc", own.join("link"));
    expect("a link in its own folder", Some(refusal), link);
    let mode = std::fs::Permissions::from_mode(0o666);
    expect("change a mode", Some(FILTERED), std::fs::set_permissions(other.join("secret"), mode));
    expect("change an owner", Some(FILTERED), std::os::unix::fs::chown(other.join("secret"), Some(0), Some(0)));
    expect("a link elsewhere", Some(refusal), std::os::unix::fs::symlink("/etc", other.join("link")));
    let memory = OpenOptions::new().write(true).open("/proc/self/mem").map(drop);
    expect("write its memory as a file", Some(refusal), memory);
    expect("read elsewhere", (!watches).then_some(LANDLOCKED), File::open(other.join("secret")).map(drop));
    let roots = format!("/proc/{}/root{}", nix::unistd::getppid(), other.join("secret").display());
    expect("read through another process", (!watches).then_some(LANDLOCKED), File::open(roots).map(drop));
    let link = std::fs::read_link(format!("/proc/{}/exe", nix::unistd::getppid())).map(drop);
    expect("look at another process", (!watches).then_some(LANDLOCKED), link);
    if who == Who::Packets {
        expect("read the accounts", Some(LANDLOCKED), File::open("/etc/shadow").map(drop));
        expect("list the configuration", Some(LANDLOCKED), std::fs::read_dir("/etc").map(drop));
    }
}

fn others(who: Who, expect: Expect<'_>) {
    let is = |roles: &[Role]| matches!(who, Who::In(role) if roles.contains(&role));
    let (helps, watches) = (is(&[Role::Helpers]), is(&[Role::Watch]));
    if helps {
        expect("run the program that is named", None, run("/usr/bin/true", &[]));
        expect("run a shell", Some(LANDLOCKED), run("/bin/sh", &["-c", "exit 0"]));
    } else {
        expect("run a program", Some(FILTERED), call(libc::SYS_execve, [0; 4]));
        expect("run a program that is open", Some(FILTERED), call(libc::SYS_execveat, [-1, 0, 0, 0]));
    }
    if helps {
        let loader = ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"]
            .into_iter()
            .find(|path| Path::new(path).exists());
        let tricked = loader
            .map_or(Err(io::Error::from_raw_os_error(LANDLOCKED)), |loader| run(loader, &["/bin/sh", "-c", "exit 0"]));
        expect("run a shell by its loader", Some(LANDLOCKED), tricked);
    }
    let packets = socket(libc::AF_PACKET, libc::SOCK_RAW);
    expect("a socket that sees packets", (!is(&[Role::Taps])).then_some(FILTERED), packets);
    let raw = socket(libc::AF_INET, libc::SOCK_RAW | libc::SOCK_CLOEXEC);
    let raw_refusal = if is(&[Role::Taps, Role::Helpers]) { Some(libc::EPROTONOSUPPORT) } else { Some(FILTERED) };
    expect("a raw socket", raw_refusal, raw);
    expect("another family", Some(FILTERED), socket(libc::AF_ALG, libc::SOCK_SEQPACKET));
    let own = File::open("/proc/thread-self/ns/net").map(|file| libc::c_long::from(file.as_raw_fd()));
    let entered = own.and_then(|own| call(libc::SYS_setns, [own, libc::CLONE_NEWNET.into(), 0, 0]));
    // Where it is allowed, the descriptor is closed by now.
    let mine = if watches { libc::EBADF } else { FILTERED };
    expect("enter a network namespace", Some(mine), entered);
    expect("enter another namespace", Some(FILTERED), call(libc::SYS_setns, [0, libc::CLONE_NEWNS.into(), 0, 0]));
    if is(&[Role::Plain, Role::Taps, Role::Sockets]) {
        expect("listen at another port", Some(LANDLOCKED), TcpListener::bind("127.0.0.1:0").map(drop));
    }
    if !helps {
        let signal = call(libc::SYS_kill, [nix::unistd::getppid().as_raw().into(), libc::SIGCONT.into(), 0, 0]);
        expect("signal another process", Some(FILTERED), signal);
    }
    if watches {
        expect("ask whether a process has ended", Some(libc::ESRCH), call(libc::SYS_kill, [0x3fff_ffff, 0, 0, 0]));
    }
    if !is(&[Role::Sockets]) {
        expect("listen", Some(FILTERED), call(libc::SYS_listen, [-1, 0, 0, 0]));
    }
    if watches || who == Who::Packets {
        expect("connect", Some(FILTERED), call(libc::SYS_connect, [0, 0, 0, 0]));
        expect(
            "signal another process",
            Some(FILTERED),
            call(libc::SYS_kill, [nix::unistd::getppid().as_raw().into(), libc::SIGCONT.into(), 0, 0]),
        );
    }
}

/// Body of the process that enters; the test below starts it.
#[test]
#[ignore = "started by the test of the same name without `as_a_process_of_its_own`"]
fn each_forbidden_thing_fails_as_a_process_of_its_own() {
    let report = sandbox::enter(plan(), drop);
    assert!(
        [Part::Landlock, Part::Seccomp, Part::Capabilities, Part::CoreDumps]
            .iter()
            .all(|part| report.is_enforced(*part)),
        "{report:?}"
    );
    // The test program's own threads are not in it, and that is said.
    assert!(!report.is_enforced(Part::NoNewPrivs), "{report:?}");
    let mut wrong = Vec::new();
    for who in EVERYBODY {
        let tried = match who {
            Who::In(Role::Plain) => std::thread::Builder::new().spawn(move || all(who)),
            Who::In(role) => sandbox::spawn(role, "try", move || all(who)),
            Who::Packets => sandbox::spawn(Role::Taps, "try", move || {
                sandbox::narrow();
                all(who)
            }),
        };
        wrong.extend(tried.expect("a thread").join().expect("no panic"));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!("all was refused");
}

#[test]
fn each_forbidden_thing_fails() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: each_forbidden_thing_fails: needs root, so that rights are there to be given up");
        return;
    }
    let tried = sandbox::try_out(Plan::default());
    if !(tried.is_enforced(Part::Landlock) && tried.is_enforced(Part::Seccomp)) {
        println!("skipped: each_forbidden_thing_fails: this kernel lacks a part: {}", tried.line());
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["own", "other"] {
        std::fs::create_dir(folder.path().join(name)).expect("a folder");
    }
    std::fs::write(folder.path().join("other/secret"), "hunter2").expect("written");
    let mut child = Command::new(std::env::current_exe().expect("this program"));
    child.args(["--exact", "sandbox::each_forbidden_thing_fails_as_a_process_of_its_own", "--ignored", "--nocapture"]);
    let output = child.env(FOLDER, folder.path()).output().expect("started");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("all was refused"), "{text}");
    assert!(!folder.path().join("other/file").exists());
}

/// By name of the thread: its capabilities, whether it may gain others, whether its calls are filtered.
fn threads(pid: u32) -> BTreeMap<String, Vec<(u64, bool, bool)>> {
    let mut threads: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).expect("it runs").flatten() {
        let Ok(status) = std::fs::read_to_string(task.path().join("status")) else { continue };
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).expect(name).trim().to_owned();
        let rights = u64::from_str_radix(&field("CapPrm:"), 16).expect("a number");
        threads.entry(field("Name:")).or_default().push((
            rights,
            field("NoNewPrivs:") == "0",
            field("Seccomp:") == "2",
        ));
    }
    threads
}

#[test]
fn every_thread_of_a_sniffer_holds_what_it_needs_and_no_more() {
    if let Some(why) = unavailable() {
        println!("skipped: every_thread_of_a_sniffer_holds_what_it_needs_and_no_more: {why}");
        return;
    }
    let namespace = Namespace::with_bridge("br-test");
    let sniffer = Sniffer::start(&namespace, "{}", &[]);
    sniffer.wait_until("/metrics", "the bridge is captured", |page| page.contains("observation_point=\"br-test\""));
    let page = sniffer.get("/metrics");
    for part in Part::ALL {
        let line = format!("hopwatch_sandbox_enforced{{part=\"{}\"}} 1", part.as_str());
        assert!(page.contains(&line), "{line}: {}", sniffer.log());
    }
    let threads = threads(sniffer.id());
    for name in ["hopwatch", "log", "capture", "evidence", "to-stdout", "to-outbox"] {
        let found = threads.get(name).unwrap_or_else(|| panic!("{name}: {threads:?}"));
        assert!(found.iter().all(|(rights, _, _)| *rights == 0), "{name}: {found:x?}");
    }
    let sys_admin = 1 << 21;
    let powerful: Vec<_> = threads
        .iter()
        .filter(|(_, of)| of.iter().any(|(rights, _, _)| rights & sys_admin != 0))
        .map(|(name, _)| name.as_str())
        .collect();
    let may = ["conntrack", "host-logging", "inside", "kernel", "log-files", "look", "parent"];
    assert!(powerful.iter().all(|name| may.contains(name)), "{powerful:?}");
    let weak: Vec<_> =
        threads.iter().filter(|(_, of)| of.iter().any(|(_, may_gain, filtered)| *may_gain || !filtered)).collect();
    assert!(weak.is_empty(), "{weak:?}");
    let (_, log) = sniffer.end();
    assert!(log.contains("sandbox: landlock enforced"), "{log}");
}

#[test]
fn a_reload_that_names_a_file_elsewhere_is_refused_and_says_why() {
    if let Some(why) = unavailable() {
        println!("skipped: a_reload_that_names_a_file_elsewhere_is_refused_and_says_why: {why}");
        return;
    }
    let namespace = Namespace::with_bridge("br-test");
    let (here, elsewhere) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let to = |folder: &Path, name: &str| format!("sinks: {{lines: {{file: {{path: {:?}}}}}}}\n", folder.join(name));
    let sniffer = Sniffer::start(&namespace, &to(here.path(), "one"), &[]);
    sniffer.wait_until("/metrics", "the bridge is captured", |page| page.contains("observation_point=\"br-test\""));
    sniffer.configure(&to(elsewhere.path(), "two"));
    let (status, text) = sniffer.post("/-/reload", &["X-Hopwatch: 1"]);
    assert!(
        status == "400" && text.contains("the sink lines writes in") && text.contains("restart hopwatch"),
        "{status}: {text}"
    );
    sniffer.configure(&to(here.path(), "three"));
    assert_eq!(sniffer.post("/-/reload", &["X-Hopwatch: 1"]).0, "200");
    sniffer.configure(&(to(here.path(), "three") + "sandbox: off\n"));
    let (status, text) = sniffer.post("/-/reload", &["X-Hopwatch: 1"]);
    assert!(status == "400" && text.contains("sandbox changed"), "{status}: {text}");
    sniffer.end();
}

#[test]
fn the_sandbox_can_be_switched_off_and_that_is_said() {
    if let Some(why) = unavailable() {
        println!("skipped: the_sandbox_can_be_switched_off_and_that_is_said: {why}");
        return;
    }
    let namespace = Namespace::with_bridge("br-test");
    let sniffer = Sniffer::start(&namespace, "sandbox: off\n", &[]);
    sniffer.wait_until("/metrics", "no part", |page| page.contains("hopwatch_sandbox_enforced{part=\"seccomp\"} 0"));
    let (_, log) = sniffer.end();
    assert!(log.contains("sandbox: off, as configured"), "{log}");
}

/// From here on this thread, and what it starts, has a kernel without Landlock.
fn lose_landlock() {
    let unknown = [libc::SYS_landlock_create_ruleset].map(|call| (call, Vec::new()));
    let answer = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let machine = std::env::consts::ARCH.try_into().expect("a known machine");
    let filter = SeccompFilter::new(unknown.into(), SeccompAction::Allow, answer, machine).expect("a filter");
    let program: BpfProgram = filter.try_into().expect("a program");
    seccompiler::apply_filter(&program).expect("filtered");
}

#[test]
fn enforced_does_not_start_where_a_part_is_missing_and_best_effort_does() {
    if !nix::unistd::geteuid().is_root() {
        println!(
            "skipped: enforced_does_not_start_where_a_part_is_missing_and_best_effort_does: needs root, to capture"
        );
        return;
    }
    let run = |mode: &'static str| {
        let started = std::thread::spawn(move || {
            lose_landlock();
            let folder = tempfile::tempdir().expect("a folder");
            let file = folder.path().join("hopwatch.yaml");
            std::fs::write(&file, format!("sandbox: {mode}\n")).expect("written");
            let mut command = Command::new(env!("CARGO_BIN_EXE_hopwatch"));
            command.args(["sniff", "-i", "none*", "--listen", "none", "--duration", "200ms", "--state-dir"]);
            command.arg(folder.path().join("state")).arg("-c").arg(file);
            command.env("DOCKER_HOST", "unix:///nowhere/docker.sock").output().expect("started")
        });
        let output = started.join().expect("no panic");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, log) = run("enforced");
    assert_eq!(code, Some(4), "{log}");
    // On a terminal's width.
    let text = log.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        text.contains("landlock NOT enforced (this kernel has none") && text.contains("set sandbox: best-effort"),
        "{log}"
    );
    let (code, log) = run("best-effort");
    assert!(code == Some(0) && log.contains("WARN") && log.contains("seccomp enforced"), "{log}");
}
