//! The process of a workload that holds the socket of a flow, looked for when somebody asks.
//!
//! Contract: a process is named where it alone holds the only socket that fits; else nobody is. Limits: a socket
//! that was closed before the look is gone, and so is its process, which no other one of the workload stands for; one look lists the sockets of the workload's namespaces and the descriptors of its processes, with
//! the bounds of [`super::socket_owners`]. Design: costs a look, and only when asked: an alert is rare, a socket is not.

use std::collections::{BTreeSet, HashSet};

use nix::sys::socket::SockProtocol;

use super::diag::{self, DiagSocket};
use super::missed::Missed;
use super::namespaces::open_in;
use super::proc;
use super::socket_owners::{self, Holding};
use super::workloads::{Running, Workloads};
use crate::host::netlink::Netlink;
use crate::input::{Endpoint, KernelFact, NetnsId, Protocol, WorkloadId};

/// Processes of the whole host that are looked at for one in a workload's namespace.
const MAX_BESIDE: usize = 32_768;

/// The end of a flow whose process is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowEnd {
    /// Whose.
    pub workload: WorkloadId,
    /// TCP or UDP; others have no sockets that are listed.
    pub protocol: Protocol,
    /// Its own address and port.
    pub local: Endpoint,
    /// The other end.
    pub remote: Endpoint,
    /// Whether only a connected socket can have sent: a TCP socket that waits for connections asks nobody, and one that is bound to all
    /// addresses sends from no forged one.
    pub connected: bool,
}

/// A process that sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowProcess {
    /// As this process's namespace numbers it.
    pub pid: u32,
    /// Its command's name.
    pub command: String,
}

/// Looks for the process behind an end.
pub(super) fn find(
    wanted: &FlowEnd,
    workloads: &mut Workloads,
    host: NetnsId,
    (buffer, missed, facts): (&mut [u8], &mut Missed, &mut Vec<KernelFact>),
) -> Option<FlowProcess> {
    workloads.scan_one(&wanted.workload, missed, facts);
    let running = workloads.get(&wanted.workload)?;
    let places: Vec<NetnsId> = running.namespaces().collect();
    let pid = places.into_iter().find_map(|netns| holder(wanted, running, netns, host, buffer))?;
    let command = Some(proc::command(pid)).filter(|name| !name.is_empty())?;
    Some(FlowProcess { pid, command })
}

/// The process of the workload with the end's socket in this namespace.
fn holder(wanted: &FlowEnd, running: &Running, netns: NetnsId, host: NetnsId, buffer: &mut [u8]) -> Option<u32> {
    let pids = running.in_namespace(netns);
    let open = || Netlink::open(SockProtocol::NetlinkSockDiag, 0);
    let mut sockets = if netns == host { open() } else { open_in(netns, pids, open) }.ok()?;
    let (mut connected, mut unconnected) = (BTreeSet::new(), BTreeSet::new());
    diag::dump(&mut sockets, buffer, |socket| {
        if socket.inode != 0 && fits(wanted, &socket) {
            let to = if socket.remote.is_some() { &mut connected } else { &mut unconnected };
            to.insert(socket.inode);
        }
    })
    .ok()?;
    let inodes = if connected.is_empty() { unconnected } else { connected };
    let only = HashSet::from([*inodes.first().filter(|_| inodes.len() == 1)?]);
    // Who entered a namespace of the workload's from elsewhere, or was executed where no group is seen, is not among its processes.
    let beside = || {
        let inside = proc::all().take(MAX_BESIDE).filter(|pid| proc::netns(*pid) == Ok(netns));
        inside.collect::<Vec<_>>()
    };
    match socket_owners::holder_among(pids, &only) {
        Holding::Nobody if netns != host => socket_owners::holder_among(&beside(), &only).one(),
        found => found.one(),
    }
}

/// Whether a socket sends from this end to the other one.
fn fits(wanted: &FlowEnd, socket: &DiagSocket) -> bool {
    let canonical = |end: Endpoint| Endpoint { ip: end.ip.to_canonical(), port: end.port };
    let local = socket.local.ip.to_canonical();
    socket.protocol == wanted.protocol
        && socket.local.port == wanted.local.port
        && (local.is_unspecified() || local == wanted.local.ip.to_canonical())
        && socket.remote.map_or(!wanted.connected, |remote| canonical(remote) == canonical(wanted.remote))
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};

    use super::super::Collector;
    use super::*;

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn end(local: u16, remote: u16) -> FlowEnd {
        let at = |port| Endpoint { ip: LOOPBACK, port };
        let workload = WorkloadId::new("self");
        FlowEnd { workload, protocol: Protocol::TCP, local: at(local), remote: at(remote), connected: true }
    }

    fn collector() -> Collector {
        let mut collector = Collector::new().expect("the host's namespace");
        collector.start(&WorkloadId::new("self"), std::process::id());
        collector
    }

    #[test]
    fn the_process_that_holds_the_socket_is_found_and_a_closed_one_is_nobodys() {
        let listener = TcpListener::bind((LOOPBACK, 0)).expect("a listener");
        let server = listener.local_addr().expect("an address").port();
        let stream = TcpStream::connect((LOOPBACK, server)).expect("a connection");
        let client = stream.local_addr().expect("an address").port();
        let mut collector = collector();
        let (found, facts) = collector.process_of(&end(client, server));
        assert_eq!(found.map(|found| found.pid), Some(std::process::id()));
        assert!(facts.iter().any(|fact| matches!(fact, KernelFact::Processes(_))), "it was looked at: {facts:?}");
        let other = FlowEnd { workload: WorkloadId::new("other"), ..end(client, server) };
        assert_eq!(collector.process_of(&other).0, None, "a workload that does not run");
        assert_eq!(collector.process_of(&end(client, 1)).0, None, "no socket that fits");
    }

    #[test]
    fn who_listens_at_a_port_has_not_sent_from_it() {
        let listener = TcpListener::bind((LOOPBACK, 0)).expect("a listener");
        let port = listener.local_addr().expect("an address").port();
        let mut collector = collector();
        assert_eq!(collector.process_of(&end(port, 443)).0, None);
        let answers = FlowEnd { connected: false, ..end(port, 443) };
        assert_eq!(collector.process_of(&answers).0.map(|found| found.pid), Some(std::process::id()), "it may answer");
    }

    #[test]
    fn of_several_that_hold_a_socket_nobody_is_named() {
        let listener = TcpListener::bind((LOOPBACK, 0)).expect("a listener");
        let server = listener.local_addr().expect("an address").port();
        let stream = TcpStream::connect((LOOPBACK, server)).expect("a connection");
        let client = stream.local_addr().expect("an address").port();
        let input = std::os::fd::OwnedFd::from(stream.try_clone().expect("a second descriptor"));
        let mut child = std::process::Command::new("sleep").arg("20").stdin(input).spawn().expect("start a program");
        let (found, _) = collector().process_of(&end(client, server));
        child.kill().and_then(|()| child.wait().map(drop)).expect("end it");
        assert_eq!(found, None);
    }
}
