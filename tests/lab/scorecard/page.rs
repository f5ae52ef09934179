//! The page, in Markdown: the figures with their goals, and a row for each scenario.

use std::collections::BTreeMap;
use std::fmt;

use super::figures::{Delays, Goal, Share, milliseconds};
use super::{Run, Scorecard, add};

/// An alert comes within a second, unless the rule itself waits.
pub const LATEST_MS: u64 = 1000;
/// Flows that may be unobservable where every point is captured, in percent.
const UNOBSERVABLE: u64 = 1;

const HEAD: &str = "# Scorecard

Made by `make scorecard`: every scenario of the laboratory (`tests/lab/scenarios`), live with real containers, recorded and replayed; and captures
of benign traffic. What is rounded never looks better than it is. A benign twin is the same story with nothing to report. A flow counts as attributed
when one workload is named as its source; flows from outside and the host's own count neither way. A verdict counts once for each contract that
judged the flow.

| figure | value | goal | |
|---|---|---|---|
";

impl fmt::Display for Scorecard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HEAD)?;
        self.alerts(f)?;
        self.benign_captures(f)?;
        self.verdicts(f)?;
        self.delays(f)?;
        self.attribution(f)?;
        writeln!(
            f,
            "\n| scenario | passed | alerts raised | unexpected | unobservable | attributed | slowest alert | may take |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|---|")?;
        self.rows.iter().try_for_each(|run| row(f, run))
    }
}

impl Scorecard {
    fn runs(&self, of: impl Fn(&Run) -> bool) -> impl Iterator<Item = &Run> {
        self.rows.iter().filter(move |run| of(run))
    }

    /// Scenarios in which something was raised that was not expected, and how many came to their end.
    fn false_alerts(&self, benign: bool) -> (usize, Share) {
        let runs = || self.runs(|run| run.is_benign() == benign && run.summary.is_some());
        let alerts = runs().map(|run| run.unexpected).sum();
        let share = Share { part: count(runs().filter(|run| run.unexpected > 0)), whole: count(runs()) };
        (alerts, share)
    }

