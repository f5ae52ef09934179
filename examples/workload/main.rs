//! Makes the workloads of `make bench-peers` and `make bench-engine`: captures of given shape, the same bytes every time.
//!
//! ```console
//! workload small OUT PACKETS FLOWS
//! workload elephants OUT SEGMENTS FLOWS
//! workload connections OUT FLOWS WORKLOADS
//! workload datagrams OUT FLOWS A-SECOND
//! workload interfaces OUT PACKETS INTERFACES
//! workload facts OUT WORKLOADS EVENTS
//! workload contracts OUT CONTRACTS name|label
//! workload amplify OUT COPIES SECONDS PACKETS-PER-FILE [clean] CAPTURE|FOLDER…
//! ```
//!
//! Contract: the same arguments and captures give the same file. Limits: the captures that are amplified are held in memory.
//! Design: one file a workload; the random numbers are our own, so that they stay the same.

mod amplify;
mod engine;
mod frame;
mod interfaces;
mod output;
mod random;
mod synthetic;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["small", out, packets, flows] => synthetic::small(Path::new(out), number(packets)?, number(flows)?),
        ["elephants", out, segments, flows] => synthetic::elephants(Path::new(out), number(segments)?, number(flows)?),
        ["connections", out, flows, workloads] => {
            engine::connections(Path::new(out), number(flows)?, number(workloads)?)
        }
        ["datagrams", out, flows, a_second] => engine::datagrams(Path::new(out), number(flows)?, number(a_second)?),
        ["interfaces", out, packets, interfaces] => {
            interfaces::in_turn(Path::new(out), number(packets)?, number(interfaces)?)
        }
        ["facts", out, workloads, events] => engine::facts(Path::new(out), number(workloads)?, number(events)?),
        ["contracts", out, contracts, by] => engine::contracts(Path::new(out), number(contracts)?, by),
        ["amplify", out, copies, seconds, per_file, rest @ ..] => {
            let (clean, paths) = match rest {
                ["clean", paths @ ..] => (true, paths),
                paths => (false, paths),
            };
            let plan = amplify::Plan {
                copies: u16::try_from(number(copies)?).context("at most 65535 copies")?,
                seconds: number(seconds)?,
                per_file: usize::try_from(number(per_file)?)?,
                clean,
            };
            amplify::write(Path::new(out), &plan, paths.iter().map(PathBuf::from).collect())
        }
        _ => bail!(
            "usage: workload small|elephants|connections|datagrams|interfaces|facts|contracts OUT NUMBER NUMBER, or amplify OUT COPIES SECONDS PACKETS [clean] PATH…"
        ),
    }
}

fn number(text: &str) -> anyhow::Result<u64> {
    text.parse().with_context(|| format!("{text} is not a number"))
}
