//! Runs one scenario: live, recorded, and replayed.
//!
//! Contract: the stage is clear when [`Lab::run`] returns, whatever happened. A scenario passes when hopwatch, live, says what
//! is expected and in time; when the replay of its recording says the same, twice; and when the packets are there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::daemon::Daemon;
use crate::evidence;
use crate::judge::{self, Said};
use crate::netns::{HOME, World};
use crate::process;
use crate::scenario::Scenario;
use crate::stage;
use crate::watch::{Ended, Line, Watcher};

/// How long an expected alert is waited for after the last action.
const ALERT: Duration = Duration::from_secs(5);
/// How long an unexpected one is given to show itself: more than hopwatch's own waiting times together.
const SETTLE: Duration = Duration::from_millis(1200);
/// How long a replay may take.
pub const REPLAY: Duration = Duration::from_secs(30);

/// The place, and what is tried in it.
pub struct Lab<'w> {
    /// Namespaces.
    pub world: &'w World,
    /// Docker.
    pub daemon: Daemon<'w>,
    /// The program under test; `None` only captures and checks the packets.
    pub hopwatch: Option<String>,
    /// Whether other worlds stand beside this one, and take their share of the machine.
    pub has_company: bool,
}

/// What came of a scenario.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Everything that is not as it should be.
    pub wrong: Vec<String>,
    /// Packets in the recording.
    pub packets: u64,
    /// How many packets each proof found, in order.
    pub proofs: Vec<u64>,
    /// What hopwatch summed up, live.
    pub summary: Option<serde_json::Value>,
    /// Expected alerts that did not come, and others that did, live or replayed.
    pub missed: usize,
    /// See `missed`.
    pub unexpected: usize,
    /// What must be the same in every run, of each of the two live programs.
    pub alike: Vec<BTreeSet<String>>,
    /// Alerts, as rule and workload, with the nanoseconds from first packet to arrival.
    pub alerts: Vec<(String, i128)>,
}

impl Outcome {
    /// Counts what is missing and what should not be there; the worst of the watchers counts.
    fn compare(&mut self, scenario: &Scenario, said: &Said) {
        self.missed = self.missed.max(judge::missing(&scenario.expect, &said.alerts).len());
        self.unexpected = self.unexpected.max(judge::unexpected(&scenario.expect, said).len());
    }
}

