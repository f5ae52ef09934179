//! The kernel's word on the settings of a workload's network namespace.
//!
//! Contract: what opens the network of a namespace later than [`SETTLE`] after a workload was seen in it first, and was not so then, is reported once until it is closed again; so is
//! what is open although the runtime was asked to close it. What a namespace begins with is nobody's act: it comes from the host's own settings (ADR 29).
//! Limits: [`MAX_NAMESPACES`]; settings that were changed before hopwatch looked first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{META, effect, is_named};
use crate::detect::told_and_seen::Seen;
use crate::detect::{Context, Finding, Findings, HoldTime, placement};
use crate::input::{
    Configuration, InsideInterface, InterfaceSettings, KernelFact, NamespaceView, NetnsId, RecordedFact, WorkloadId,
};
use crate::path::{Evidence, Selector};
use crate::time::Timestamp;

/// Namespaces whose first settings are remembered: as many as the kernel's state holds.
const MAX_NAMESPACES: usize = 32_768;
/// Settings that one finding names.
const MAX_NAMED: usize = 16;
/// Runtimes, network plugins and entry points set what they need by then.
const SETTLE: HoldTime = HoldTime::secs(5);

/// What is known of a namespace.
#[derive(Debug)]
struct Known {
    first: Timestamp,
    workloads: Vec<WorkloadId>,
    /// Interfaces (and `all`) whose beginning is known.
    scopes: BTreeSet<String>,
    /// What is open and was so at the beginning, or was reported.
    open: BTreeSet<String>,
}

/// What it knows.
#[derive(Debug, Default)]
pub(super) struct NamespaceSettings {
    allowed: Vec<Selector>,
    known: BTreeMap<NetnsId, Known>,
    waiting: BTreeMap<NetnsId, Timestamp>,
    forgotten: u64,
}

impl NamespaceSettings {
    pub(super) fn new(allowed: &[Selector]) -> Self {
        Self { allowed: allowed.to_vec(), ..Self::default() }
    }

    fn see(&mut self, context: Context<'_>, view: &Arc<NamespaceView>, findings: &mut Findings) {
        if view.host || view.workloads.is_empty() {
            return;
        }
        if self.known.len() >= MAX_NAMESPACES && !self.known.contains_key(&view.netns) {
            self.forgotten += 1;
            return;
        }
        let known = self.known.entry(view.netns).or_insert_with(|| {
            let due = context.now.plus(SETTLE.get());
            self.waiting.insert(view.netns, due);
            findings.schedule(due);
            Known { first: context.now, workloads: Vec::new(), scopes: BTreeSet::new(), open: BTreeSet::new() }
        });
        if view.workloads.iter().any(|id| !known.workloads.contains(id)) {
            known.first = context.now;
        }
        known.workloads.clone_from(&view.workloads);
        let has_settled = context.now.since(known.first) >= SETTLE.get();
        let now = open(view);
        known.open.retain(|name| now.contains_key(name));
        let scopes: BTreeSet<String> = scopes(view).map(|(scope, _)| scope.to_owned()).collect();
        let begins = |name: &str| !has_settled || !known.scopes.contains(scope_of(name));
        let (old, new): (Vec<_>, Vec<_>) = now.iter().partition(|(name, _)| begins(name));
        known.open.extend(old.into_iter().map(|(name, _)| name.clone()));
        let opened: Vec<(&String, &u32)> = new.into_iter().filter(|(name, _)| !known.open.contains(*name)).collect();
        let changed: Vec<String> = opened.iter().map(|(name, value)| changed(name, **value)).collect();
        known.open.extend(opened.into_iter().map(|(name, _)| name.clone()));
        known.scopes = scopes;
        self.report(context, view, "kernel settings changed", &changed, findings);
    }

    /// What the runtime was asked to close and is open, once the namespace has settled.
    fn compare(&mut self, context: Context<'_>, netns: NetnsId, findings: &mut Findings) {
        let Some(view) = context.timeline.kernel().namespace(netns) else { return };
        let owner = placement::owner_of(context.timeline, netns);
        let told = owner.and_then(|owner| owner.configuration.as_deref());
        let contradicted = told.map(|told| contradicted(told, view)).unwrap_or_default();
        self.report(context, view, "kernel settings not as asked for", &contradicted, findings);
    }

