//! Programs of traffic control (tc) on an interface, over netlink.
//!
//! Contract: says of an interface whether a filter hangs at its ingress or egress. Limits: one list of all queueing disciplines,
//! then a question for each way of each interface asked for that has a `clsact` or `ingress` one; the answer is not read beyond
//! its first filter. Filters inside ordinary egress queues, and programs attached by `tcx` links, are not listed here.
//! Source: tc(8), tc-bpf(8), `linux/pkt_sched.h`.

use std::collections::BTreeMap;

use nix::sys::socket::SockProtocol;

use super::HostError;
use super::netlink::{BUFFER, Message, Netlink, Query, attributes, number};

const RTM_NEWQDISC: u16 = 36;
const RTM_GETQDISC: u16 = 38;
const RTM_NEWTFILTER: u16 = 44;
const RTM_GETTFILTER: u16 = 46;
const DISCIPLINES: Query = Query::new("the list of queueing disciplines", RTM_GETQDISC);
const FILTERS: Query = Query::new("the list of traffic control filters", RTM_GETTFILTER);
/// Length of `struct tcmsg`.
const TCMSG: usize = 20;
/// `TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS)` and the same with `TC_H_MIN_EGRESS`.
const INGRESS: u32 = 0xffff_fff2;
const EGRESS: u32 = 0xffff_fff3;

/// Where filters can hang.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hook {
    /// `ingress`: only what comes in.
    Ingress,
    /// `clsact`: both ways.
    Both,
}

/// Interfaces (by index) at which filters can hang.
#[derive(Debug, Default)]
pub(super) struct Hooks(BTreeMap<u32, Hook>);

/// All of this network namespace.
pub(super) fn hooks() -> Result<Hooks, HostError> {
    let mut hooks = Hooks::default();
    open(&DISCIPLINES)?.dump(&DISCIPLINES, &[0; TCMSG], &mut vec![0; BUFFER], |message| {
        if message.kind == RTM_NEWQDISC {
            hooks.0.extend(hook(message.body));
        }
    })?;
    Ok(hooks)
}

fn hook(body: &[u8]) -> Option<(u32, Hook)> {
    const KIND: u16 = 1;
    let index = number(body, 4)?;
    let (_, name) = attributes(body.get(TCMSG..)?).find(|(kind, _)| *kind == KIND)?;
    match name {
        b"ingress\0" => Some((index, Hook::Ingress)),
        b"clsact\0" => Some((index, Hook::Both)),
        _ => None,
    }
}

impl Hooks {
    /// `tc ingress`, `tc egress`, in order; empty where no filter hangs.
    pub(super) fn programs(&self, index: u32) -> Result<Vec<String>, HostError> {
        let ways: &[(u32, &str)] = match self.0.get(&index) {
            None => &[],
            Some(Hook::Ingress) => &[(INGRESS, "tc ingress")],
            Some(Hook::Both) => &[(EGRESS, "tc egress"), (INGRESS, "tc ingress")],
        };
        let mut programs = Vec::new();
        for (parent, name) in ways {
            if has_filter(index, *parent)? {
                programs.push((*name).to_owned());
            }
        }
        Ok(programs)
    }
}

fn has_filter(index: u32, parent: u32) -> Result<bool, HostError> {
    let mut body = [0; TCMSG];
    body[4..8].copy_from_slice(&index.to_ne_bytes());
    body[12..16].copy_from_slice(&parent.to_ne_bytes());
    let is_filter = |message: &Message<'_>| message.kind == RTM_NEWTFILTER;
    open(&FILTERS)?.has(&FILTERS, &body, is_filter)
}

fn open(query: &Query) -> Result<Netlink, HostError> {
    Netlink::open(SockProtocol::NetlinkRoute, 0).map_err(|error| query.failed(error))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::netlink::build::attribute;
    use super::*;

    fn qdisc(index: u32, kind: &[u8]) -> Vec<u8> {
        let mut body = vec![0; TCMSG];
        body[4..8].copy_from_slice(&index.to_ne_bytes());
        [body, attribute(1, kind)].concat()
    }

    #[test]
    fn only_disciplines_at_which_filters_see_frames_count() {
        assert_eq!(hook(&qdisc(7, b"clsact\0")), Some((7, Hook::Both)));
        assert_eq!(hook(&qdisc(7, b"ingress\0")), Some((7, Hook::Ingress)));
        assert_eq!(hook(&qdisc(7, b"fq_codel\0")), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = hook(&bytes);
        }
    }
}
