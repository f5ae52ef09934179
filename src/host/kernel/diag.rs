//! Internet sockets, as `sock_diag` reports them.
//!
//! Contract: TCP (but no half-open and no waiting ones) and UDP, IPv4 and IPv6; an IPv4-mapped address is written as IPv4. The reader is
//! total. Sources: `sock_diag(7)`, `linux/inet_diag.h` (attribute 21: the id of the socket's cgroup, of version 2), `linux/sock_diag.h`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nix::errno::Errno;

use crate::host::HostError;
use crate::host::netlink::{Message, Netlink, Query, attributes, long, number};
use crate::input::{Endpoint, Protocol};

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const SOCKETS: Query = Query::new("the list of sockets", SOCK_DIAG_BY_FAMILY);
/// `inet_diag_req_v2`.
const REQUEST: usize = 56;
/// `inet_diag_msg`.
const ANSWER: usize = 72;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IPPROTO_TCP: u8 = 6;
const IPPROTO_UDP: u8 = 17;
/// Without `SYN_RECV` (3), `TIME_WAIT` (6) and `NEW_SYN_RECV` (12): nobody holds those.
const TCP_STATES: u32 = 1 << 1 | 1 << 2 | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11;
const UDP_STATES: u32 = u32::MAX;
/// Of dumps: protocols and families.
const KINDS: usize = 4;
/// `SKNLGRP_INET_TCP_DESTROY`, `…UDP…`, `…TCP6…`, `…UDP6_DESTROY`: groups 1 to 4, as a mask.
pub(super) const DESTROYED: u32 = 0xf;

/// A socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DiagSocket {
    pub(super) protocol: Protocol,
    pub(super) local: Endpoint,
    pub(super) remote: Option<Endpoint>,
    /// Unlike the inode never used again, and known also when the holder has closed it.
    pub(super) cookie: u64,
    /// 0 when nobody holds it.
    pub(super) inode: u64,
    pub(super) cgroup: Option<u64>,
}

/// All sockets of the namespace in which `diag` is; how many of the four kinds this kernel cannot list (`udp_diag` not loaded).
pub(super) fn dump(
    diag: &mut Netlink,
    buffer: &mut [u8],
    mut each: impl FnMut(DiagSocket),
) -> Result<usize, HostError> {
    let mut unknown = 0;
    for (number, states, protocol) in
        [(IPPROTO_TCP, TCP_STATES, Protocol::TCP), (IPPROTO_UDP, UDP_STATES, Protocol::UDP)]
    {
        for family in [AF_INET, AF_INET6] {
            let mut request = vec![0; REQUEST];
            if let Some(start) = request.first_chunk_mut() {
                let [a, b, c, d] = states.to_ne_bytes();
                *start = [family, number, 0, 0, a, b, c, d];
            }
            let answer = diag.dump(&SOCKETS, &request, buffer, |message| {
                if let Some(socket) = read(message, protocol) {
                    each(socket);
                }
            });
            match answer {
                Err(HostError::Netlink { source: Errno::ENOENT | Errno::EINVAL | Errno::EOPNOTSUPP, .. }) => {
                    unknown += 1;
                }
                answer => _ = answer?,
            }
        }
    }
    if unknown < KINDS { Ok(unknown) } else { Err(SOCKETS.failed(Errno::EOPNOTSUPP)) }
}

/// The cookie of a socket that was destroyed, if it had been bound.
pub(super) fn destroyed(message: &Message<'_>) -> Option<u64> {
    read(message, Protocol::TCP).filter(|socket| socket.local.port != 0).map(|socket| socket.cookie)
}

fn read(message: &Message<'_>, protocol: Protocol) -> Option<DiagSocket> {
    const CGROUP_ID: u16 = 21;
    let body = message.body;
    if message.kind != SOCK_DIAG_BY_FAMILY || body.len() < ANSWER {
        return None;
    }
    let family = *body.first()?;
    let local = Endpoint { ip: address(family, body.get(8..24)?)?, port: port(body, 4)? };
    let remote = Endpoint { ip: address(family, body.get(24..40)?)?, port: port(body, 6)? };
    let cgroup = attributes(body.get(ANSWER..)?).find(|(kind, _)| *kind == CGROUP_ID);
    Some(DiagSocket {
        protocol,
        local,
        remote: (remote.port != 0).then_some(remote),
        cookie: long(body, 44)?,
        inode: u64::from(number(body, 68)?),
        cgroup: cgroup.and_then(|(_, value)| long(value, 0)),
    })
}

fn address(family: u8, bytes: &[u8]) -> Option<IpAddr> {
    match family {
        AF_INET => Some(IpAddr::V4(Ipv4Addr::from(*bytes.first_chunk::<4>()?))),
        AF_INET6 => Some(IpAddr::V6(Ipv6Addr::from(*bytes.first_chunk::<16>()?)).to_canonical()),
        _ => None,
    }
}

fn port(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::host::netlink::attribute;

    fn answer(family: u8, local: &[u8], remote: &[u8], remote_port: u16) -> Vec<u8> {
        let mut body = vec![0; ANSWER];
        body[0] = family;
        body[4..6].copy_from_slice(&443_u16.to_be_bytes());
        body[6..8].copy_from_slice(&remote_port.to_be_bytes());
        body[8..8 + local.len()].copy_from_slice(local);
        body[24..24 + remote.len()].copy_from_slice(remote);
        body[44..52].copy_from_slice(&77_u64.to_ne_bytes());
        body[68..72].copy_from_slice(&4242_u32.to_ne_bytes());
        body.extend(attribute(8, &[0]));
        body.extend(attribute(21, &991_u64.to_ne_bytes()));
        body
    }

    fn message(body: &[u8]) -> Message<'_> {
        Message { kind: SOCK_DIAG_BY_FAMILY, flags: 0, sequence: 1, body }
    }

    #[test]
    fn a_socket_is_read_with_its_cgroup() {
        let socket = read(&message(&answer(AF_INET, &[10, 0, 0, 1], &[10, 0, 0, 2], 50_000)), Protocol::TCP);
        let socket = socket.expect("a socket");
        assert_eq!((socket.local.to_string(), socket.inode), ("10.0.0.1:443".to_owned(), 4242));
        assert_eq!(socket.remote.map(|remote| remote.to_string()).as_deref(), Some("10.0.0.2:50000"));
        assert_eq!((socket.cookie, socket.cgroup), (77, Some(991)));
    }

    #[test]
    fn a_mapped_address_is_written_as_ipv4_and_a_listener_has_no_other_end() {
        let mapped = Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped().octets();
        let socket = read(&message(&answer(AF_INET6, &mapped, &[], 0)), Protocol::UDP).expect("a socket");
        assert_eq!((socket.local.ip, socket.remote), (IpAddr::from([10, 0, 0, 1]), None));
        let listener = read(&message(&answer(AF_INET6, &[], &[], 0)), Protocol::TCP).expect("a socket");
        assert_eq!(listener.local.ip, IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        assert_eq!(read(&message(&answer(1, &[], &[], 0)), Protocol::TCP), None, "no internet socket");
        assert_eq!(read(&message(&answer(AF_INET, &[], &[], 0)[..ANSWER - 1]), Protocol::TCP), None, "cut");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..160)) {
            let _ = (read(&message(&bytes), Protocol::TCP), destroyed(&message(&bytes)));
        }
    }
}