    fn report(
        &self,
        context: Context<'_>,
        view: &NamespaceView,
        cause: &str,
        settings: &[String],
        findings: &mut Findings,
    ) {
        let Some(first) = settings.first() else { return };
        let mut inside = view.workloads.iter().filter_map(|id| placement::running(context.timeline, id));
        if inside.any(|workload| Selector::any(&self.allowed, workload)) {
            return;
        }
        let Some(owner) = placement::owner_of(context.timeline, view.netns) else { return };
        let mut evidence: Vec<Evidence> =
            settings.iter().take(MAX_NAMED).map(|text| Evidence::new("setting", text.clone())).collect();
        if settings.len() > MAX_NAMED {
            evidence.push(Evidence::new("setting", format!("and {} more", settings.len() - MAX_NAMED)));
        }
        let text = format!(
            "in {}, as the kernel reports it; a process with NET_ADMIN in there or root of the host can do that, and no inspect shows it",
            view.netns
        );
        evidence.push(Evidence::new("namespace", text));
        // Another setting is another alert: an alert's count does not name what came later.
        let cause = format!("{cause}: {}", first.split(' ').next().unwrap_or_default());
        let finding = Finding::of_workload(&META, context.now, owner, &cause, evidence);
        findings.push(Finding { is_change: true, ..finding });
    }
}

impl Seen for NamespaceSettings {
    fn on_fact(&mut self, context: Context<'_>, fact: &RecordedFact, findings: &mut Findings) {
        match fact {
            RecordedFact::Kernel(KernelFact::Namespace(view)) => self.see(context, view, findings),
            RecordedFact::Kernel(KernelFact::NamespaceGone { netns }) => {
                self.known.remove(netns);
                self.waiting.remove(netns);
            }
            _ => {}
        }
    }

    fn on_time(&mut self, context: Context<'_>, findings: &mut Findings) {
        let ripe: Vec<NetnsId> =
            self.waiting.iter().filter(|(_, due)| **due <= context.now).map(|(netns, _)| *netns).collect();
        for netns in ripe {
            self.waiting.remove(&netns);
            self.compare(context, netns, findings);
        }
    }

    fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

/// Interfaces, and `all`, whose settings are known.
fn scopes(view: &NamespaceView) -> impl Iterator<Item = (&str, InterfaceSettings)> {
    let all = view.settings.map(|settings| ("all", settings));
    let each = view.interfaces.iter().filter_map(|one: &InsideInterface| Some((one.name.as_str(), one.settings?)));
    all.into_iter().chain(each)
}

/// The settings that open the network now, by their names in `sysctl`, which are written with slashes where an interface's has dots.
fn open(view: &NamespaceView) -> BTreeMap<String, u32> {
    let of = |(scope, settings): (&str, InterfaceSettings)| {
        settings.each().map(|(before, after, value)| (format!("{before}{scope}{after}"), value))
    };
    scopes(view).flat_map(of).filter(|(name, value)| effect(name, &value.to_string()).is_some()).collect()
}

/// The interface in a name.
fn scope_of(name: &str) -> &str {
    let rest = name.splitn(4, '.').nth(3).unwrap_or_default();
    rest.rsplit_once('.').map_or(rest, |(scope, _)| scope)
}

fn changed(name: &str, value: u32) -> String {
    let what = effect(name, &value.to_string()).unwrap_or_default();
    format!("{name} is {value} since after the start: {what}")
}

/// What the runtime was asked to keep closed, and is open.
fn contradicted(told: &Configuration, view: &NamespaceView) -> Vec<String> {
    let now = open(view);
    let asked = told.sysctls.iter().flatten().filter(|(name, value)| effect(name, value).is_none());
    asked
        .filter_map(|(name, value)| {
            let name = name.replace('/', ".");
            let is_forward = is_named(&name, "net.ipv4.ip_forward");
            let shown = if is_forward { "net.ipv4.conf.all.forwarding" } else { name.as_str() };
            let found = now.get(shown)?;
            Some(format!("{name} is {found}, although the runtime was asked for {}", value.trim()))
        })
        .collect()
}
