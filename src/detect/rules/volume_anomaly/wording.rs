//! What `volume-anomaly` says.

use super::{Case, Outside, Params, What};
use crate::baseline::volume::start_of;
use crate::detect::anomaly::new_traffic::provenance;
use crate::detect::{Alternative, Context, ExpectedFrom, Explanation};
use crate::wording::many;

/// Why an hour is one to speak of.
pub(super) fn explain(
    context: Context<'_>,
    params: &Params,
    case: Case<'_>,
    what: What,
    outside: &[Outside],
) -> Explanation {
    let first = outside.first();
    let expected = first.map_or_else(String::new, expected);
    let mut why = Explanation::new(observed(case, what, first), expected, ExpectedFrom::Baseline);
    let (threshold, parameter) = threshold(params, what, first);
    why.threshold = threshold;
    parameter.clone_into(&mut why.parameter);
    why.alternatives = look_alikes(what);
    let traffic = case.service.traffic.as_ref();
    let serial = context.baseline.map_or(0, |baseline| baseline.serial);
    why.limits.extend(traffic.map(|traffic| provenance(case.service, traffic, serial)));
    if case.volume.week.len() < 2 * 168 {
        why.limits.push("the baseline saw less than two weeks: what comes once a week is not known to it".to_owned());
    }
    "hopwatch baseline approve, after `baseline diff --read RECORDING`; rules.volume-anomaly.allowed (a service), or an exception"
        .clone_into(&mut why.silence);
    why.about(outside.iter().map(|one| {
        let stand = one.stand;
        format!("{}: {}, about {} expected, z {:.1}", one.figure, one.amount, stand.expected, stand.z)
    }))
}

/// What there was, and when.
fn observed(case: Case<'_>, what: What, first: Option<&Outside>) -> String {
    let (from, until) = (start_of(case.hour), start_of(case.hour + 1));
    let zone = &case.volume.zone;
    let clock = format!("{} to {} ({} {zone})", from.readable(), until.readable_clock(), zone.shown(case.hour));
    let containers = match case.running.containers {
        1 => String::new(),
        containers => format!(" for each of {}", many(containers, "container")),
    };
    match (what, first) {
        (What::Silence, _) | (_, None) => format!("no traffic at all from {clock}, while {}", runs(case)),
        (_, Some(first)) => format!("{} {}{containers} from {clock}", first.amount, first.figure),
    }
}

/// What such hours have.
fn expected(outside: &Outside) -> String {
    let stand = outside.stand;
    format!(
        "about {} {}; {} to {} were seen ({} of {})",
        stand.expected,
        outside.figure,
        stand.least,
        stand.most,
        many(stand.values as u64, "value"),
        stand.season.as_str()
    )
}

fn runs(case: Case<'_>) -> String {
    match case.running.containers {
        1 => "its container ran".to_owned(),
        containers => format!("its {} ran", many(containers, "container")),
    }
}

fn threshold(params: &Params, what: What, first: Option<&Outside>) -> (String, &'static str) {
    let is_sudden = first.is_some_and(|first| first.stand.z.abs() >= params.z);
    match what {
        What::Silence => (
            format!("{} contacts an hour expected, and none", params.silence_flows),
            "rules.volume-anomaly.silence_flows",
        ),
        What::More | What::Less if is_sudden => (
            format!("{} spreads from the median, and more than 28 % outside of all that was seen", params.z),
            "rules.volume-anomaly.z",
        ),
        What::More | What::Less => (
            format!("{} spreads from the median in three hours in a row", params.z_of_three),
            "rules.volume-anomaly.z_of_three",
        ),
    }
}

/// What is harmless and looks the same.
fn look_alikes(what: What) -> Vec<Alternative> {
    match what {
        What::More => vec![
            Alternative::new("a backup, an import, a migration, the end of a month", "is it done when that job is?"),
            Alternative::new("a campaign: more visitors", "did what comes in grow as much as what goes out?"),
            Alternative::new("a cold cache after a deployment", "does it end within the hour?"),
        ],
        What::Less | What::Silence => vec![
            Alternative::new("a holiday, or maintenance", "are other services as quiet?"),
            Alternative::new("a service that it needs is down", "did its contacts fail before?"),
            Alternative::new("another service took over its work", "did another one's traffic grow as much?"),
        ],
    }
}
