//! `relay`: the leg to the hop is matched with a leg from the hop to the target.
//!
//! Contract: a match proves both legs; no match proves nothing, since the hop may answer by itself (a cache, a refusal).

use std::sync::Arc;

use super::Proof;
use crate::path::judge::Case;
use crate::path::{EvidenceKind, Hop, Unobservable, relay};

const KIND: EvidenceKind = EvidenceKind::Relay;

impl Case<'_> {
    pub(super) fn relay(&self, hop: &Arc<Hop>) -> Proof {
        if !self.answers(hop) {
            let text = format!("the responder {} is not the hop {}", self.trail.ends().resp, hop.name);
            return Proof::Fails { kind: KIND, partly: None, text };
        }
        if let Some(unanswered) = self.unanswered(KIND, hop) {
            return unanswered;
        }
        let inbound = self.trail.flow.read(self.trail.record);
        let mut legs = self.context.path.legs.of(&hop.name);
        let matched = legs.find_map(|leg| Some((leg, relay::matched(&inbound, leg)?)));
        if let Some((leg, found)) = matched {
            let text = format!("the hop {} carried it on to {}: {}", hop.name, leg.tuple.resp, found.text);
            return Proof::holds(KIND, hop, text);
        }
        if self.trail.may_wait {
            return Proof::Wait;
        }
        let text = format!("no leg from the hop {} matches this one", hop.name);
        Proof::Unknown { kind: KIND, reason: Unobservable::OneSided, text }
    }
}
