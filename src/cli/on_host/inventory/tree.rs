//! `hopwatch inventory --tree`: host → runtimes → networks → interfaces → network namespaces → workloads.
//!
//! Contract: what the runtimes say, beside what the kernel shows; where the two disagree the line begins with `!`. A workload is described
//! once, under its first network; elsewhere its name refers to that. Limits: text of runtimes is escaped and cut at [`crate::cli::node::MOST`] characters.
//! Design: pure; [`super`] asks the runtimes and the kernel.

mod known;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use self::known::Known;
use crate::cli::tree_printer::Node;
use crate::host::Interface;
use crate::input::{
    Attachment, InsideInterface, InventoryEvent, KernelFact, MissedKind, NetnsId, NetworkMode, RuntimeId,
    RuntimeNetwork, Workload, WorkloadId,
};
use crate::wording::many;

/// The whole tree.
pub(super) fn render(host: &str, events: &[InventoryEvent], facts: &[KernelFact], links: &[Interface]) -> Node {
    let known = Known::new(events, facts);
    Planter { known: &known, links, shown: BTreeSet::new() }.host(host)
}

struct Planter<'a> {
    known: &'a Known<'a>,
    links: &'a [Interface],
    /// Workloads that were described already.
    shown: BTreeSet<&'a WorkloadId>,
}

impl<'a> Planter<'a> {
    fn host(&mut self, name: &str) -> Node {
        let known = self.known;
        let mut host = Node::new(format!("host {name}"));
        host.children = known.runtimes.iter().map(|runtime| self.runtime(*runtime)).collect();
        host.children.push(self.own_namespace());
        host.children.extend(self.lost());
        host.children.extend(known.orphans().map(|view| {
            let mut node = Node::new(format!("{} of no known workload", view.netns));
            node.children = view.interfaces.iter().filter(|inside| inside.name != "lo").map(inside_line).collect();
            node
        }));
        host.children
            .extend(known.missed().map(|(what, count)| Node::new(format!("not seen: {count} {}", missed(what)))));
        host
    }

    fn runtime(&mut self, runtime: Option<RuntimeId>) -> Node {
        let known = self.known;
        let name = runtime.map_or_else(|| "runtime".to_owned(), |runtime| runtime.to_string());
        let mut node = Node::new(format!("{name}: {}", many(known.of_runtime(runtime).count() as u64, "workload")));
        for network in known.networks_of(runtime) {
            node.children.push(self.network(runtime, network));
        }
        // A network that the runtime did not describe, such as one of another driver.
        for name in known.undescribed_networks(runtime) {
            let network = RuntimeNetwork {
                name: name.to_owned(),
                driver: "driver not known".to_owned(),
                ..RuntimeNetwork::default()
            };
            node.children.push(self.network(runtime, &network));
        }
        let left = |workload: &&Workload| workload.attachments.is_empty() && known.owner_of(workload).is_none();
        let left: Vec<_> =
            known.of_runtime(runtime).filter(left).filter(|w| w.network_mode != NetworkMode::Host).collect();
        let mut without = Node::new("without a network".to_owned());
        without.children = left.into_iter().map(|workload| self.in_namespace(workload)).collect();
        node.children.extend((!without.children.is_empty()).then_some(without));
        node
    }

    fn network(&mut self, runtime: Option<RuntimeId>, network: &RuntimeNetwork) -> Node {
        let mut parts = vec![network.driver.clone()];
        parts.extend(network.subnets.iter().map(ToString::to_string));
        parts.extend(network.bridge.as_ref().map(|bridge| self.on_host(bridge)));
        let mut node = Node::new(format!("network {}: {}", network.name, parts.join(", ")));
        let known = self.known;
        // One that joined another is shown with that one, whatever the runtime repeats of its networks.
        let attached =
            known.attached(runtime, network).into_iter().filter(|(workload, _)| known.owner_of(workload).is_none());
        for (workload, attachment) in attached {
            let mut end = Node::new(self.attachment(workload, attachment));
            end.children.push(self.in_namespace(workload));
            node.children.push(end);
        }
        node
    }

