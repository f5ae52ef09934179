//! Hops: how they are recognised, and whether anything could ever prove them.
//!
//! Contract: a kind of evidence that can never hold for a hop, and a key that nothing reads, are mistakes at their place.
//! Limits: what the configuration alone shows; whether an interface is captured is reported by `lints`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Check, ports, selectors};
use crate::config::file::HopFile;
use crate::config::located::Located;
use crate::config::problem::quoted;
use crate::config::scalar::{InterfaceGlob, Label};
use crate::path::{EvidenceKind, Hop, HopKind};

/// By which of these a hop is recognised.
struct Known {
    workloads: bool,
    addresses: bool,
    interfaces: bool,
}

impl Known {
    fn of(hop: &HopFile) -> Self {
        Self {
            workloads: !hop.workloads.is_empty(),
            addresses: !hop.addresses.is_empty(),
            interfaces: hop.interfaces.as_ref().is_some_and(|globs| !globs.value.is_empty()),
        }
    }

    /// What such a hop lacks, and what to add.
    fn lacks(&self, kind: HopKind) -> Option<(&'static str, &'static str)> {
        let (enough, lacks, help) = match kind {
            HopKind::Endpoint | HopKind::Gateway => (
                self.workloads || self.addresses,
                "neither workloads nor addresses, so nothing can be it",
                "add workloads: [{name: \"…\"}] or addresses: [\"…\"]",
            ),
            HopKind::Inline | HopKind::Mirror => (
                self.interfaces || self.workloads,
                "neither interfaces nor workloads, so nothing can be seen there",
                "add interfaces: [\"…\"], where its traffic is seen, or workloads: [{name: \"…\"}]",
            ),
            HopKind::Sidecar => (
                self.workloads,
                "no workloads, and only a workload can share another's network namespace",
                "add workloads: [{name: \"…\"}]",
            ),
        };
        (!enough).then_some((lacks, help))
    }

    /// What must be given for this kind of evidence and is not.
    const fn lacks_for(&self, evidence: EvidenceKind) -> Option<&'static str> {
        let (enough, lacks) = match evidence {
            EvidenceKind::Transit => (self.interfaces || self.workloads, "neither interfaces nor workloads"),
            EvidenceKind::Owner => (self.workloads, "no workloads, whose sockets they could be"),
            EvidenceKind::Peer | EvidenceKind::NextHop | EvidenceKind::Redirect | EvidenceKind::Relay => {
                (self.workloads || self.addresses, "neither workloads nor addresses")
            }
        };
        if enough { None } else { Some(lacks) }
    }
}

impl Check<'_> {
    pub(super) fn hops(&mut self, file: &BTreeMap<Located<Label>, Located<HopFile>>) {
        for (name, hop) in file {
            if self.is_whole(hop) {
                self.hop_mistakes(name, &hop.value);
            }
            self.hops.insert(name.value.0.clone(), Arc::new(built(&name.value.0, &hop.value)));
        }
    }

    fn hop_mistakes(&mut self, name: &Located<Label>, hop: &HopFile) {
        let known = Known::of(hop);
        if let Some((lacks, help)) = known.lacks(hop.kind.value) {
            let message = format!("the hop {} has {lacks}", quoted(&name.value.0));
            self.report(name.span, message, Some(help.to_owned()));
            return;
        }
        if let Some(evidence) = &hop.evidence {
            self.evidence_mistakes(name, hop, evidence, &known);
        }
        self.ports_nobody_reads(name, hop);
    }

    fn evidence_mistakes(
        &mut self,
        name: &Located<Label>,
        hop: &HopFile,
        evidence: &Located<Vec<Located<EvidenceKind>>>,
        known: &Known,
    ) {
        let usual = list(hop.kind.value.evidence());
        if evidence.value.is_empty() {
            let help = Some(format!("take the key out, or write [{usual}]"));
            self.report(evidence.span, "without evidence nothing can prove the hop".to_owned(), help);
        }
        for (index, kind) in evidence.value.iter().enumerate() {
            let word = kind.value.as_str();
            if evidence.value[..index].contains(kind) {
                self.report(kind.span, format!("{word} is named twice"), Some("name it once".to_owned()));
            } else if let Some(lacks) = known.lacks_for(kind.value) {
                let message = format!("{word} can never prove the hop {}: it has {lacks}", quoted(&name.value.0));
                self.report(kind.span, message, Some(format!("take {word} out, or give what it needs")));
            }
        }
    }

    fn ports_nobody_reads(&mut self, name: &Located<Label>, hop: &HopFile) {
        let Some(ports) = hop.ports.as_ref().filter(|ports| !ports.value.is_empty()) else { return };
        let evidence = hop.evidence();
        if evidence.is_empty() || evidence.iter().any(|kind| reads_ports(*kind)) {
            return;
        }
        let message = format!(
            "the hop {} is proven by {}, and that is the same at every port",
            quoted(&name.value.0),
            list(&evidence)
        );
        let help =
            "ports of a hop are where it serves; which traffic must pass it is said by the ports of the contract";
        self.report(ports.span, message, Some(help.to_owned()));
    }
}

/// Whether the evidence holds only at the ports at which the hop serves.
const fn reads_ports(evidence: EvidenceKind) -> bool {
    matches!(evidence, EvidenceKind::Peer | EvidenceKind::Redirect | EvidenceKind::Relay)
}

fn list(evidence: &[EvidenceKind]) -> String {
    evidence.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ")
}

fn built(name: &str, hop: &HopFile) -> Hop {
    Hop {
        name: name.to_owned(),
        kind: hop.kind.value,
        workloads: selectors(&hop.workloads),
        addresses: hop.addresses.iter().map(|range| range.value.0).collect(),
        interfaces: hop.interfaces.iter().flat_map(|globs| &globs.value).filter_map(InterfaceGlob::matcher).collect(),
        ports: hop.ports.as_ref().map(|listed| ports(&listed.value)).unwrap_or_default(),
        evidence: hop.evidence(),
    }
}
