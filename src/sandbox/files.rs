//! Files, by Landlock.
//!
//! Contract: what a domain does not name is neither read, written nor run by its threads and what they run. The kernel's ABI is found at run time: what an
//! older one does not know is not enforced, and the text says which one it has. A process in a domain looks at no process outside of it.
//! Limits: names and metadata of files are seen everywhere; a connection to a socket in the file system is not a file access.
//! Source: landlock(7).

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, LandlockStatus, NetPort, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};

use super::plan::Plan;

/// The newest that was tried.
const NEWEST: ABI = ABI::V6;
/// What resolvers, certificates and the program's own libraries need, and what the kernel shows.
const READ: [&str; 16] = [
    "/proc",
    "/sys",
    "/etc",
    "/usr/etc",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/share/zoneinfo",
    "/nix/store",
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/NetworkManager",
    "/run/nscd",
    "/dev/urandom",
];
/// Files that resolvers read; where they are links, the folder that they lead into is read, too: it changes with the network.
const RESOLVING: [&str; 3] = ["/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf"];
/// Of programs that are run: the journal and other logs.
const HELPERS_READ: [&str; 4] = ["/var/log", "/run/log", "/run/systemd", "/usr/share"];
/// What the memory allocator asks of the kernel while it runs.
const PACKETS_READ: [&str; 2] = ["/proc/sys/vm", "/sys/devices/system/cpu"];
/// Where runtimes of users are looked for.
const LISTED: &str = "/run/user";

/// A set of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Domain {
    /// Of most threads.
    Plain,
    /// Of those that run programs, and of these.
    Helpers,
    /// Of those that read packets.
    Packets,
}

/// Restricts the calling thread; says what the kernel can do.
pub(super) fn restrict(domain: Domain, plan: &Plan) -> Result<String, String> {
    let status = try_restrict(domain, plan).map_err(|error| format!("the kernel refused: {error}"))?;
    match (status.ruleset, status.landlock) {
        (RulesetStatus::NotEnforced, LandlockStatus::NotEnabled) => {
            Err("this kernel has it, but it is off: boot with lsm=landlock,...".to_owned())
        }
        (RulesetStatus::NotEnforced, _) => Err("this kernel has none; Linux 5.13 and later do".to_owned()),
        (_, LandlockStatus::Available { effective_abi, kernel_abi }) => {
            let abi = kernel_abi.unwrap_or(effective_abi as i32);
            Ok(format!("ABI {abi}{}", lacking(abi)))
        }
        (_, _) => Ok(String::new()),
    }
}

/// What an ABI does not know of all this.
fn lacking(abi: i32) -> String {
    let since = [(3, "cutting files"), (4, "ports"), (5, "requests to devices"), (6, "signals and abstract sockets")];
    let lacks: Vec<_> = since.iter().filter(|(first, _)| abi < *first).map(|(_, what)| *what).collect();
    if lacks.is_empty() { String::new() } else { format!(" without {}", lacks.join(", ")) }
}

fn try_restrict(domain: Domain, plan: &Plan) -> Result<landlock::RestrictionStatus, RulesetError> {
    let mut scopes: BitFlags<Scope> = Scope::from_all(NEWEST);
    if plan.abstract_sockets {
        scopes.remove(Scope::AbstractUnixSocket);
    }
    let ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::BindTcp)?
        .scope(scopes)?
        .create()?;
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let ruleset = match domain {
        Domain::Packets => ruleset.add_rules(path_beneath_rules(PACKETS_READ, read))?,
        Domain::Plain => {
            let ports = plan.listen.map(|port| Ok::<_, RulesetError>(NetPort::new(port, AccessNet::BindTcp)));
            let terminal = plan.terminal.then_some("/dev/tty");
            let drawn = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev;
            let ruleset = ruleset
                .add_rules(path_beneath_rules(READ.iter().map(PathBuf::from).chain(resolving()), read))?
                .add_rules(ports)?;
            let ruleset = ruleset.add_rules(path_beneath_rules([LISTED], BitFlags::from(AccessFs::ReadDir)))?;
            written(ruleset.add_rules(path_beneath_rules(terminal, drawn))?, plan)?
        }
        Domain::Helpers => {
            let run = AccessFs::Execute | AccessFs::ReadFile;
            let ruleset = ruleset.add_rules(path_beneath_rules(READ.into_iter().chain(HELPERS_READ), read))?;
            let ruleset = ruleset.add_rules(path_beneath_rules(&plan.helpers_read, read))?;
            written(ruleset.add_rules(path_beneath_rules(programs(plan), run))?, plan)?
        }
    };
    ruleset.restrict_self()
}