    /// `on br-front (up, 172.30.0.1)`.
    fn on_host(&self, name: &str) -> String {
        let Some(link) = self.links.iter().find(|link| link.name == name) else { return format!("on {name}") };
        let words = std::iter::once(up_word(link.up).to_owned()).chain(link.addresses.iter().map(ToString::to_string));
        format!("on {name} ({})", words.collect::<Vec<_>>().join(", "))
    }

    /// `veth5981c7a → eth0 172.30.0.2 02:42:ac:1e:00:02`.
    fn attachment(&self, workload: &Workload, attachment: &Attachment) -> String {
        let inside = self.known.view_of(&workload.id).and_then(|view| {
            view.interfaces.iter().find(|inside| attachment.addresses.iter().any(|ip| inside.addresses.contains(ip)))
        });
        let by_kernel = inside.and_then(|inside| inside.host_interface.as_deref());
        let outside = by_kernel.or(attachment.host_interface.as_deref()).unwrap_or("no interface on the host");
        let mut parts = vec![outside.to_owned(), "→".to_owned()];
        parts.extend(inside.map(|inside| inside.name.clone()));
        parts.extend(attachment.addresses.iter().map(ToString::to_string));
        parts.extend(attachment.mac.map(|mac| mac.to_string()));
        parts.join(" ")
    }

    /// The workload's namespace with all that is inside; only a reference where that was described already.
    fn in_namespace(&mut self, workload: &'a Workload) -> Node {
        let known = self.known;
        let netns = known.netns.get(&workload.id);
        let place = netns.map_or_else(|| "namespace not known".to_owned(), ToString::to_string);
        if self.shown.contains(&workload.id) {
            return Node::new(format!("{place} of {}, see above", workload.name));
        }
        let mut node = Node::new(place);
        if netns.is_some() && netns.copied() == known.host && workload.network_mode != NetworkMode::Host {
            node.text = format!("! {} is the host's own, though the runtime says {}", node.text, workload.network_mode);
        } else if let Some(view) = known.view_of(&workload.id) {
            let others = view.interfaces.iter().filter(|inside| is_extra(inside, workload));
            node.children.extend(others.map(inside_line));
        }
        node.children.extend(self.members(workload));
        node
    }

    /// The workload, and those that joined its namespace; a pod's are grouped.
    fn members(&mut self, owner: &'a Workload) -> Vec<Node> {
        let known = self.known;
        let mut nodes: Vec<Node> = vec![self.workload(owner)];
        nodes.extend(known.joined(&owner.id).iter().map(|workload| self.workload(workload)));
        match &owner.pod {
            Some(pod) => {
                let mut group = Node::new(format!("pod {}/{}", pod.namespace, pod.name));
                group.children = nodes;
                vec![group]
            }
            None => nodes,
        }
    }

    fn workload(&mut self, workload: &'a Workload) -> Node {
        self.shown.insert(&workload.id);
        let known = self.known;
        let mut words = vec![workload.name.clone(), workload.id.short().to_owned(), workload.image.clone()];
        words.push(workload.state.as_str().to_owned());
        words.extend(workload.pid.map(|pid| format!("pid {pid}")));
        if let (Some(project), Some(service)) = (workload.compose_project(), workload.compose_service()) {
            words.push(format!("service {project}/{service}"));
        }
        if workload.pod.as_ref().is_some_and(|pod| pod.sandbox) {
            words.push("the pod's sandbox".to_owned());
        }
        match &workload.network_mode {
            NetworkMode::Own => {}
            NetworkMode::Container(owner) => words.push(format!("joined {}", known.name_of(owner))),
            mode => words.push(format!("network {mode}")),
        }
        let mut node = Node::new(words.join(", "));
        node.children = self.mismatches(workload);
        node
    }

