//! What is known of one hop.
//!
//! Contract: of several answers the better one counts, and of equals the first, so that the order of the file decides.

use std::sync::Arc;

use crate::input::Endpoint;
use crate::path::{Evidence, EvidenceKind, Hop, Unobservable};

/// What is known of one hop.
#[derive(Clone, Debug)]
pub(in crate::path::judge) enum Proof {
    /// It was passed.
    Holds { kind: EvidenceKind, hop: Arc<Hop>, text: Shown },
    /// It was not; by none of the flow, or only by a part of it: then the hop that saw this part.
    Fails { kind: EvidenceKind, partly: Option<Arc<Hop>>, text: String },
    /// It cannot be known.
    Unknown { kind: EvidenceKind, reason: Unobservable, text: String },
    /// It may still show.
    Wait,
}

/// How it shows that a hop was passed. Nearly every flow passes its hop, and no one reads why: that text is made when it is asked for.
#[derive(Clone, Debug)]
pub(in crate::path::judge) enum Shown {
    /// The end that answers is the hop.
    ByResponder(Endpoint),
    /// In words.
    Otherwise(String),
}

impl Proof {
    pub(super) fn holds(kind: EvidenceKind, hop: &Arc<Hop>, text: String) -> Self {
        Self::Holds { kind, hop: Arc::clone(hop), text: Shown::Otherwise(text) }
    }

    /// Why it cannot be known.
    pub(in crate::path::judge) const fn unknown(&self) -> Option<Unobservable> {
        match self {
            Self::Unknown { reason, .. } => Some(*reason),
            Self::Wait => Some(Unobservable::CaptureLoss),
            Self::Holds { .. } | Self::Fails { .. } => None,
        }
    }

    /// Whether the flow, or a part of it, passed.
    pub(in crate::path::judge) const fn is_passed(&self) -> bool {
        matches!(self, Self::Holds { .. } | Self::Fails { partly: Some(_), .. })
    }

    /// The hop that the flow, or a part of it, passed.
    pub(in crate::path::judge) const fn passed(&self) -> Option<&Arc<Hop>> {
        match self {
            Self::Holds { hop, .. } => Some(hop),
            Self::Fails { partly, .. } => partly.as_ref(),
            Self::Unknown { .. } | Self::Wait => None,
        }
    }

    /// What it says.
    pub(in crate::path::judge) fn evidence(&self) -> Option<Evidence> {
        let (kind, text) = match self {
            Self::Holds { kind, hop, text: Shown::ByResponder(end) } => {
                (kind, format!("the responder {end} is the hop {}", hop.name))
            }
            Self::Holds { kind, text: Shown::Otherwise(text), .. }
            | Self::Fails { kind, text, .. }
            | Self::Unknown { kind, text, .. } => (kind, text.clone()),
            Self::Wait => return None,
        };
        Some(Evidence::new(kind.as_str(), text))
    }

    /// The better answer is the smaller.
    pub(super) const fn rank(&self) -> u8 {
        match self {
            Self::Holds { .. } => 0,
            Self::Wait => 1,
            Self::Unknown { .. } => 2,
            Self::Fails { .. } => 3,
        }
    }
}

/// The best of several.
pub(super) fn best(proofs: impl Iterator<Item = Proof>) -> Option<Proof> {
    // The first of equals, so the order of the file decides.
    proofs.min_by_key(Proof::rank)
}
