//! What an event costs may not depend on what else there is: workloads, contracts, networks, flows that wait, open alerts.
//!
//! Counts the instructions (valgrind) of events of each kind beside N things and beside 4 N, and fails where the cost of an event grows with an
//! exponent above [`MOST`]. Instructions do not jitter, so CI holds it, without optimization, with
//! `cargo test --bench scaling`. Everything that is there before is made before counting starts.
#![allow(clippy::expect_used, reason = "a benchmark: a failure ends it")]

#[path = "../tests/support/engine_config.rs"]
mod engine_config;
#[path = "scaling/load.rs"]
mod load;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, ExitCode};

use hopwatch::engine::Engine;
use hopwatch::input::Input;
use load::Beside;

/// The cost of an event beside n things grows less than n to the power of this. Without optimization a comparison in a tree or heap costs as much as
/// the rest of a small event, and there is one more of them for each doubling.
const MOST: f64 = if cfg!(debug_assertions) { 0.2 } else { 0.1 };
/// Kinds of events that are rare and still cost what there is: each contract's selectors are asked about a new workload, and a network may be
/// that of any flow that waits.
const KNOWN: [(&str, Beside); 2] = [("workload", Beside::Contracts), ("network", Beside::Waiting)];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.as_slice() {
        [flag, beside, number] if flag == "--count" => {
            let number = number.parse().expect("a number");
            count(Beside::ALL.into_iter().find(|one| one.as_str() == beside).expect("something known"), number);
            ExitCode::SUCCESS
        }
        _ => compare(),
    }
}

/// Prints what each kind of event costs beside each kind of thing, and fails where the cost grows.
fn compare() -> ExitCode {
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("skipped: scaling, valgrind is not installed (Debian: apt-get install valgrind)");
        return ExitCode::SUCCESS;
    }
    println!("instructions per event beside n things, and the exponent with which they grow to 4 n");
    let mut grown = Vec::new();
    for beside in Beside::ALL {
        let number = beside.number();
        let (many, few) = std::thread::scope(|scope| {
            let few = scope.spawn(|| instructions(beside, number));
            (instructions(beside, 4 * number), few.join().expect("the smaller run"))
        });
        print!("{:<16} {number:>5} ", beside.as_str());
        for (kind, few) in &few {
            let exponent = (many.get(kind).expect("the same kinds") / few).log(4.0);
            print!(" {kind} {few:.0} ({exponent:+.3})");
            if exponent > MOST && !KNOWN.contains(&(kind, beside)) {
                grown.push(format!("{kind} beside {}: {exponent:.3}", beside.as_str()));
            }
        }
        println!();
    }
    if grown.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!(
        "scaling: an event costs more where there is more of something else ({MOST} is the most): {}",
        grown.join("; ")
    );
    ExitCode::FAILURE
}

/// Instructions per event in [`measured`], by kind of event, counted in a process of its own: one dump a call.
fn instructions(beside: Beside, number: u32) -> BTreeMap<String, f64> {
    let own = std::env::current_exe().expect("this program");
    let folder = std::env::temp_dir().join(format!("hopwatch-scaling-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for the dumps");
    let file = folder.join("out");
    let out = Command::new("valgrind")
        .args(["--tool=callgrind", &format!("--callgrind-out-file={}", file.display())])
        // Two patterns: of equal ones valgrind hears the first only.
        .args(["--toggle-collect=scaling::measured*", "--dump-after=*scaling::measured*"])
        .arg(own)
        .args(["--count", beside.as_str(), &number.to_string()])
        .output()
        .expect("valgrind runs");
    let kinds = String::from_utf8_lossy(&out.stdout);
    let counts = kinds.lines().enumerate().map(|(position, line)| {
        let (kind, events) = line.split_once(' ').expect("a kind and how many events");
        let total = total(&folder.join(format!("out.{}", position + 1)));
        (kind.to_owned(), total / events.parse::<f64>().expect("a number"))
    });
    let counts: BTreeMap<String, f64> = counts.collect();
    std::fs::remove_dir_all(&folder).expect("the dumps can go");
    assert!(!counts.is_empty(), "nothing was counted:\n{}", String::from_utf8_lossy(&out.stderr));
    counts
}

/// The instructions of one dump.
fn total(dump: &Path) -> f64 {
    let text = std::fs::read_to_string(dump).expect("a dump for each call of `measured`: was it renamed?");
    let total = text.lines().find_map(|line| line.strip_prefix("totals: ")).expect("totals of a dump");
    let total = total.trim().parse().expect("one number");
    assert!(total > 0.0, "nothing was counted: was `measured` renamed?");
    total
}

#[inline(never)]
fn measured(engine: &mut Engine, inputs: &[Input]) -> usize {
    let mut alerts = Vec::new();
    for input in inputs {
        engine.push(input, &mut alerts);
    }
    alerts.len()
}

fn count(beside: Beside, number: u32) {
    let mut engine = Engine::new(load::config(beside, number));
    for input in load::before(beside, number) {
        engine.push(&input, &mut Vec::new());
    }
    for (kind, inputs) in load::events() {
        std::hint::black_box(measured(&mut engine, &inputs));
        println!("{kind} {}", inputs.len());
    }
}
