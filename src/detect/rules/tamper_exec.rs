//! `tamper-exec`.

mod command;

use std::sync::Arc;

use self::command::{Tampering, classify};
use crate::detect::params::rule_params;
use crate::detect::{Ads, Context, Finding, Findings, Rule, RuleMeta, Severity, Technique};
use crate::input::{ContainerAct, ContainerEvent, ExecutedCommand, InventoryEvent, RecordedFact};
use crate::path::{Evidence, Monitors, Selector};

rule_params! {
    /// Workloads in which such commands are ordinary: routers, debug containers of a test environment.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<Selector> = Vec::new(),
}

/// The rule.
#[derive(Debug)]
struct TamperExec {
    allowed: Vec<Selector>,
    monitors: Arc<Monitors>,
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    TamperExec { allowed: params.allowed.clone(), monitors: Arc::default() }
}

impl Rule for TamperExec {
    fn monitors(&mut self, monitors: &Arc<Monitors>) {
        self.monitors = Arc::clone(monitors);
    }

    fn on_fact(&mut self, context: Context<'_>, fact: &RecordedFact, findings: &mut Findings) {
        if let RecordedFact::Inventory(InventoryEvent::Container(event)) = fact
            && let ContainerAct::Exec(command) = &event.action
        {
            self.on_exec(context, event, command, findings);
        }
    }
}

impl TamperExec {
    fn on_exec(
        &self,
        context: Context<'_>,
        event: &ContainerEvent,
        command: &ExecutedCommand,
        findings: &mut Findings,
    ) {
        let workload = context.timeline.workload(&event.workload);
        if workload.is_some_and(|workload| Selector::any(&self.allowed, workload)) {
            return;
        }
        let role = workload.and_then(|workload| self.monitors.role(workload));
        let Some(tampering) = classify(command, &self.monitors.programs, role.is_some()) else { return };
        let mut evidence = vec![Evidence::new("exec", format!("it {}", in_words(command)))];
        evidence.push(Evidence::new("effect", tampering.text()));
        evidence.extend(role.map(|role| Evidence::new("monitor", role.to_string())));
        evidence.push(Evidence::new("by", "not known: the runtime does not report who asked for it"));
        let finding = match workload {
            Some(workload) => Finding::of_workload(&META, event.at, workload, tampering.text(), evidence),
            None => {
                Finding::of_nobody(&META, event.at, &format!("{} ({})", tampering.text(), event.workload), evidence)
            }
        };
        findings.push(Finding { severity: severity(tampering), ..finding });
    }
}

const fn severity(tampering: Tampering) -> Severity {
    match tampering {
        Tampering::Agent | Tampering::Service | Tampering::Logs | Tampering::Settings | Tampering::Audit => {
            Severity::High
        }
        Tampering::Network => Severity::Medium,
        Tampering::History => Severity::Low,
    }
}

fn in_words(command: &ExecutedCommand) -> String {
    let user = command.user.as_ref().map(|user| format!(" as {user}")).unwrap_or_default();
    let privileged = if command.privileged { ", with every privilege" } else { "" };
    let terminal = if command.terminal { ", at a terminal" } else { "" };
    format!("executed `{command}`{user}{privileged}{terminal}")
}

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "tamper-exec",
    title: "A command in a container acts against agents, logs or the network's rules",
    severity: Severity::High,
    techniques: &[
        Technique { name: "Container Administration Command", v19: "T1609", v18: "T1609" },
        Technique { name: "Disable or Modify Tools", v19: "T1685", v18: "T1562.001" },
    ],
    ads: Ads {
        goal: "Detects a command that is executed in a running container through the runtime, and that stops an agent, removes or empties \
             logs, changes an agent's settings, switches auditing off, or changes routes and firewall rules.",
        categorization: "Execution and Defense Evasion: a container's shell is used to impair what would report it.",
        strategy: "Each exec is an event of the runtime. Its command is read from the event, and its user and privileges from a question about \
             that exec, which must agree with the event. Program, known words and signs of the shell are compared with a list of \
             actions; all other arguments are hidden before anything else sees them. Agents are those of a built-in list, and those that \
             `monitors.programs` names. In a monitor's own container every kill counts.",
        technical_context: "`docker exec`, `kubectl exec` and every API client make the same call. Signals by which agents reopen their files or \
             read their settings again (HUP, USR1, USR2, WINCH) do not count, nor does appending to a log. A container's health check \
             is an exec too: the reader knows its text and counts it without reporting it.",
        blind_spots: &[
            "What is typed into a shell that is open already: only the shell's start is an event.",
            "Names are weak: `python -c`, a renamed program or an encoded script shows nothing. The effect is seen by monitor-stopped.",
            "Commands of a container's own health check, and of one with exactly its text.",
            "CRI reports no execs, and nsenter on the host is none.",
            "More than 200 execs of a container in 10 s are counted, not reported.",
        ],
        assumptions: &["The runtime's events can be read, and no event was lost before it was read."],
        false_positives: &[
            "An administrator repairs an agent or a route by hand.",
            "Scripts that clean up logs, or hooks of an orchestrator that end an agent before its container.",
        ],
        true_positives: &["shipper-killed"],
        benign_twins: &["shipper-rotated"],
        priority: "High where agents, logs or auditing are concerned; medium for routes and firewall rules; low for a shell's history.",
        response: &[
            "Who did it? Look at the audit log of the host (`ausearch -k docker`), of the orchestrator, and at shell histories.",
            "See what it left: `docker top NAME`, `docker diff NAME`, and the alerts of monitor-stopped and log-shipper rules.",
            "Look at what the container did since: `hopwatch flows`, its incident.",
            "If nobody can explain it, `docker pause NAME`, and keep the container as evidence.",
            "If it may do so, add it to rules.tamper-exec.allowed, by digest.",
        ],
        resources: &["https://attack.mitre.org/techniques/T1609/", "https://attack.mitre.org/techniques/T1562/001/"],
    },
};
