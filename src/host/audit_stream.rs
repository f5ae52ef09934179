//! The kernel's audit, as it hands it to everybody who may listen: the group `AUDIT_NLGRP_READLOG` of netlink.
//!
//! Contract: each record as a line of auditd's log. The kernel waits for no listener: what finds no room is lost, and that is said. Limits: the initial network
//! namespace alone, with `CAP_AUDIT_READ`; [`AT_ONCE`] records a call; records that auditd makes itself (`DAEMON_START` and its like) are not among them. Listening
//! does not switch audit on: where it is off there are no records. Source: `linux/audit.h`, `kauditd_send_multicast_skb`.

use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::socket::SockProtocol;

use super::HostError;
use super::netlink::{BUFFER, Message, Netlink, Query};

/// For its error.
const LISTEN: Query = Query::new("to listen to the kernel's audit", 0);
/// `AUDIT_NLGRP_READLOG`, as a mask.
const GROUP: u32 = 1;
/// Records that one call reads at most.
const AT_ONCE: usize = 4096;
/// Bytes that may wait: some thousand records.
const ROOM: usize = 1 << 20;
/// The kinds that say what a line says; all others belong to the same event, or to nothing that matters.
const KINDS: [(u16, &str); 4] =
    [(1130, "SERVICE_START"), (1131, "SERVICE_STOP"), (1300, "SYSCALL"), (1305, "CONFIG_CHANGE")];

/// Listens.
#[derive(Debug)]
pub struct AuditStream {
    netlink: Netlink,
    buffer: Vec<u8>,
}

impl AuditStream {
    /// From now on.
    pub fn open() -> Result<Self, HostError> {
        let netlink = Netlink::open(SockProtocol::NetlinkAudit, GROUP).map_err(|error| LISTEN.failed(error))?;
        netlink.enlarge(ROOM);
        Ok(Self { netlink, buffer: vec![0; BUFFER] })
    }

    /// Hands over the records that came, as lines; whether some were lost.
    pub fn read(&mut self, mut line: impl FnMut(&[u8])) -> bool {
        let received = self.netlink.drain(AT_ONCE, &mut self.buffer, |message| {
            if let Some(text) = text(message) {
                line(&text);
            }
        });
        received.lost
    }
}

impl AsFd for AuditStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.netlink.as_fd()
    }
}

/// A record as auditd writes it; none where it is no record.
fn text(message: &Message<'_>) -> Option<Vec<u8>> {
    const RECORDS: std::ops::Range<u16> = 1100..3000;
    if !RECORDS.contains(&message.kind) {
        return None;
    }
    let kind = KINDS.iter().find(|(number, _)| *number == message.kind).map_or("OTHER", |(_, name)| *name);
    let body = message.body.split(|byte| *byte == 0).next().unwrap_or_default().trim_ascii_end();
    Some([b"type=", kind.as_bytes(), b" msg=", body].concat())
}

/// Whether the calling thread is in the initial network namespace, which alone is told. Linux 6.18 gave it a number of its own, below all others; before, it is the one
/// of process 1 of the host, where that may be seen: a container has a process 1 of its own, in the container's network.
pub fn is_in_initial_network() -> bool {
    let number = |path: &str| std::fs::metadata(path).ok().map(|of| std::os::unix::fs::MetadataExt::ino(&of));
    is_initial(number("/proc/thread-self/ns/net"), number("/proc/1/ns/net"), number("/proc/self/ns/pid"))
}

/// By the numbers of the network namespaces of this thread and of process 1, and of the namespace in which processes are numbered.
fn is_initial(own: Option<u64>, first: Option<u64>, processes: Option<u64>) -> bool {
    const NET_NS_INIT_INO: u64 = 0xefff_fff9;
    const PROC_PID_INIT_INO: u64 = 0xefff_fffc;
    own.is_some() && (own == Some(NET_NS_INIT_INO) || (own == first && processes == Some(PROC_PID_INIT_INO)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::log_entries::AuditLines;
    use crate::input::LogAct;

    fn message(kind: u16, body: &[u8]) -> Message<'_> {
        Message { kind, flags: 0, sequence: 0, body }
    }

    #[test]
    fn a_record_is_read_as_a_line_of_auditds_log() {
        let change = b"audit(1795000000.243:88): auid=1000 ses=3 op=remove_rule key=\"x\" list=4 res=1\0";
        let call = b"audit(1795000000.243:88): arch=c000003e syscall=44 success=yes pid=812 auid=1000 uid=0 exe=\"/usr/sbin/auditctl\"";
        let mut lines = AuditLines::default();
        for record in [message(1305, change), message(1300, call), message(1320, b"audit(1795000000.243:88): ")] {
            lines.line(&text(&record).expect("a record"));
        }
        lines.finish();
        let found = lines.take();
        let [entry] = &found[..] else { panic!("{found:?}") };
        assert_eq!((&entry.act, lines.take_cut()), (&LogAct::RulesRemoved { count: 1 }, 0));
        assert_eq!(entry.by.as_ref().and_then(|by| by.pid), Some(812));
    }

    #[test]
    fn process_1_tells_the_initial_network_only_where_it_is_the_hosts() {
        let (host, container) = (Some(0xefff_fffc), Some(4_026_532_500));
        assert!(is_initial(Some(4_026_531_840), Some(4_026_531_840), host));
        assert!(!is_initial(Some(4_026_532_700), Some(4_026_531_840), host), "another than the host's");
        assert!(!is_initial(Some(4_026_532_700), Some(4_026_532_700), container), "a container's own process 1");
        assert!(!is_initial(Some(4_026_532_700), Some(4_026_532_700), None), "it is not known whose");
        assert!(is_initial(Some(0xefff_fff9), None, container), "it has a number of its own");
        assert!(!is_initial(None, None, host), "it cannot be seen");
    }

    #[test]
    fn what_is_no_record_is_nothing_and_one_that_is_cut_is_counted() {
        assert_eq!(text(&message(2, b"")), None);
        assert_eq!(text(&message(1000, b"audit(1.1:1): ")), None);
        let mut lines = AuditLines::default();
        lines.line(&text(&message(1305, b"audit(17950")).expect("a record"));
        assert_eq!(lines.take_cut(), 1);
    }
}
