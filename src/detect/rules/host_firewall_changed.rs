//! `host-firewall-changed`.
//!
//! Contract: a rule that steered or dropped and is gone, or is overruled by one before it, is reported when the firewall was quiet for
//! `settle`, or at the latest after [`LATEST`]; a rule set that is loaded again and means the same is nothing. Limits: [`MAX_NAMED`]
//! rules are named. Design: facts hold the whole set each time; what was there when it was quiet last is what the new set is compared with.

mod strategy;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use self::strategy::META;
use crate::detect::params::rule_params;
use crate::detect::{Context, Finding, Findings, HoldTime, Rule};
use crate::input::{FirewallFact, FirewallRule, FirewallRules, RecordedFact};
use crate::path::Evidence;
use crate::time::Timestamp;

/// Rules that the evidence names.
const MAX_NAMED: usize = 8;
/// A firewall that never is quiet is compared so long after its first change.
const LATEST: Duration = Duration::from_mins(1);

rule_params! {
    /// How long the firewall must be quiet before it is compared with what it was: a reload removes rules first and adds them then.
    settle: HoldTime = HoldTime::secs(5),
}

/// The rule.
#[derive(Debug)]
pub struct HostFirewallChanged {
    settle: Duration,
    before: Option<Arc<FirewallRules>>,
    change: Option<Change>,
    /// What was reported as gone, until it is back.
    lost: Vec<FirewallRule>,
}

#[derive(Debug)]
struct Change {
    since: Timestamp,
    due: Timestamp,
    now: Arc<FirewallRules>,
    processes: Vec<String>,
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    HostFirewallChanged { settle: params.settle.get(), before: None, change: None, lost: Vec::new() }
}

impl Rule for HostFirewallChanged {
    fn on_fact(&mut self, context: Context<'_>, fact: &RecordedFact, findings: &mut Findings) {
        let RecordedFact::Firewall(FirewallFact::Rules(rules)) = fact else { return };
        if self.before.is_none() {
            self.before = Some(Arc::clone(rules));
            return;
        }
        let since = self.change.as_ref().map_or(context.now, |change| change.since);
        let mut processes = self.change.take().map(|change| change.processes).unwrap_or_default();
        for process in &rules.processes {
            if !processes.contains(process) && processes.len() < MAX_NAMED {
                processes.push(process.clone());
            }
        }
        let due = context.now.plus(self.settle).min(since.plus(LATEST));
        self.change = Some(Change { since, due, now: Arc::clone(rules), processes });
        findings.schedule(due);
    }

    fn on_time(&mut self, context: Context<'_>, findings: &mut Findings) {
        if self.change.as_ref().is_none_or(|change| change.due > context.now) {
            return;
        }
        let Some((change, before)) = self.change.take().zip(self.before.take()) else { return };
        let (gone, overruled) = compare(&before, &change.now);
        self.is_back(context.now, &change.now, findings);
        if !gone.is_empty() || !overruled.is_empty() {
            findings.push(finding(&change, &gone, &overruled));
        }
        self.lost.extend(gone);
        self.before = Some(change.now);
    }
}

impl HostFirewallChanged {
    /// Whether everything that was reported is there again.
    fn is_back(&mut self, now: Timestamp, rules: &FirewallRules, findings: &mut Findings) {
        let Some(first) = self.lost.first() else { return };
        let cause = cause(first);
        let there = counted(&rules.rules);
        if self.lost.iter().all(|rule| there.contains_key(&key(rule))) {
            let evidence = vec![Evidence::new("over", "the rules are there again")];
            findings.push(Finding { is_over: true, ..Finding::of_nobody(&META, now, &cause, evidence) });
            self.lost.clear();
        }
    }
}

type Key<'r> = (&'r str, &'r str, &'r str, &'r str);

fn key(rule: &FirewallRule) -> Key<'_> {
    (&rule.family, &rule.table, &rule.chain, &rule.id)
}

/// How often each rule is there, and how many overrule it at least.
fn counted(rules: &[FirewallRule]) -> BTreeMap<Key<'_>, (usize, u32)> {
    let mut all = BTreeMap::new();
    for rule in rules {
        let (count, overruled) = all.entry(key(rule)).or_insert((0, u32::MAX));
        (*count, *overruled) = (*count + 1, rule.overruled_by.min(*overruled));
    }
    all
}

/// The rules that are gone, and those that are overruled by more than before.
fn compare(before: &FirewallRules, now: &FirewallRules) -> (Vec<FirewallRule>, Vec<FirewallRule>) {
    // What found no room may be what is missing.
    if now.omitted > before.omitted {
        return (Vec::new(), Vec::new());
    }
    let (was, is) = (counted(&before.rules), counted(&now.rules));
    let (mut gone, mut overruled) = (Vec::new(), Vec::new());
    for rule in &before.rules {
        match is.get(&key(rule)) {
            None => gone.push(rule.clone()),
            Some((_, by)) if was.get(&key(rule)).is_some_and(|(_, of)| by > of) => overruled.push(rule.clone()),
            Some(_) => {}
        }
    }
    (gone, overruled)
}

fn finding(change: &Change, gone: &[FirewallRule], overruled: &[FirewallRule]) -> Finding {
    let mut evidence = Vec::new();
    for (rules, what) in
        [(gone, "is gone"), (overruled, "is overruled by a new rule before it that accepts or returns")]
    {
        evidence
            .extend(rules.iter().take(MAX_NAMED).map(|rule| Evidence::new("rule", format!("{} {what}", words(rule)))));
        if rules.len() > MAX_NAMED {
            evidence.push(Evidence::new("rule", format!("and {} more", rules.len() - MAX_NAMED)));
        }
    }
    let who = if change.processes.is_empty() { "not known".to_owned() } else { change.processes.join(", ") };
    evidence.push(Evidence::new("process", format!("changed by a process that calls itself: {who}")));
    let steers = gone.iter().chain(overruled).any(FirewallRule::steers);
    let severity = if steers { META.severity } else { META.severity.lower() };
    let cause = gone.first().or(overruled.first()).map(cause).unwrap_or_default();
    Finding { severity, ..Finding::of_nobody(&META, change.since, &cause, evidence) }
}

fn cause(rule: &FirewallRule) -> String {
    format!("{} {} {} {}", rule.family, rule.table, rule.chain, rule.action)
}

fn words(rule: &FirewallRule) -> String {
    let FirewallRule { family, table, chain, action, .. } = rule;
    format!("a rule of table {family} {table}, chain {chain} ({action})")
}