    fn alerts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let passed = Share { part: count(self.runs(|run| run.passed)), whole: self.scenarios as u64 };
        let left_out = self.scenarios.saturating_sub(self.rows.len());
        let left_out = if left_out == 0 { String::new() } else { format!(", {left_out} not run") };
        figure(f, "scenarios passed", format!("{passed}{left_out}"), "all", passed.full())?;
        let expected: usize = self.rows.iter().map(|run| run.expected).sum();
        let missed: usize = self.rows.iter().map(|run| run.missed).sum();
        let missed = Share { part: missed as u64, whole: expected as u64 };
        let raised = Share { part: missed.whole - missed.part, ..missed };
        figure(f, "true positives: expected alerts raised", raised, "all", raised.full())?;
        figure(f, "expected alerts missed", missed.part, "none", missed.none())?;
        for (benign, what) in
            [(true, "false positives on the benign twins"), (false, "false positives beside expected alerts")]
        {
            let (alerts, share) = self.false_alerts(benign);
            figure(f, what, format!("{alerts} in {} scenarios", share.whole), "none", share.none())?;
        }
        Ok(())
    }

    fn benign_captures(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = "false positives on benign captures";
        match &self.benign {
            Err(why) => figure(f, what, format!("not measured: {why}"), "none", Goal::NotMeasured),
            Ok(benign) => {
                let mut value = format!(
                    "{} in {} captures with {} flows",
                    benign.alerts - benign.told_by_right,
                    benign.captures,
                    benign.flows
                );
                if benign.told_by_right > 0 {
                    value += &format!("; {} more are right, the captures show what they tell", benign.told_by_right);
                }
                figure(f, what, value, "none", Goal::of(true, benign.alerts == benign.told_by_right))
            }
        }
    }

    fn verdicts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut verdicts, mut reasons) = (BTreeMap::new(), BTreeMap::new());
        for run in &self.rows {
            run.verdicts().into_iter().for_each(|(verdict, count)| *verdicts.entry(verdict).or_default() += count);
            run.summary.iter().for_each(|summary| add(&mut reasons, &summary["unobservable"]));
        }
        plain(f, "verdicts", list(&verdicts))?;
        let all = sum(self.rows.iter().map(Run::unobservable));
        let reasons = reasons.iter().map(|(reason, count)| {
            let share = Share { part: *count, whole: all.whole }.at_most();
            (*count > 0).then(|| format!("{reason} {count} ({share})"))
        });
        plain(f, "unobservable, by reason", or_none(&reasons.flatten().collect::<Vec<_>>()))?;
        plain(f, "share unobservable, all scenarios", format!("{all}: {}", all.at_most()))?;
        let whole = sum(self.runs(|run| run.whole).map(Run::unobservable));
        let what = format!(
            "share unobservable where every point is captured ({} scenarios)",
            count(self.runs(|run| run.whole))
        );
        figure(f, &what, format!("{whole}: {}", whole.at_most()), "≤ 1 %", whole.within(UNOBSERVABLE))
    }

    fn delays(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let delays = |of: &dyn Fn(&Run) -> bool| self.runs(of).flat_map(|run| run.delays.clone()).collect::<Delays>();
        let prompt = delays(&|run| !run.waits());
        let what = format!("from first packet or fact to alert ({} alerts)", prompt.len());
        figure(f, &what, &prompt, "99th percentile ≤ 1000 ms", prompt.within(99, LATEST_MS))?;
        let waiting = delays(&|run| run.waits());
        let late =
            |run: &Run| run.delays.iter().filter(|delay| **delay > i128::from(run.latest_ms) * 1_000_000).count();
        let late: usize = self.runs(Run::waits).map(late).sum();
        let what = format!("… where the rule itself waits ({} alerts)", waiting.len());
        let value = format!("{waiting}; {late} later than the scenario allows");
        figure(f, &what, value, "each in the scenario's time", Goal::of(waiting.len() > 0, late == 0))?;
        let all = delays(&|_| true);
        plain(f, &format!("… all of them ({} alerts)", all.len()), all)
    }

    fn attribution(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attributed = |host: bool| {
            let share = sum(self.runs(|run| run.shares_host == host).map(Run::attributed));
            format!("{share}: {}", share.at_least())
        };
        plain(f, "flows of workloads attributed", attributed(false))?;
        let what = "… where a container shares the host's network: flows of the host's addresses attributed to one workload, the host's own short \
                    connections among the others";
        plain(f, what, attributed(true))?;
        let mut sources = BTreeMap::new();
        self.rows.iter().flat_map(|run| &run.summary).for_each(|summary| add(&mut sources, &summary["attributions"]));
        plain(f, "sources of flows", list(&sources))
    }
}

fn figure(f: &mut fmt::Formatter<'_>, what: &str, value: impl fmt::Display, goal: &str, result: Goal) -> fmt::Result {
    writeln!(f, "| {what} | {value} | {goal} | {result} |")
}

/// A figure without a goal.
fn plain(f: &mut fmt::Formatter<'_>, what: &str, value: impl fmt::Display) -> fmt::Result {
    writeln!(f, "| {what} | {value} | | |")
}

fn row(f: &mut fmt::Formatter<'_>, run: &Run) -> fmt::Result {
    let passed = if run.passed { "yes" } else { "no" };
    let raised = Share { part: (run.expected - run.missed) as u64, whole: run.expected as u64 };
    let slowest = run.delays.iter().max().map_or("–".to_owned(), |delay| format!("{} ms", milliseconds(*delay)));
    let unexpected = if run.summary.is_some() { run.unexpected.to_string() } else { "–".to_owned() };
    let unseen = if run.whole { "" } else { ", not every point is captured" };
    let (name, unobservable, attributed, latest) = (&run.name, run.unobservable(), run.attributed(), run.latest_ms);
    writeln!(
        f,
        "| {name} | {passed} | {raised} | {unexpected} | {unobservable}{unseen} | {attributed} | {slowest} | {latest} ms |"
    )
}

fn count<T>(of: impl Iterator<Item = T>) -> u64 {
    of.count() as u64
}

fn sum(shares: impl Iterator<Item = Share>) -> Share {
    shares.fold(Share::default(), |all, one| Share { part: all.part + one.part, whole: all.whole + one.whole })
}

fn list(counts: &BTreeMap<String, u64>) -> String {
    let all = counts.iter().filter(|(_, count)| **count > 0).map(|(name, count)| format!("{name} {count}"));
    or_none(&all.collect::<Vec<_>>())
}

fn or_none(all: &[String]) -> String {
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}
