//! `baseline-changed`.

use crate::baseline::Baseline;
use crate::detect::params::rule_params;
use crate::detect::{Ads, Context, Finding, Findings, Rule, RuleMeta, Severity, Technique};
use crate::input::{BaselineChange, BaselineFact, RecordedFact};
use crate::path::Evidence;

rule_params! {}

/// The rule; it remembers which changes are open.
#[derive(Debug, Default)]
struct BaselineChanged {
    open: Vec<(String, &'static str)>,
}

/// The rule with its parameters.
pub fn rule(_params: &Params) -> impl Rule + use<> {
    BaselineChanged::default()
}

impl Rule for BaselineChanged {
    fn on_fact(&mut self, context: Context<'_>, fact: &RecordedFact, findings: &mut Findings) {
        let RecordedFact::Baseline(fact) = fact else { return };
        match fact {
            BaselineFact::InForce { file, serial, .. } => self.close(context, file, *serial, findings),
            BaselineFact::Approved { file, serial, by, why, document, .. } => {
                if let Err(error) = Baseline::from_json(document) {
                    let text = format!(
                        "serial {serial} was approved and cannot be read: {error}; the one before stays in force"
                    );
                    let cause = format!("{file} unreadable");
                    let finding = Finding::of_nobody(&META, context.now, &cause, vec![Evidence::new("baseline", text)]);
                    let known = vec![("FILE", file.clone())];
                    return findings.push(Finding { severity: Severity::Critical, is_hostile: true, known, ..finding });
                }
                self.close(context, file, *serial, findings);
                let text = format!("{by} approved serial {serial} of {file}: {why}");
                let in_force = "it is in force from now on; every running container was compared with it";
                let evidence = vec![Evidence::new("baseline", text), Evidence::new("in_force", in_force.to_owned())];
                let finding = Finding::of_nobody(&META, context.now, &format!("{file} approved {serial}"), evidence);
                findings.push(Finding { severity: Severity::Low, ..finding });
            }
            BaselineFact::Differs { file, serial, found, sha256, how } => {
                let word = word(*how);
                if !self.open.iter().any(|(open, known)| open == file && *known == word) {
                    self.open.push((file.clone(), word));
                }
                let mut evidence = vec![Evidence::new("baseline", described(file, *serial, *found, *how))];
                if !sha256.is_empty() {
                    evidence.push(Evidence::new("file", format!("its SHA-256 is {sha256}")));
                }
                let text = format!("the approved baseline, serial {serial}, stays in force");
                evidence.push(Evidence::new("in_force", text));
                let finding = Finding::of_nobody(&META, context.now, &format!("{file} {word}"), evidence);
                let severity = if *how == BaselineChange::Edited { Severity::High } else { Severity::Critical };
                let known = vec![("FILE", file.clone())];
                findings.push(Finding { severity, is_hostile: true, known, ..finding });
            }
        }
    }
}

impl BaselineChanged {
    /// Ends what was reported of a file.
    fn close(&mut self, context: Context<'_>, file: &str, serial: u64, findings: &mut Findings) {
        for (_, how) in self.open.extract_if(.., |(open, _)| open == file) {
            let text = format!("the file is the approved one again, serial {serial}");
            let cause = format!("{file} {how}");
            let over = Finding::of_nobody(&META, context.now, &cause, vec![Evidence::new("baseline", text)]);
            findings.push(Finding { is_over: true, ..over });
        }
    }
}

const fn word(how: BaselineChange) -> &'static str {
    match how {
        BaselineChange::Edited => "edited",
        BaselineChange::RolledBack => "rolled back",
        BaselineChange::Unreadable => "unreadable",
        BaselineChange::Removed => "removed",
    }
}