impl Lab<'_> {
    /// Runs a scenario.
    pub fn run(&self, scenario: &Scenario) -> Result<Outcome> {
        std::fs::create_dir_all(self.world.path(&scenario.name))?;
        if let Some(baseline) = &scenario.baseline {
            std::fs::write(self.world.path(format!("{}/baseline.yaml", scenario.name)), baseline)?;
        }
        let outcome =
            stage::set(&self.daemon, scenario).context("setting the stage").and_then(|()| match &self.hopwatch {
                Some(hopwatch) => self.watched(scenario, hopwatch),
                None => self.captured(scenario),
            });
        let cleared = stage::clear(&self.daemon, scenario).context("clearing the stage");
        let outcome = outcome?;
        cleared.map(|()| outcome)
    }

    /// With hopwatch: `sniff` and `record` side by side, then `replay` twice.
    fn watched(&self, scenario: &Scenario, hopwatch: &str) -> Result<Outcome> {
        let name = &scenario.name;
        std::fs::write(self.world.path(format!("{name}/hopwatch.yaml")), &scenario.hopwatch)?;
        let (config, recording) = (format!("{HOME}/{name}/hopwatch.yaml"), format!("{HOME}/{name}/recording"));
        let interfaces = scenario.interfaces.iter().flat_map(|glob| ["-i", glob]);
        let more = scenario.arguments.iter().map(String::as_str);
        let args: Vec<&str> = interfaces.chain(["-c", &config]).chain(more).collect();
        let sniff = Watcher::hopwatch(self.world, "sniff", hopwatch, &[&["sniff"], &args[..]].concat(), 9921)?;
        let record = [&["record", "-o", &recording], &args[..]].concat();
        let record = Watcher::hopwatch(self.world, "record", hopwatch, &record, 9922)?;
        self.act(scenario)?;
        wait_for_alerts(scenario, &[&sniff, &record])?;
        let (sniff, record) = (sniff.stop()?, record.stop()?);
        let wrong_senders = judge::wrong_senders(&scenario.senders, &sniff.lines);
        self.keep_output(name, "sniff", &sniff)?;
        self.keep_output(name, "record", &record)?;
        let mut outcome = Outcome::default();
        let (sniffed, recorded) = (heard("sniff", &sniff, &mut outcome)?, heard("record", &record, &mut outcome)?);
        for (who, said) in [("sniff", &sniffed), ("record", &recorded)] {
            outcome
                .wrong
                .extend(judge::differences(&scenario.expect, said).into_iter().map(|what| format!("{who}: {what}")));
            outcome.wrong.extend(
                judge::late(&said.alerts, self.latest_ms(scenario)).into_iter().map(|what| format!("{who}: {what}")),
            );
        }
        outcome.wrong.extend(wrong_senders);
        outcome.alike = vec![judge::alike(&sniffed), judge::alike(&recorded)];
        outcome.compare(scenario, &sniffed);
        outcome.compare(scenario, &recorded);
        outcome.summary.clone_from(&sniffed.summary);
        outcome.alerts = sniffed
            .alerts
            .iter()
            .filter(|alert| alert.update == 0)
            .map(|alert| (format!("{} {}", alert.rule, alert.workload.as_deref().unwrap_or("?")), alert.delay))
            .collect();
        self.replayed(scenario, hopwatch, &recorded, &mut outcome)?;
        evidence::check(self.world, hopwatch, &sniffed, &mut outcome).context("evidence")?;
        self.prove(scenario, &[format!("{name}/recording/traffic.pcapng")], &mut outcome)?;
        self.prove_facts(scenario, &mut outcome)?;
        Ok(outcome)
    }

    /// How many milliseconds an alert may take: twice as many beside other worlds. The scorecard, which has none, measures delays.
    fn latest_ms(&self, scenario: &Scenario) -> u64 {
        if self.has_company && !scenario.alone { scenario.latest_ms * 2 } else { scenario.latest_ms }
    }

    /// The recording must say the same again, and count what tcpdump counts.
    fn replayed(&self, scenario: &Scenario, hopwatch: &str, recorded: &Said, outcome: &mut Outcome) -> Result<()> {
        let folder = format!("{HOME}/{}/recording", scenario.name);
        let replay = || {
            let mut command = self.world.command(hopwatch);
            command.args(["replay", &folder, "--format", "json"]);
            process::output(&mut command, REPLAY)
        };
        let (first, second) = (replay()?, replay()?);
        std::fs::write(self.world.path(format!("{}/replay.stdout", scenario.name)), &first)?;
        if first != second {
            outcome.wrong.push("two replays differ".to_owned());
        }
        let lines: Vec<_> = first.lines().map(|text| Line { at: 0, text: text.to_owned() }).collect();
        let said = judge::read(&lines).context("replay")?;
        outcome.compare(scenario, &said);
        let differences = judge::differences(&scenario.expect, &said).into_iter();
        outcome.wrong.extend(differences.map(|what| format!("replay: {what}")));
        let (live, again) = (judge::by_id(recorded), judge::by_id(&said));
        if live != again {
            outcome.wrong.push(format!("record raised the alerts {live:?}, its replay {again:?}"));
        }
        let verdicts = |said: &Said| said.summary.as_ref().map(|summary| summary["verdicts"].clone());
        let (live, again) = (verdicts(recorded), verdicts(&said));
        if live != again {
            outcome.wrong.push(format!("record gave the verdicts {live:?}, its replay {again:?}"));
        }
        let packets = |said: &Said| said.summary.as_ref().and_then(|summary| summary["packets"].as_u64());
        let counted = self.count(&format!("{}/recording/traffic.pcapng", scenario.name), "")?;
        for (who, packets) in [("record", packets(recorded)), ("replay", packets(&said))] {
            if packets != Some(counted) {
                outcome.wrong.push(format!("{who}'s summary says {packets:?} packets, tcpdump counts {counted}"));
            }
        }
        Ok(())
    }

    /// Without hopwatch: tcpdump on every bridge and on interfaces named outright. What is inside a container is not seen so.
    fn captured(&self, scenario: &Scenario) -> Result<Outcome> {
        let bridges = self.world.script("ls /sys/class/net | grep '^br-' || true")?;
        let named = scenario.interfaces.iter().map(String::as_str).filter(|name| !name.contains('*'));
        let files: BTreeMap<_, _> = bridges
            .split_whitespace()
            .chain(named)
            .map(|bridge| (bridge, format!("{}/{bridge}.pcap", scenario.name)))
            .collect();
        let watchers = files.iter().map(|(bridge, file)| Watcher::tcpdump(self.world, bridge, file));
        let watchers = watchers.collect::<Result<Vec<_>>>()?;
        self.act(scenario)?;
        for watcher in watchers {
            let ended = watcher.stop()?;
            ensure!(ended.status.success(), "tcpdump: {}", ended.status);
        }
        let mut outcome = Outcome::default();
        self.prove(scenario, &files.into_values().collect::<Vec<_>>(), &mut outcome)?;
        Ok(outcome)
    }

    fn act(&self, scenario: &Scenario) -> Result<()> {
        for (number, action) in scenario.actions.iter().enumerate() {
            stage::act(&self.daemon, action).with_context(|| format!("action {}", number + 1))?;
        }
        Ok(())
    }

    /// The packets that tell the story are there.
    fn prove(&self, scenario: &Scenario, files: &[String], outcome: &mut Outcome) -> Result<()> {
        let count = |filter: &str| files.iter().map(|file| self.count(file, filter)).sum::<Result<u64>>();
        outcome.packets = count("")?;
        for proof in &scenario.proof {
            let packets = count(&proof.filter)?;
            outcome.proofs.push(packets);
            if !proof.holds(packets) {
                outcome.wrong.push(format!("{packets} packets are `{}`: {proof:?}", proof.filter));
            }
        }
        Ok(())
    }

    /// So are the facts.
    fn prove_facts(&self, scenario: &Scenario, outcome: &mut Outcome) -> Result<()> {
        let facts = std::fs::read_to_string(self.world.path(format!("{}/recording/facts.jsonl", scenario.name)))?;
        let facts = facts.lines().map(serde_json::from_str).collect::<Result<Vec<serde_json::Value>, _>>()?;
        for (kind, least) in &scenario.facts {
            let is_kind = |of: &serde_json::Value| of.get(kind).is_some();
            let of = |line: &serde_json::Value| line["fact"].as_object().is_some_and(|fact| fact.values().any(is_kind));
            let count = facts.iter().filter(|line| of(line)).count() as u64;
            if count < *least {
                outcome.wrong.push(format!("{count} facts are `{kind}`, expected at least {least}"));
            }
        }
        Ok(())
    }

    /// Packets of a capture that match a filter, by tcpdump's count.
    fn count(&self, file: &str, filter: &str) -> Result<u64> {
        let mut command = self.world.command("tcpdump");
        command.args(["-nn", "-t", "-q", "-r", &format!("{HOME}/{file}"), filter]);
        Ok(process::output(&mut command, REPLAY)?.lines().count() as u64)
    }

    fn keep_output(&self, name: &str, who: &str, ended: &Ended) -> Result<()> {
        let stdout: String = ended.lines.iter().map(|line| line.text.clone() + "\n").collect();
        std::fs::write(self.world.path(format!("{name}/{who}.stdout")), stdout)?;
        std::fs::write(self.world.path(format!("{name}/{who}.stderr")), &ended.stderr)?;
        Ok(())
    }
}

/// Waits until every watcher raised what is expected, and then for what is not.
fn wait_for_alerts(scenario: &Scenario, watchers: &[&Watcher]) -> Result<()> {
    let start = process::clock();
    let mut settled = None;
    process::until("alerts had their time", ALERT + SETTLE * 2, || {
        let mut complete = true;
        for watcher in watchers {
            complete &= judge::missing(&scenario.expect, &judge::read(&watcher.lines())?.alerts).is_empty();
        }
        if settled.is_none() && (complete || start.elapsed() > ALERT) {
            settled = Some(process::clock());
        }
        Ok(settled.filter(|since| since.elapsed() > SETTLE).map(drop))
    })
}

/// What a watcher said; how it ended must be right too.
fn heard(who: &str, ended: &Ended, outcome: &mut Outcome) -> Result<Said> {
    if !ended.status.success() {
        outcome.wrong.push(format!("{who} ended with {}: {}", ended.status, process::tail(&ended.stderr)));
    }
    judge::read(&ended.lines).with_context(|| format!("{who}'s output"))
}
