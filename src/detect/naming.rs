//! The name of the other end of a flow, or of a finding.
//!
//! Contract: what the flow says itself comes before what its originator asked for, and that before what others asked for. Limits: a name is what somebody
//! wrote; it decides nothing alone.

use std::net::IpAddr;

use super::{Context, Finding};
use crate::input::FlowRecord;
use crate::inventory::Owner;
use crate::names::{Asker, KnownName, Names, said};
use crate::path::JudgedFlow;

/// Whose questions count for a flow from this source.
pub fn asker_of(owner: &Owner, ip: IpAddr) -> Asker {
    owner.workload().map_or_else(|| Asker::Address(ip.to_canonical()), |one| Asker::Workload(one.id.clone()))
}

/// The name of the end that a flow asked; `record` is as the one who asked reads it.
pub fn name_of(context: Context<'_>, flow: &JudgedFlow, record: &FlowRecord) -> Option<KnownName> {
    known_name(context.names, flow, record)
}

/// The same, outside of a rule.
pub fn known_name(names: &Names, flow: &JudgedFlow, record: &FlowRecord) -> Option<KnownName> {
    let own = record.app.as_deref().and_then(said);
    if own.is_some() || names.is_empty() {
        return own;
    }
    names.of(&asker_of(&flow.source, record.tuple.orig.ip), record.tuple.resp.ip, flow.oriented.at)
}

/// Adds the name of the other end to a finding that has none, and to why it is an anomaly.
pub fn add_name(names: &Names, finding: &mut Finding) {
    finding.name = finding.name.take().or_else(|| destination_name(names, finding));
    if let (Some(why), Some(known)) = (&mut finding.explanation, &finding.name)
        && why.name.is_none()
    {
        (why.name, why.name_known_by) = (Some(known.name.to_string()), Some(known.by.as_str()));
    }
}

/// The name of the other end that a finding is about.
fn destination_name(names: &Names, finding: &Finding) -> Option<KnownName> {
    let flow = finding.flow.as_ref().map(|flow| &flow.record);
    let own = flow.filter(|record| finding.destination.is_none_or(|end| end.ip == record.tuple.resp.ip));
    let by_itself = own.and_then(|record| record.app.as_deref()).and_then(said);
    let ip = finding.destination.map(|end| end.ip).or_else(|| flow.map(|record| record.tuple.resp.ip))?;
    let from = flow.map(|record| if record.tuple.resp.ip == ip { record.tuple.orig.ip } else { record.tuple.resp.ip });
    let by_workload = finding.workload.as_ref().map(|workload| Asker::Workload(workload.id.clone()));
    let asker = by_workload.or_else(|| from.map(|ip| Asker::Address(ip.to_canonical())));
    by_itself.or_else(|| names.of(&asker?, ip, flow.map_or(finding.at, |record| record.start)))
}
