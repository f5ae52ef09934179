//! A collector of the kernel's facts, with everything that it reported, and ways to find it again.

use std::sync::Arc;

use hopwatch::host::kernel::Collector;
use hopwatch::input::{
    InsideInterface, KernelFact, MissedKind, NamespaceView, NetnsId, ProcessNamespaces, SnifferKind, SnifferView,
    SocketView,
};
use hopwatch::time::Timestamp;

use super::hosts::Container;
use super::patience::wait_until;

/// A collector, and everything that it reported.
pub struct Watch {
    pub collector: Collector,
    pub second: i64,
    pub facts: Vec<KernelFact>,
}

impl Watch {
    pub fn new(containers: &[&Container]) -> Self {
        let mut watch = Self { collector: Collector::new().expect("the kernel"), second: 100, facts: Vec::new() };
        for container in containers {
            watch.start(container);
        }
        watch.scan();
        watch
    }

    pub fn start(&mut self, container: &Container) {
        assert!(self.collector.start(&container.id, container.pid));
    }

    /// What a look at everything reports; the clock goes on by a second.
    pub fn scan(&mut self) -> Vec<KernelFact> {
        self.second += 1;
        let facts = self.collector.scan(Timestamp::from_secs(self.second));
        self.facts.extend(facts.iter().cloned());
        facts
    }

    pub fn scan_sockets(&mut self) -> Vec<KernelFact> {
        self.second += 1;
        let facts = self.collector.scan_sockets(Timestamp::from_secs(self.second));
        self.facts.extend(facts.iter().cloned());
        facts
    }

    /// Looks until it was reported.
    pub fn until<T>(&mut self, what: &str, find: impl Fn(&[KernelFact]) -> Option<T>) -> T {
        let mut found = find(&self.facts);
        wait_until(what, || {
            if found.is_none() {
                self.scan();
                found = find(&self.facts);
            }
            found.is_some()
        });
        found.expect("found")
    }

    /// The last word on a namespace.
    pub fn view(&self, netns: NetnsId) -> Option<Arc<NamespaceView>> {
        self.facts.iter().rev().find_map(|fact| match fact {
            KernelFact::Namespace(view) if view.netns == netns => Some(Arc::clone(view)),
            _ => None,
        })
    }

    pub fn interface(&self, netns: NetnsId, name: &str) -> Option<InsideInterface> {
        self.view(netns)?.interfaces.iter().find(|interface| interface.name == name).cloned()
    }

    pub fn missed(&self, wanted: MissedKind) -> u64 {
        let counts = self.facts.iter().filter_map(|fact| match fact {
            KernelFact::Missed { what, count } if *what == wanted => Some(*count),
            _ => None,
        });
        counts.sum()
    }
}

pub fn processes(facts: &[KernelFact], container: &Container) -> Vec<Arc<ProcessNamespaces>> {
    let reported = facts.iter().filter_map(|fact| match fact {
        KernelFact::Processes(reported) if reported.workload == container.id => Some(Arc::clone(reported)),
        _ => None,
    });
    reported.collect()
}

pub fn socket(facts: &[KernelFact], netns: NetnsId, port: u16) -> Option<Arc<SocketView>> {
    facts.iter().rev().find_map(|fact| match fact {
        KernelFact::SocketOpened(view) if view.netns == netns && view.local.port == port => Some(Arc::clone(view)),
        _ => None,
    })
}

pub fn sniffer(facts: &[KernelFact], kind: SnifferKind) -> Option<Arc<SnifferView>> {
    facts.iter().find_map(|fact| match fact {
        KernelFact::SnifferOpened(view) if view.kind == kind => Some(Arc::clone(view)),
        _ => None,
    })
}
