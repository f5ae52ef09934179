//! Address translation, as the kernel's connection tracking shows it.
//!
//! Contract: a binding joins the two five-tuples of one connection, before and after translation; only connections that are translated are reported.
//! Source: the tuples of `nf_conntrack` netlink messages (`CTA_TUPLE_ORIG`, `CTA_TUPLE_REPLY`). Limits: an entry that came and went while
//! events were lost is reported only as [`NatFact::Missed`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{FiveTuple, NetnsId};
use crate::time::Timestamp;

/// What connection tracking reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NatFact {
    /// From now on every binding of this namespace is reported; those that stood were reported before.
    Watched {
        /// Which; absent for the host's own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        netns: Option<NetnsId>,
    },
    /// Bindings of this namespace are no longer reported.
    Unwatched {
        /// Which; absent for the host's own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        netns: Option<NetnsId>,
        /// Why.
        error: String,
    },
    /// A connection is translated.
    Bound(NatBinding),
    /// Its entry is gone; late packets may still come.
    Released(NatBinding),
    /// Every binding of the host's up to a time has been reported: a connection from before it that is not reported is not translated.
    UpToDate {
        /// Up to when.
        until: Timestamp,
    },
    /// Events were lost: bindings between `since` and now may be unknown.
    Missed {
        /// How many events; 0 where the number cannot be known.
        count: u64,
        /// Start of the window.
        since: Timestamp,
    },
}

/// The two sides of a translated connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct NatBinding {
    /// In which namespace it is translated; absent for the host's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub netns: Option<NetnsId>,
    /// As the originator sent it.
    pub before: FiveTuple,
    /// As it leaves the translation, in the same direction: from the translated source to who really answers.
    pub after: FiveTuple,
}

impl NatBinding {
    /// The tuples under which its packets can be seen, in its direction: before, after, and between the translation of one end and of the other.
    pub const fn tuples(&self) -> [FiveTuple; 4] {
        let Self { before, after, .. } = *self;
        let protocol = before.protocol;
        let answered_elsewhere = FiveTuple { protocol, orig: before.orig, resp: after.resp };
        let asked_elsewhere = FiveTuple { protocol, orig: after.orig, resp: before.resp };
        [before, after, answered_elsewhere, asked_elsewhere]
    }

    /// Whether a tuple of it is read in its direction.
    pub fn reads_forward(&self, tuple: &FiveTuple) -> bool {
        self.tuples().contains(tuple)
    }
}