    /// Where the kernel shows something else than the runtime says.
    fn mismatches(&self, workload: &Workload) -> Vec<Node> {
        let known = self.known;
        let mut nodes = Vec::new();
        let own = known.netns.get(&workload.id);
        let expected = match &workload.network_mode {
            NetworkMode::Host => known.host,
            NetworkMode::Container(owner) => known.netns.get(owner).copied(),
            _ => own.copied(),
        };
        if let (Some(own), Some(expected)) = (own, expected)
            && *own != expected
        {
            nodes.push(Node::new(format!("! is in {own}, though the runtime says {}", self.place(expected))));
        }
        nodes.extend(known.strays(&workload.id).iter().map(|stray| {
            Node::new(format!("! process {} ({}) is in {}", stray.pid, stray.command, self.place(stray.netns)))
        }));
        nodes
    }

    fn place(&self, netns: NetnsId) -> String {
        if self.known.host == Some(netns) { format!("{netns}, the host's own") } else { netns.to_string() }
    }

    /// The host's namespace: its interfaces that are no end of a container, and the workloads in it.
    fn own_namespace(&mut self) -> Node {
        let known = self.known;
        let netns = known.host.map(|netns| format!(" {netns}")).unwrap_or_default();
        let mut node = Node::new(format!("the host's own network namespace{netns}"));
        let ends: BTreeSet<&str> = known.host_ends().collect();
        let links = self.links.iter().filter(|link| !ends.contains(link.name.as_str()));
        node.children.extend(links.map(|link| {
            let mac = link.mac.map(|mac| mac.to_string());
            let words = link.addresses.iter().map(ToString::to_string).chain(mac).collect::<Vec<_>>().join(" ");
            Node::new(format!("{} ({}) {words}", link.name, up_word(link.up)))
        }));
        let here = known.workloads.iter().copied().filter(|workload| workload.network_mode == NetworkMode::Host);
        for workload in here.collect::<Vec<_>>() {
            node.children.extend(self.members(workload));
        }
        node
    }

    /// Those whose owner no runtime knows, and circles.
    fn lost(&mut self) -> Option<Node> {
        let known = self.known;
        let mut node = Node::new("joined a workload that is not known".to_owned());
        for workload in known.workloads.iter().copied().filter(|workload| known.owner_of(workload).is_some()) {
            if !self.shown.contains(&workload.id) {
                node.children.extend(self.members(workload));
            }
        }
        (!node.children.is_empty()).then_some(node)
    }
}

const fn up_word(up: bool) -> &'static str {
    if up { "up" } else { "down" }
}

/// An interface inside that is neither `lo` nor one that the runtime gave.
fn is_extra(inside: &InsideInterface, workload: &Workload) -> bool {
    let given = || workload.addresses().any(|ip| inside.addresses.contains(&ip));
    inside.name != "lo" && !given()
}

/// `tun0 (tun, up, promiscuous) 10.8.0.1`.
fn inside_line(inside: &InsideInterface) -> Node {
    let mut marks = Vec::new();
    if !inside.kind.is_empty() {
        marks.push(inside.kind.as_str());
    }
    marks.push(up_word(inside.up));
    if inside.promiscuity > 0 {
        marks.push("promiscuous");
    }
    let mut words = vec![format!("{} ({})", inside.name, marks.join(", "))];
    words.extend(inside.addresses.iter().map(ToString::to_string));
    words.extend(inside.host_interface.iter().map(|name| format!("of {name}")));
    Node::new(words.join(" "))
}

const fn missed(what: MissedKind) -> &'static str {
    match what {
        MissedKind::ShortSocket => "sockets that were open too shortly",
        MissedKind::SocketOwner => "sockets whose holder was gone or hidden",
        MissedKind::Process => "processes that ended meanwhile",
        MissedKind::HiddenProc => "workloads whose processes /proc hides; run as root",
        MissedKind::Namespace => "network namespaces that could not be entered; run as root",
        MissedKind::Overflow => "objects for which there was no room",
    }
}
