//! Learning a baseline and comparing with it: what a container costs may not depend on how many there are.
//!
//! Counts the instructions (valgrind) a container, for N containers and for 4 N, of one service whose containers all differ and of as many
//! services, and fails where they grow with an exponent above [`MOST`]; `cargo test --bench baseline`. With `--time`, in an optimized build
//! (`cargo bench --bench baseline -- --time`): the CPU time of 5,000 containers, which may take [`MOST_CPU`].
#![allow(
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::similar_names,
    reason = "a benchmark: a failure ends it"
)]

use std::process::{Command, ExitCode};
use std::sync::Arc;

use hopwatch::app::baseline::{Observation, Observed, diff};
use hopwatch::baseline::{Baseline, BaselineDocument, Learner};
use hopwatch::detect::hostile;
use hopwatch::input::{Configuration, Logging, Mount, RuntimeId, Setting, Variable, Workload, WorkloadId};
use hopwatch::time::Timestamp;

/// The cost of a container among n grows less than n to the power of this: a tree is one comparison deeper for each doubling.
const MOST: f64 = 0.2;
/// Containers of the smaller run.
const NUMBER: u32 = 250;
/// Seconds of CPU for [`HOST`] containers, learned and compared.
const MOST_CPU: f64 = 2.0;
/// Containers of a large host.
const HOST: u32 = 5_000;

/// Whether all containers are of one service.
#[derive(Clone, Copy)]
enum Shape {
    OneService,
    ManyServices,
}

impl Shape {
    const ALL: [(&'static str, Self); 2] = [("one-service", Self::OneService), ("many-services", Self::ManyServices)];

    fn named(name: &str) -> Self {
        Self::ALL.into_iter().find(|(known, _)| *known == name).expect("a shape").1
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.as_slice() {
        [flag, shape, number] if flag == "--count" => {
            let observed = observed(Shape::named(shape), number.parse().expect("a number"));
            std::hint::black_box(measured(&observed));
            ExitCode::SUCCESS
        }
        args if args.iter().any(|arg| arg == "--time") => timed(),
        _ => compared(),
    }
}

/// Seconds of CPU of a large host.
fn timed() -> ExitCode {
    let mut worst = 0.0_f64;
    for (name, shape) in Shape::ALL {
        let observed = observed(shape, HOST);
        let before = cpu();
        let differing = measured(&observed);
        let took = cpu() - before;
        worst = worst.max(took);
        println!("{HOST} containers, {name}: {took:.2} s of CPU, {differing} differences");
    }
    if worst <= MOST_CPU { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn cpu() -> f64 {
    let time = nix::time::clock_gettime(nix::time::ClockId::CLOCK_PROCESS_CPUTIME_ID).expect("a clock");
    std::time::Duration::from(time).as_secs_f64()
}

fn compared() -> ExitCode {
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("skipped: baseline, valgrind is not installed (Debian: apt-get install valgrind)");
        return ExitCode::SUCCESS;
    }
    let mut grown = false;
    for (name, _) in Shape::ALL {
        let (few, many) = (instructions(name, NUMBER), instructions(name, 4 * NUMBER));
        let exponent = (many / few).log(4.0);
        println!("{name}: {few:.0} instructions a container of {NUMBER}, {many:.0} of {} ({exponent:+.3})", 4 * NUMBER);
        grown |= exponent > MOST;
    }
    if grown { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Instructions a container in [`measured`].
fn instructions(shape: &str, number: u32) -> f64 {
    let own = std::env::current_exe().expect("this program");
    let out = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=baseline::measured*"])
        .arg(own)
        .args(["--count", shape, &number.to_string()])
        .output()
        .expect("valgrind runs");
    let text = String::from_utf8_lossy(&out.stderr);
    let total = text.lines().find_map(|line| line.split_once("Collected :")).expect("a total").1.trim();
    total.parse::<f64>().expect("a number") / f64::from(number)
}

/// Learns from every second container, writes the document, and compares all with it; how many values differ.
#[inline(never)]
fn measured(observed: &Observed) -> usize {
    let mut learner = Learner::default();
    for Observation { at, workload } in observed.containers.iter().step_by(2) {
        learner.apply(*at, workload, &hostile(workload));
    }
    let learned: Baseline = learner.finish(0, None);
    let document = BaselineDocument::from(&learned);
    let baseline = document.checked().expect("what was learned is a baseline");
    diff(&baseline, observed).services.iter().map(|service| service.items.len()).sum()
}

fn observed(shape: Shape, number: u32) -> Observed {
    let one = |number| Observation { at: Timestamp::from_secs(1000), workload: Arc::new(workload(shape, number)) };
    Observed { containers: (0..number).map(one).collect(), ..Observed::default() }
}

/// With twenty variables, one of which, and a mount, are like those of no other container.
fn workload(shape: Shape, number: u32) -> Workload {
    let service = match shape {
        Shape::OneService => "web".to_owned(),
        Shape::ManyServices => format!("service{}", letters(number / 2)),
    };
    let variable = |name: String, value: String| Variable { name, value: Setting::Clear(value) };
    let shared = (0..19).map(|number| variable(format!("NAME_{number}"), "value".to_owned()));
    let own = variable("OWN".to_owned(), letters(number));
    let mount = Mount {
        target: "/data".to_owned(),
        kind: "bind".to_owned(),
        source: format!("/srv/{number}"),
        ..Mount::default()
    };
    let configuration = Configuration {
        command: vec!["/entry".to_owned(), "--verbose".to_owned()],
        logging: Some(Logging { driver: "json-file".to_owned(), ..Logging::default() }),
        environment: shared.chain([own]).collect(),
        mounts: vec![mount],
        ..Configuration::default()
    };
    let id = WorkloadId::new(&format!("{number:064x}"));
    Workload {
        image: "shop/web:1".to_owned(),
        labels: [("com.docker.compose.project", "shop"), ("com.docker.compose.service", service.as_str())]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        since: Some(Timestamp::from_secs(900)),
        configuration: Some(Arc::new(configuration)),
        ..Workload::new(id, &format!("{service}-{number}"), RuntimeId::DOCKER)
    }
}

/// A number in letters, because digits in names are generalised.
fn letters(number: u32) -> String {
    number.to_string().bytes().map(|digit| char::from(b'a' + digit - b'0')).collect()
}
