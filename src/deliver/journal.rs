//! systemd's journal, by its native protocol.
//!
//! Contract: a field's value may hold anything; one with a line break, as all values here, has its length before it. An entry that is too
//! long for a datagram goes by a sealed memory file. Limits: journald drops beyond its rate limit without a word.
//! Source: systemd, "Native Journal Protocol".

use std::io::{self, IoSlice, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

use super::outcome::Outcome;
use super::receiver::Receiver;
use super::store::Delivery;
use crate::alert::Alert;
use crate::detect::Severity;
use crate::time::Timestamp;

/// Of every alert of hopwatch; `journalctl MESSAGE_ID=…` finds them.
const MESSAGE_ID: &str = "6f1c8d2b0c5e4f0e9a57f3b1a4c7d2e9";

/// How long journald may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The journal's socket.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    socket: Option<UnixDatagram>,
}

impl Journal {
    /// Connected with the first alert.
    pub const fn new(path: PathBuf) -> Self {
        Self { path, socket: None }
    }

    fn write(&mut self, entry: &[u8]) -> io::Result<()> {
        let socket = self.socket.take().map_or_else(|| connected(&self.path), Ok)?;
        match socket.send(entry) {
            Err(error) if matches!(error.raw_os_error(), Some(libc::EMSGSIZE | libc::ENOBUFS)) => {
                by_memory(&socket, entry)?;
            }
            sent => drop(sent?),
        }
        self.socket = Some(socket);
        Ok(())
    }
}

fn connected(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// An empty datagram with a sealed file.
fn by_memory(socket: &UnixDatagram, entry: &[u8]) -> io::Result<()> {
    let memory = memfd_create(c"hopwatch", MFdFlags::MFD_ALLOW_SEALING | MFdFlags::MFD_CLOEXEC)?;
    std::fs::File::from(memory.try_clone()?).write_all(entry)?;
    let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SEAL;
    fcntl(memory.as_fd(), FcntlArg::F_ADD_SEALS(seals))?;
    let descriptors = [memory.as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&descriptors)];
    sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(&[])], &rights, MsgFlags::empty(), None)?;
    Ok(())
}

/// The fields of an alert.
pub fn entry(alert: &Alert, json: &[u8]) -> Vec<u8> {
    let mut entry = Vec::new();
    let mut add = |name: &str, value: &[u8]| {
        entry.extend_from_slice(name.as_bytes());
        entry.push(b'\n');
        entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
        entry.extend_from_slice(value);
        entry.push(b'\n');
    };
    add("MESSAGE", message(alert).as_bytes());
    add("PRIORITY", priority(alert.severity).as_bytes());
    add("SYSLOG_IDENTIFIER", b"hopwatch");
    add("MESSAGE_ID", MESSAGE_ID.as_bytes());
    add("HOPWATCH_ALERT_ID", alert.id.as_bytes());
    add("HOPWATCH_UPDATE", alert.update.to_string().as_bytes());
    add("HOPWATCH_RULE", alert.rule.as_bytes());
    add("HOPWATCH_SEVERITY", alert.severity.as_str().as_bytes());
    if let Some(contract) = &alert.contract {
        add("HOPWATCH_CONTRACT", contract.as_bytes());
    }
    if let Some(verdict) = &alert.verdict {
        add("HOPWATCH_VERDICT", verdict.verdict.as_bytes());
    }
    if let Some(workload) = &alert.workload {
        add("CONTAINER_ID_FULL", workload.id.as_bytes());
        add("CONTAINER_NAME", workload.name.as_bytes());
    }
    add("HOPWATCH_JSON", json);
    entry
}

fn message(alert: &Alert) -> String {
    crate::alert::render::chat::title(alert)
}

/// Syslog's severities: critical, error, warning, notice.
const fn priority(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "2",
        Severity::High => "3",
        Severity::Medium => "4",
        Severity::Low => "5",
    }
}

impl Receiver for Journal {
    fn send(&mut self, delivery: &Delivery, _: Timestamp) -> Outcome {
        let sent = self.write(&delivery.body);
        match sent {
            Ok(()) => Outcome::Delivered,
            Err(error) => Outcome::again(format!("{}: {error}", self.path.display())),
        }
    }
}
