//! The kernel's word on the settings of a workload's network namespace.
//!
//! Contract: what opens the network of a namespace later than [`SETTLE`] after a workload and the interface were seen in it first, and was not so then, is reported once until it is
//! closed again; so is what is open although the runtime was asked to close it. What a namespace or an interface begins with is nobody's act: it comes from the host's own settings, or
//! from the plugin that made the interface (ADR 29). An interface is its index: another name begins nothing. Interfaces that one setting opens are one alert, `conf/all` is another.
//! Limits: [`MAX_NAMESPACES`]; settings that were changed before hopwatch looked first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{META, effect, is_named};
use crate::detect::told_and_seen::Seen;
use crate::detect::{Context, Finding, Findings, HoldTime, placement};
use crate::input::{Configuration, InterfaceSettings, KernelFact, NamespaceView, NetnsId, RecordedFact, WorkloadId};
use crate::path::{Evidence, Selector};
use crate::time::Timestamp;

/// Namespaces whose first settings are remembered: as many as the kernel's state holds.
const MAX_NAMESPACES: usize = 32_768;
/// Settings that one finding names.
const MAX_NAMED: usize = 16;
/// Runtimes, network plugins and entry points set what they need by then.
const SETTLE: HoldTime = HoldTime::secs(5);

/// Whose settings: those of all interfaces (`conf/all`), or of the interface with this index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Scope {
    All,
    Interface(u32),
}

/// A setting: the part of its name before the interface's, and the part behind it.
type Setting = (&'static str, &'static str);

/// One setting of one scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    scope: Scope,
    setting: Setting,
}

/// What opens the network: its whole name, for texts, and its value.
#[derive(Debug)]
struct Open {
    name: String,
    value: u32,
}

/// What is known of a namespace.
#[derive(Debug)]
struct Known {
    first: Timestamp,
    workloads: Vec<WorkloadId>,
    /// When the settings of each interface, and of all, were first seen.
    scopes: BTreeMap<Scope, Timestamp>,
    /// What is open and was so at the beginning, or was reported.
    open: BTreeSet<Place>,
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
            Known { first: context.now, workloads: Vec::new(), scopes: BTreeMap::new(), open: BTreeSet::new() }
        });
        let opened = known.look(context.now, view);
        for (name, texts) in by_setting(opened) {
            self.report(context, view, &format!("kernel settings changed: {name}"), &texts, findings);
        }
    }

    /// What the runtime was asked to close and is open, once the namespace has settled.
    fn compare(&mut self, context: Context<'_>, netns: NetnsId, findings: &mut Findings) {
        let Some(view) = context.timeline.kernel().namespace(netns) else { return };
        let owner = placement::owner_of(context.timeline, netns);
        let told = owner.and_then(|owner| owner.configuration.as_deref());
        let contradicted = told.map(|told| contradicted(told, view)).unwrap_or_default();
        let Some(first) = contradicted.first() else { return };
        let name = first.split(' ').next().unwrap_or_default();
        let cause = format!("kernel settings not as asked for: {name}");
        self.report(context, view, &cause, &contradicted, findings);
    }

    fn report(
        &self,
        context: Context<'_>,
        view: &NamespaceView,
        cause: &str,
        settings: &[String],
        findings: &mut Findings,
    ) {
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
        let finding = Finding::of_workload(&META, context.now, owner, cause, evidence);
        findings.push(Finding { is_change: true, ..finding });
    }
}

impl Known {
    /// Takes in what a look shows; answers what was opened after its beginning.
    fn look(&mut self, now: Timestamp, view: &NamespaceView) -> BTreeMap<Place, Open> {
        if view.workloads.iter().any(|id| !self.workloads.contains(id)) {
            self.first = now;
        }
        self.workloads.clone_from(&view.workloads);
        let there: BTreeSet<u32> = view.interfaces.iter().map(|one| one.index).collect();
        self.scopes.retain(|scope, _| match scope {
            Scope::All => true,
            Scope::Interface(index) => there.contains(index),
        });
        let told: BTreeSet<Scope> = scopes(view).map(|(scope, ..)| scope).collect();
        for scope in &told {
            self.scopes.entry(*scope).or_insert(now);
        }
        let (first, scopes, shown) = (self.first, &self.scopes, open(view));
        // What this look does not report of an interface is as it was.
        let is_untold = |scope: &Scope| scopes.contains_key(scope) && !told.contains(scope);
        self.open.retain(|place| shown.contains_key(place) || is_untold(&place.scope));
        let has_settled = |scope: &Scope| {
            let began = scopes.get(scope).map_or(now, |seen| first.max(*seen));
            now.since(began) >= SETTLE.get()
        };
        let mut opened = BTreeMap::new();
        for (place, one) in shown {
            if self.open.insert(place) && has_settled(&place.scope) {
                opened.insert(place, one);
            }
        }
        opened
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

impl Open {
    /// What it opens.
    fn effect(&self) -> Option<&'static str> {
        effect(&self.name, &self.value.to_string())
    }

    fn changed(&self) -> String {
        let Self { name, value } = self;
        format!("{name} became {value} after the container had started: {}", self.effect().unwrap_or_default())
    }
}

/// `all`, and interfaces, whose settings are known, with their names.
fn scopes(view: &NamespaceView) -> impl Iterator<Item = (Scope, &str, InterfaceSettings)> {
    let all = view.settings.map(|settings| (Scope::All, "all", settings));
    let each = view.interfaces.iter();
    all.into_iter().chain(each.filter_map(|one| Some((Scope::Interface(one.index), one.name.as_str(), one.settings?))))
}

/// The settings that open the network now. Their names are written with dots, also where `sysctl` writes slashes for the dots of an interface's name.
fn open(view: &NamespaceView) -> BTreeMap<Place, Open> {
    let mut open = BTreeMap::new();
    for (scope, interface, settings) in scopes(view) {
        for (before, after, value) in settings.each() {
            let one = Open { name: format!("{before}{interface}{after}"), value };
            if one.effect().is_some() {
                open.insert(Place { scope, setting: (before, after) }, one);
            }
        }
    }
    open
}

/// What was opened, setting by setting: its name with `*` for interfaces, or with `all` where `conf/all` is among them, and a text for each.
/// Another setting is another alert: an alert's count does not name what came later.
fn by_setting(opened: BTreeMap<Place, Open>) -> BTreeMap<String, Vec<String>> {
    let is_of_all: BTreeSet<Setting> =
        opened.keys().filter(|place| place.scope == Scope::All).map(|place| place.setting).collect();
    let mut settings: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (place, one) in opened {
        let (before, after) = place.setting;
        let scope = if is_of_all.contains(&place.setting) { "all" } else { "*" };
        settings.entry(format!("{before}{scope}{after}")).or_default().push(one.changed());
    }
    settings
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
            let found = now.values().find(|one| one.name == shown)?.value;
            Some(format!("{name} is {found}, although the runtime was asked for {}", value.trim()))
        })
        .collect()
}
