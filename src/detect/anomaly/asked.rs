//! The questions that a flow asked since it was looked at last.
//!
//! Contract: each question that a flow keeps is given once. Limits: [`MAX_FLOWS`] flows that go on; the questions of another are given when it ends. What a
//! flow asked beyond those that it keeps is not known by name.

use std::collections::BTreeMap;

use super::contacts::{Contact, ContactStep};
use crate::input::{DnsMessage, FlowId};

/// Flows of which is known how many of their questions were given.
const MAX_FLOWS: usize = 16_384;

/// How many questions of each flow were given.
#[derive(Debug, Default)]
pub struct Asked {
    given: BTreeMap<FlowId, usize>,
}

impl Asked {
    /// The questions of a contact that were not given yet.
    pub fn anew<'a>(&mut self, contact: &Contact<'a>) -> &'a [DnsMessage] {
        let Some(app) = contact.record.app.as_deref().filter(|app| !app.dns.is_empty()) else { return &[] };
        let id = contact.flow.view.record.id;
        let has_ended = contact.step == ContactStep::Ended;
        let given = if has_ended { self.given.remove(&id) } else { self.given.get(&id).copied() };
        if !has_ended {
            if given.is_none() && self.given.len() >= MAX_FLOWS {
                return &[];
            }
            self.given.insert(id, app.dns.len());
        }
        app.dns.get(given.unwrap_or(0)..).unwrap_or(&[])
    }
}