type Created = landlock::RulesetCreated;

/// The folders of the run, and what is no file.
fn written(ruleset: Created, plan: &Plan) -> Result<Created, RulesetError> {
    let devices = [AccessFs::MakeChar, AccessFs::MakeBlock, AccessFs::MakeSock, AccessFs::MakeFifo];
    // A link would lead the next start, or another command, elsewhere.
    let others = [AccessFs::MakeSym, AccessFs::Execute, AccessFs::IoctlDev];
    let kept =
        devices.into_iter().chain(others).fold(AccessFs::from_all(NEWEST), |all, one| all & !BitFlags::from(one));
    let sink = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::Truncate;
    ruleset.add_rules(path_beneath_rules(&plan.writable, kept))?.add_rules(path_beneath_rules(["/dev/null"], sink))
}

/// The folders in which names are resolved, beside [`READ`].
fn resolving() -> Vec<PathBuf> {
    let real = RESOLVING.iter().filter_map(|path| Path::new(path).canonicalize().ok());
    real.filter_map(|path| path.parent().map(Path::to_path_buf)).filter(|folder| *folder != Path::new("/")).collect()
}

/// The programs, and what the kernel runs in their place: their interpreters.
fn programs(plan: &Plan) -> Vec<PathBuf> {
    let loaders = plan.programs.iter().filter_map(|program| interpreter(program));
    plan.programs.iter().cloned().chain(loaders).collect()
}

/// The loader that a program of this machine (ELF, 64 bits) names.
fn interpreter(program: &Path) -> Option<PathBuf> {
    const HEADERS: u64 = 16 * 1024;
    const INTERPRETER: u64 = 3;
    let mut bytes = Vec::new();
    File::open(program).ok()?.take(HEADERS).read_to_end(&mut bytes).ok()?;
    bytes.strip_prefix(b"\x7fELF\x02")?;
    let number = |at: usize, length: usize| {
        let digits = bytes.get(at..at.checked_add(length)?)?;
        Some(digits.iter().rev().fold(0_u64, |value, byte| value << 8 | u64::from(*byte)))
    };
    let place = |at: usize, length: usize| usize::try_from(number(at, length)?).ok();
    let (table, size, count) = (place(32, 8)?, place(54, 2)?, place(56, 2)?);
    let entries = (0..count).filter_map(|index| table.checked_add(index.checked_mul(size)?));
    let entry = entries.into_iter().find(|entry| number(*entry, 4) == Some(INTERPRETER))?;
    let (from, length) = (place(entry.checked_add(8)?, 8)?, place(entry.checked_add(32)?, 8)?);
    let path = bytes.get(from..from.checked_add(length)?)?.split(|byte| *byte == 0).next()?;
    Path::new(std::str::from_utf8(path).ok()?).canonicalize().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_kernel_is_told_what_it_lacks() {
        assert_eq!(lacking(7), "");
        assert_eq!(lacking(3), " without ports, requests to devices, signals and abstract sockets");
    }

    #[test]
    fn the_loader_of_a_program_is_found_in_its_headers() {
        let own = std::env::current_exe().expect("a program");
        let loader = interpreter(&own).expect("a loader");
        assert!(loader.is_absolute() && loader.is_file(), "{loader:?}");
        assert_eq!(interpreter(Path::new("/etc/passwd")), None);
    }
}
