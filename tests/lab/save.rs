//! Writes what a scenario recorded as a scenario folder, such as those under `captures/`.
//!
//! Contract: `traffic.pcapng`, `facts.jsonl`, `hopwatch.yaml`, `expect.yaml`, and `README.md` with the provenance; a folder
//! larger than [`LARGEST`] is refused, because it is meant to be committed.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::run::{Lab, Outcome};
use crate::scenario::{Expect, Scenario};

/// Bytes that a folder may have.
const LARGEST: u64 = 100_000;

/// Writes the folder `into/NAME`.
pub fn scenario(lab: &Lab<'_>, scenario: &Scenario, outcome: &Outcome, into: &Path) -> Result<()> {
    let folder = into.join(&scenario.name);
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for file in ["traffic.pcapng", "facts.jsonl"] {
        std::fs::copy(lab.world.path(format!("{}/recording/{file}", scenario.name)), folder.join(file))?;
    }
    std::fs::write(folder.join("hopwatch.yaml"), &scenario.hopwatch)?;
    if let Some(baseline) = &scenario.baseline {
        std::fs::write(folder.join("baseline.yaml"), baseline)?;
    }
    std::fs::write(folder.join("expect.yaml"), expectation(&scenario.expect))?;
    std::fs::write(folder.join("README.md"), provenance(lab, scenario, outcome)?)?;
    let mut size = 0;
    for entry in std::fs::read_dir(&folder)? {
        size += entry?.metadata()?.len();
    }
    ensure!(size <= LARGEST, "{} has {size} bytes, more than {LARGEST}: shorten the scenario", folder.display());
    Ok(())
}

fn expectation(expect: &Expect) -> String {
    let mut text = String::from("alerts:");
    if expect.alerts.is_empty() {
        text.push_str(" []");
    }
    for alert in &expect.alerts {
        let parts = [
            ("rule", Some(&alert.rule)),
            ("workload", alert.workload.as_ref()),
            ("contract", alert.contract.as_ref()),
            ("destination", alert.destination.as_ref()),
            ("severity", alert.severity.as_ref()),
        ];
        let parts: Vec<_> =
            parts.iter().filter_map(|(key, value)| value.map(|value| format!("{key}: \"{value}\""))).collect();
        let _ = write!(text, "\n  - {{{}}}", parts.join(", "));
    }
    if !expect.verdicts.is_empty() {
        text.push_str("\nverdicts:");
    }
    for (contract, verdicts) in &expect.verdicts {
        let verdicts: Vec<_> = verdicts.iter().map(|(verdict, least)| format!("{verdict}: {least}")).collect();
        let _ = write!(text, "\n  {contract}: {{{}}}", verdicts.join(", "));
    }
    text + "\n"
}

fn provenance(lab: &Lab<'_>, scenario: &Scenario, outcome: &Outcome) -> Result<String> {
    let Scenario { name, title, twin, .. } = scenario;
    let mut host = lab.world.script("date -u +%F; uname -r | sed 's|-.*||'; tcpdump --version 2>&1 | head -n 1")?;
    let mut host = std::mem::take(&mut host).lines().map(str::to_owned).collect::<Vec<_>>().into_iter();
    let mut next = || host.next().unwrap_or_default();
    let (date, kernel, tcpdump) = (next(), next(), next());
    let docker = lab.daemon.version()?;
    let mut text = format!(
        "# {name}\n\n{title}\n\nThe same story with the other outcome: [{twin}](../{twin}/).\n\n## Provenance\n\n\
         Recorded on {date} by the laboratory from `tests/lab/scenarios/{name}.yaml` with `hopwatch record`:\n\
         `HOPWATCH_LAB=1 HOPWATCH_LAB_SAVE=captures cargo test --test lab -- {name}` (root).\n\
         Real containers of Docker {docker} on Linux {kernel}, in namespaces without a way out; all addresses are private or\n\
         set aside for documentation. {packets} packets.\n\n\
         | packets ({tcpdump}) | filter |\n|---|---|\n",
        packets = outcome.packets
    );
    for (proof, packets) in scenario.proof.iter().zip(&outcome.proofs) {
        let _ = writeln!(text, "| {packets} | `{}` |", proof.filter);
    }
    Ok(text)
}
