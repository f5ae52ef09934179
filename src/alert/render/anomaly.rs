//! Why an alert is an anomaly, as lines for a terminal.
//!
//! Contract: label and text of each line; characters that a terminal obeys are not escaped here.

use crate::alert::{Alert, AlertActor};
use crate::detect::Explanation;

/// What the block says beside the evidence, which holds what was observed.
pub(super) fn lines(alert: &Alert) -> Vec<(&'static str, String)> {
    let Some(why) = &alert.anomaly else { return Vec::new() };
    let mut lines = vec![("expected", expected(why))];
    if let Some(name) = &why.name {
        let known_by = why.name_known_by.map(|by| format!(" (known by {by})")).unwrap_or_default();
        lines.push(("name", format!("{name}{known_by}")));
    }
    if !why.objects.is_empty() {
        lines.push(("objects", why.objects.join(", ")));
    }
    lines.extend(labelled("sign", &why.signs));
    let alternatives: Vec<String> = why.alternatives.iter().map(|it| format!("{}: {}", it.what, it.check)).collect();
    lines.extend(labelled("could be", &alternatives));
    lines.extend(labelled("limit", &why.limits));
    if !why.silence.is_empty() {
        lines.push(("to silence", why.silence.clone()));
    }
    lines
}

fn expected(why: &Explanation) -> String {
    let chance = why.chance.map(|chance| format!("; by chance in {}", share(chance))).unwrap_or_default();
    let limit = if why.threshold.is_empty() { String::new() } else { format!("; limit: {}", why.threshold) };
    let parameter = if why.parameter.is_empty() { String::new() } else { format!(" ({})", why.parameter) };
    format!("{}, by {}{chance}{limit}{parameter}", why.expected, why.expected_from.as_str())
}

/// `1 of 5,000` or so: one significant figure is all that such a number has.
fn share(chance: f64) -> String {
    if chance > 0.0 && chance < 1.0 {
        format!("1 of {:.0} cases", 1.0 / chance)
    } else {
        format!("{chance} of all cases")
    }
}

fn labelled(label: &'static str, texts: &[String]) -> impl Iterator<Item = (&'static str, String)> {
    texts.iter().enumerate().map(move |(number, text)| (if number == 0 { label } else { "" }, text.clone()))
}

/// `192.168.1.5 (no workload known)`, or the service.
pub(super) fn actor(actor: &AlertActor) -> String {
    match (actor.kind, actor.assumed) {
        ("address", true) => format!("{} (no workload known; --local CIDR says whether it is yours)", actor.name),
        ("address", false) => format!("{} (no workload known)", actor.name),
        _ => actor.name.clone(),
    }
}