fn described(file: &str, serial: u64, found: Option<u64>, how: BaselineChange) -> String {
    match (how, found) {
        (BaselineChange::Edited, Some(found)) => {
            format!("{file} is not what was approved: it has serial {found}, approved was {serial}")
        }
        (BaselineChange::RolledBack, Some(found)) => {
            format!("{file} is older than what was approved: it has serial {found}, approved was {serial}")
        }
        (BaselineChange::Removed, _) => format!("{file} is gone"),
        _ => format!("{file} is no longer a baseline, or its signature does not match"),
    }
}

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "baseline-changed",
    title: "The baseline's file is not the one that was approved",
    severity: Severity::High,
    techniques: &[Technique { name: "Disable or Modify Tools", v19: "T1685", v18: "T1562.001" }],
    ads: Ads {
        goal: "Detects that somebody edits, replaces, rolls back or removes the file that says what is expected of each service.",
        categorization: "Defense Evasion: an attacker who can write the baseline makes his own settings the expected ones.",
        strategy: "`hopwatch baseline approve` keeps the SHA-256 and the serial number of what was approved in the state directory, with a \
             copy. While hopwatch runs it looks at the file every two seconds. A file with another hash is high, one with a lower serial \
             number, without one, or that is gone, critical. The approved baseline stays in force until the next approval. The alert ends \
             when the file is the approved one again. An approval is taken in while hopwatch runs, and reported as low with who and why; \
             one with a lower serial number is not.",
        technical_context: "The file is made to be edited and kept in git, so an edit is no attack by itself; an edit that nobody approved is \
             no baseline either. An optional minisign signature is checked over the file, its name and its serial number.",
        blind_spots: &[
            "An attacker with write access to the state directory approves what he likes; a signature whose key is elsewhere prevents that.",
            "A change while hopwatch does not run is reported at its next start.",
            "A baseline that was never approved on this host has nothing to be compared with; hopwatch warns of that at its start.",
        ],
        assumptions: &["The baseline was approved on this host.", "The state directory can be written by root alone."],
        false_positives: &[
            "Somebody edits the file, or pulls it from git, and approves it later than two seconds afterwards.",
        ],
        true_positives: &["baseline-edited"],
        benign_twins: &["baseline-kept"],
        priority: "High: what is expected is about to be decided by somebody who did not approve it. Critical for a roll-back.",
        response: &[
            "See what changed: compare the file with the copy in the state directory, or `git diff`.",
            "Who wrote it? `stat FILE`, the host's audit log, the history of the repository.",
            "If the change is wanted, `hopwatch baseline approve --file FILE --why TEXT`; a running hopwatch takes it in.",
            "If not, put the copy back, and look for what else was changed at that time.",
        ],
        resources: &["https://attack.mitre.org/techniques/T1562/001/", "https://jedisct1.github.io/minisign/"],
    },
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::testing::{Bench, at};

    fn differs(how: BaselineChange, found: Option<u64>) -> RecordedFact {
        let sha256 = "ab".to_owned();
        RecordedFact::Baseline(BaselineFact::Differs { file: "b.yaml".into(), serial: 7, found, sha256, how })
    }

    #[test]
    fn a_roll_back_is_critical_and_the_alert_ends_with_the_approved_file() {
        let (bench, mut rule) = (Bench::new(&[]), rule(&Params::default()));
        let mut report = |fact: &RecordedFact| bench.on_fact(&mut rule, at(1), fact);
        assert_eq!(report(&differs(BaselineChange::Edited, Some(8)))[0].severity, Severity::High);
        let rolled_back = report(&differs(BaselineChange::RolledBack, Some(3)));
        assert_eq!(rolled_back[0].severity, Severity::Critical);
        assert!(rolled_back[0].evidence[0].text.contains("serial 3, approved was 7"), "{rolled_back:?}");
        let restored = BaselineFact::InForce { file: "b.yaml".into(), serial: 7, sha256: "cd".into() };
        let over = report(&RecordedFact::Baseline(restored));
        assert_eq!(over.iter().filter(|finding| finding.is_over).count(), 2);
    }

    #[test]
    fn an_approval_ends_the_alert_and_says_who_and_why_and_one_that_cannot_be_read_is_critical() {
        let (bench, mut rule) = (Bench::new(&[]), rule(&Params::default()));
        let mut report = |fact: &RecordedFact| bench.on_fact(&mut rule, at(1), fact);
        assert_eq!(report(&differs(BaselineChange::Edited, Some(8))).len(), 1);
        let approved = |document: serde_json::Value| {
            let [sha256, by, why] = ["ab", "kai", "new proxy"].map(str::to_owned);
            let (file, document) = ("b.yaml".to_owned(), document.into());
            RecordedFact::Baseline(BaselineFact::Approved { file, serial: 8, sha256, by, why, document })
        };
        let empty = serde_json::json!({"schema": "hopwatch.baseline/1", "serial": 8, "services": []});
        let found = report(&approved(empty));
        assert!(found[0].is_over && found[1].severity == Severity::Low, "{found:?}");
        assert!(found[1].evidence[0].text.contains("kai approved serial 8") && !found[1].is_hostile, "{found:?}");
        let found = report(&approved(serde_json::json!({"schema": "hopwatch.baseline/2"})));
        assert_eq!((found.len(), found[0].severity), (1, Severity::Critical), "{found:?}");
    }
}
