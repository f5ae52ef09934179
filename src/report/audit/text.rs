//! An audit as a table and its details, for a terminal.

use super::{Audit, WorkloadAudit};
use crate::escape::printable;
use crate::layout::{self, hang};

const TITLES: [&str; 6] = ["NAME", "WORST", "LOGS", "SEEN AT", "HOPS", "BASELINE"];

impl Audit {
    /// One row per container, then what was found of each.
    pub fn text(&self, columns: Option<usize>) -> String {
        let rows: Vec<Vec<String>> = self.workloads.iter().map(|workload| row(workload).to_vec()).collect();
        let mut text = layout::table(&TITLES, &rows, 2, columns);
        text.push_str(&format!("{}\n", crate::wording::many(self.workloads.len() as u64, "container")));
        for workload in self.workloads.iter().filter(|workload| workload.has_details()) {
            text.push('\n');
            text.push_str(&details(workload, columns));
        }
        text.push_str("\nwhat hopwatch cannot see\n");
        for blind in &self.blind_spots {
            text.push_str(&line("  ! ", blind, columns));
        }
        text.push_str(&line("", &format!("numbers in brackets are of {}", self.benchmark), columns));
        text
    }
}

impl WorkloadAudit {
    fn has_details(&self) -> bool {
        !self.findings.is_empty() || !self.cis.is_empty() || !self.blind_spots.is_empty() || !self.paths.is_empty()
    }
}

fn row(workload: &WorkloadAudit) -> [String; 6] {
    let seen = workload.monitored_by.iter().filter_map(|who| who.strip_prefix("hopwatch at ")).collect::<Vec<_>>();
    let hops: Vec<String> = workload.paths.iter().map(|path| path.hops.join(" → ")).collect();
    [
        workload.name.clone(),
        workload.worst.map_or_else(|| "-".to_owned(), |worst| worst.as_str().to_owned()),
        workload.logging.clone(),
        if seen.is_empty() { "nowhere".to_owned() } else { seen.join(" ") },
        if hops.is_empty() { "no contract".to_owned() } else { hops.join("; ") },
        workload.in_baseline.unwrap_or("-").to_owned(),
    ]
    .map(|cell| printable(&cell))
}

fn details(workload: &WorkloadAudit, columns: Option<usize>) -> String {
    let mut text = line("", &format!("{} ({}), {}", workload.name, workload.service, workload.image), columns);
    for finding in &workload.findings {
        let what = format!("{} {}: {}", finding.severity.as_str(), finding.rule, finding.text);
        text.push_str(&line("  ", &what, columns));
    }
    for path in &workload.paths {
        let proof = if path.can_be_proven { "can be proven" } else { "cannot be proven wholly" };
        let what = format!("contract {}: via {}; {proof}; {}", path.contract, path.hops.join(" → "), path.seen);
        text.push_str(&line("  ", &what, columns));
    }
    for item in &workload.cis {
        text.push_str(&line("  ", &format!("[{}] {}: {}", item.number, item.title, item.found), columns));
    }
    for blind in &workload.blind_spots {
        text.push_str(&line("  ! ", blind, columns));
    }
    text
}

fn line(first: &str, text: &str, columns: Option<usize>) -> String {
    let rest = " ".repeat(first.len() + 2);
    let mut line = hang(first, &rest, &printable(text), columns);
    if !line.ends_with('\n') {
        line.push('\n');
    }
    line
}
