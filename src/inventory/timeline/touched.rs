//! What facts may have changed, as flows show it of themselves: addresses, MACs and points.
//!
//! Contract: a flow that waits for the owner of something is found when the answer may be another one; more than that may be named, never less. Limits:
//! [`MAX_TOUCHED`] between two looks; beyond, everything counts as touched. Design: the indexes note each key that they change; a key that
//! no flow shows (a namespace, a joined workload) stands for what flows show of those who are there.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::Timeline;
use super::key::{Key, MAX_TOUCHED};
use crate::input::{Mac, ObservationPoint, Protocol};

/// What a flow shows of an end, or of its way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trace {
    /// An address, canonical.
    Address(IpAddr),
    /// A MAC.
    Mac(Mac),
    /// An observation point.
    Point(ObservationPoint),
    /// A port of either end.
    Port(Protocol, u16),
}

/// What was touched since the last look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Touched {
    /// More than is listed, or what all flows depend on.
    Everything,
    /// These.
    These(BTreeSet<Trace>),
}

impl Timeline {
    /// What was touched since this was asked last.
    pub fn take_touched(&mut self) -> Touched {
        let by_runtime = std::mem::take(&mut self.lifecycles.index.changed);
        let shown = std::mem::take(&mut self.namespaces.changed);
        let other = std::mem::take(&mut self.changed);
        if [&by_runtime, &shown, &other].iter().any(|changed| changed.everything) {
            return Touched::Everything;
        }
        let mut traces = BTreeSet::new();
        for key in by_runtime.keys.iter().chain(&shown.keys).chain(&other.keys) {
            if !self.traces(key, &mut traces) || traces.len() > MAX_TOUCHED {
                return Touched::Everything;
            }
        }
        Touched::These(traces)
    }

    /// What flows show of what is behind a key; false when that may be anything.
    fn traces(&self, key: &Key, traces: &mut BTreeSet<Trace>) -> bool {
        match key {
            Key::Ip(_) | Key::Mac(_) | Key::Veth(_) => traces.extend(trace(key)),
            Key::HostNetwork => return false,
            Key::Joined(id) => {
                let keys = self.lifecycles.keys_of(id);
                traces.extend(keys.filter_map(trace));
                traces.extend(self.networks.inside_points(id).into_iter().map(Trace::Point));
            }
            Key::Home(ns) | Key::Stray(ns) => {
                if self.namespaces.host() == Some(*ns) {
                    return false;
                }
                traces.extend(self.namespaces.keys_in(*ns).filter_map(trace));
                for key in [Key::Home(*ns), Key::Stray(*ns)] {
                    let ids = self.lifecycles.index.ever(&key).map(|span| &span.workload.id);
                    traces.extend(ids.flat_map(|id| self.lifecycles.keys_of(id)).filter_map(trace));
                }
            }
        }
        true
    }
}

fn trace(key: &Key) -> Option<Trace> {
    match key {
        Key::Ip(ip) => Some(Trace::Address(*ip)),
        Key::Mac(mac) => Some(Trace::Mac(*mac)),
        Key::Veth(point) => Some(Trace::Point(point.clone())),
        Key::HostNetwork | Key::Joined(_) | Key::Home(_) | Key::Stray(_) => None,
    }
}
