//! The links of this network namespace with their peers and bridges, over netlink.
//!
//! Contract: one dump of `RTM_GETLINK`; the parser is total: every length is checked, a message it does not know is
//! skipped. Limits: [`MAX_LINKS`]. Design: written by hand because four attributes of one message are needed.

use std::os::fd::AsRawFd;

use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, setsockopt, socket,
};
use nix::sys::time::{TimeVal, TimeValLike};

use super::HostError;

/// Far above what a host with a thousand containers on several networks has.
pub(super) const MAX_LINKS: usize = 32_768;
/// The kernel packs at most 32 KiB into one answer of a dump.
const BUFFER: usize = 64 * 1024;

const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const HEADER: usize = 16;
const IFINFO: usize = 16;

/// One link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct HostLink {
    pub(super) index: u32,
    pub(super) name: String,
    /// Of a veth: the index of the other end, as the other end's namespace counts.
    pub(super) peer: Option<u32>,
    /// The bridge that it is a port of.
    pub(super) master: Option<u32>,
}

/// All links of this network namespace.
pub(super) fn host_links() -> Result<Vec<HostLink>, HostError> {
    let route = SockProtocol::NetlinkRoute;
    let socket = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, route)?;
    setsockopt(&socket, ReceiveTimeout, &TimeVal::seconds(2))?;
    sendto(socket.as_raw_fd(), &request(), &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    let mut links = Vec::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        if parse(buffer.get(..length).unwrap_or_default(), &mut links)? {
            return Ok(links);
        }
        if links.len() > MAX_LINKS {
            return Err(HostError::TooMany { limit: MAX_LINKS });
        }
    }
}

fn request() -> Vec<u8> {
    const DUMP: u16 = 0x0301;
    let length = u32::try_from(HEADER + IFINFO).unwrap_or(0);
    let mut bytes = Vec::with_capacity(HEADER + IFINFO);
    bytes.extend(length.to_ne_bytes());
    bytes.extend(RTM_GETLINK.to_ne_bytes());
    bytes.extend(DUMP.to_ne_bytes());
    bytes.resize(HEADER + IFINFO, 0);
    bytes
}

/// Reads one answer; true when it was the last.
fn parse(answer: &[u8], links: &mut Vec<HostLink>) -> Result<bool, HostError> {
    let mut at = 0;
    while at < answer.len() {
        let malformed = HostError::Malformed { at };
        let (Some(length), Some(kind)) = (number(answer, at), short(answer, at + 4)) else { return Err(malformed) };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let body = length.checked_sub(HEADER).and_then(|body| answer.get(at + HEADER..)?.get(..body));
        let Some(body) = body else { return Err(malformed) };
        match kind {
            NLMSG_DONE => return Ok(true),
            NLMSG_ERROR => {
                let code = number(body, 0).map_or(0, |code| i32::from_ne_bytes(code.to_ne_bytes()));
                return Err(HostError::Interfaces(nix::Error::from_raw(code.saturating_neg())));
            }
            RTM_NEWLINK => links.extend(link(body)),
            _ => {}
        }
        at += align(length);
    }
    Ok(false)
}

fn link(body: &[u8]) -> Option<HostLink> {
    const IFNAME: u16 = 3;
    const LINK: u16 = 5;
    const MASTER: u16 = 10;
    let mut link = HostLink { index: number(body, 4)?, ..HostLink::default() };
    let mut rest = body.get(IFINFO..)?;
    while let (Some(length), Some(kind)) = (short(rest, 0), short(rest, 2)) {
        let length = usize::from(length);
        let Some(value) = rest.get(4..length) else { break };
        match kind {
            IFNAME => String::from_utf8_lossy(value).trim_end_matches('\0').clone_into(&mut link.name),
            LINK => link.peer = number(value, 0),
            MASTER => link.master = number(value, 0),
            _ => {}
        }
        rest = rest.get(align(length)..).unwrap_or_default();
    }
    Some(link)
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

const fn align(length: usize) -> usize {
    length.saturating_add(3) & !3
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = u16::try_from(4 + value.len()).expect("short").to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(align(bytes.len()), 0);
        bytes
    }

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(HEADER + body.len()).expect("short").to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.resize(HEADER, 0);
        bytes.extend(body);
        bytes.resize(align(bytes.len()), 0);
        bytes
    }

    fn veth() -> Vec<u8> {
        let mut body = vec![0; IFINFO];
        body[4..8].copy_from_slice(&5_u32.to_ne_bytes());
        body.extend(attribute(3, b"veth5981c7a\0"));
        body.extend(attribute(5, &4_u32.to_ne_bytes()));
        body.extend(attribute(10, &3_u32.to_ne_bytes()));
        message(RTM_NEWLINK, &body)
    }

    #[test]
    fn a_veth_is_read_with_its_peer_and_bridge() {
        let mut links = Vec::new();
        let done = [veth(), message(NLMSG_DONE, &[0; 4])].concat();
        assert!(parse(&done, &mut links).expect("answer"));
        let expected = HostLink { index: 5, name: "veth5981c7a".into(), peer: Some(4), master: Some(3) };
        assert_eq!(links, [expected]);
    }

    #[test]
    fn a_message_longer_than_the_answer_is_refused() {
        let cut = &veth()[..20];
        assert!(matches!(parse(cut, &mut Vec::new()), Err(HostError::Malformed { at: 0 })));
        assert!(matches!(parse(&[0; 16], &mut Vec::new()), Err(HostError::Malformed { at: 0 })), "no endless loop");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 0..80_usize) {
            let _ = parse(&bytes, &mut Vec::new());
            let mut broken = veth();
            for (place, byte) in broken.iter_mut().zip(&bytes) {
                *place ^= if byte % 7 == 0 { *byte } else { 0 };
            }
            let _ = parse(broken.get(..cut).unwrap_or(&broken), &mut Vec::new());
        }
    }
}
