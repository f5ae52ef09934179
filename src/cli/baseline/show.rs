//! `hopwatch baseline show`.

use std::io::Write as _;

use anyhow::Context as _;

use super::{Common, Outcome, lines};
use crate::app::baseline;
use crate::baseline::traffic::{TrafficBaseline, TrafficLearned};
use crate::baseline::volume::{Figure, VolumeBaseline};
use crate::baseline::{Baseline, Held, ServiceBaseline};
use crate::inventory::configuration::{GROUPS, SINGLE};
use crate::time::readable;
use crate::wording::many;

/// Runs the command.
pub(super) fn run(common: &Common, only: Option<&str>) -> anyhow::Result<Outcome> {
    let config = common.load(None)?;
    let path = baseline::path_of(common.baseline.as_deref(), &config)?;
    let text = text(&baseline::in_force(&path, &config)?, only);
    anstream::stdout().write_all(lines(&text).as_bytes()).context("writing to standard output")?;
    Ok(Outcome::Done)
}

fn text(baseline: &Baseline, only: Option<&str>) -> String {
    let key = baseline.hash_key.as_deref().unwrap_or("none");
    let mut text =
        format!("serial {}, {}, hash key {key}\n", baseline.serial, many(baseline.services().len(), "service"));
    let is_meant = |name: &str| only.is_none_or(|only| name.contains(only));
    for service in baseline.services().filter(|service| is_meant(&service.key.to_string())) {
        text.push_str(&described(service));
    }
    let waiting: Vec<_> = baseline.quarantine.iter().filter(|item| is_meant(&item.service.to_string())).collect();
    if !waiting.is_empty() {
        text.push_str("quarantine: seen, not in force; approve one by one\n");
    }
    for item in waiting {
        let unit = if matches!(item.what, Held::Traffic(_)) { "contact" } else { "start" };
        let seen = many(item.seen, unit);
        text.push_str(&format!("  {}  {}: {} ({seen}): {}\n", item.id, item.service, item.what, item.reason));
    }
    text
}

fn described(service: &ServiceBaseline) -> String {
    let learned = match &service.learned {
        Some(learned) => {
            format!("learned from {} of {}", many(learned.starts, "start"), many(learned.replicas, "container"))
        }
        None => "written by hand".to_owned(),
    };
    let confidence =
        if service.is_single_start() { "; one start alone: differences count one severity less" } else { "" };
    let mut text = format!("{} ({}), {learned}{confidence}\n", service.key, service.state);
    if let Some(approved) = &service.approved {
        text.push_str(&format!("  approved by {} at {}: {}\n", approved.by, approved.at.readable(), approved.why));
    }
    for (field, expectation) in &service.expect {
        if let Some(words) = expectation.words() {
            text.push_str(&format!("  {field}: {words}\n"));
        }
    }
    let unknown = SINGLE.iter().filter(|name| !service.expect.keys().any(|field| field.name() == **name));
    let unknown: Vec<&str> =
        unknown.chain(GROUPS.iter().filter(|name| !service.groups.contains(*name))).copied().collect();
    if !unknown.is_empty() {
        text.push_str(&format!("  not learned, says nothing: {}\n", unknown.join(", ")));
    }
    text + &service.traffic.as_ref().map_or_else(|| "  traffic: not learned, says nothing\n".to_owned(), traffic)
}

fn traffic(traffic: &TrafficBaseline) -> String {
    let mut text = match &traffic.learned {
        Some(learned) => learned_from(learned),
        None => "  traffic: written by hand\n".to_owned(),
    };
    let (all, once) =
        traffic.rows().fold((0, 0), |(all, once), row| (all + 1, once + u64::from(row.facts.seen.contacts == 1)));
    if once > 0 {
        text.push_str(&format!("    seen once: {once} of {}; learning longer finds more\n", many(all, "peer")));
    }
    text.push_str(
        &traffic.volume.as_ref().map_or_else(|| "    volume: not learned, says nothing\n".to_owned(), volume),
    );
    traffic.rows().for_each(|row| text.push_str(&format!("    {row}: {}\n", row.facts)));
    text
}

/// What one container has in an hour.
fn volume(volume: &VolumeBaseline) -> String {
    let hours = many(volume.quantiles(Figure::BytesOut).hours, "hour");
    let left_out = match volume.left_out {
        0 => String::new(),
        left_out => format!(", {} left out", many(left_out, "hour")),
    };
    let mut text = format!(
        "    volume of a container: learned from {hours} in {}{left_out}; {} at most\n",
        volume.zone,
        many(volume.containers, "container")
    );
    for figure in Figure::ALL {
        let one = volume.quantiles(figure);
        if one.most > 0 {
            let accepted = volume.accepted(figure);
            let accepted = accepted.map_or_else(String::new, |it| format!("; {} to {} accepted", it.from, it.to));
            let (median, p99, most) = (one.median, one.p99, one.most);
            text.push_str(&format!("      {figure} an hour: median {median}, p99 {p99}, at most {most}{accepted}\n"));
        }
    }
    text
}

fn learned_from(learned: &TrafficLearned) -> String {
    let span = readable(learned.to.since(learned.from));
    let starts = match learned.starts {
        0 => "; no start was seen: what it does only at its start is not known".to_owned(),
        starts => format!(", {}", many(starts, "start")),
    };
    let left_out = match learned.left_out {
        0 => String::new(),
        left_out => format!("; {} found no room", many(left_out, "contact")),
    };
    format!("  traffic: learned from {} in {span}{starts}{left_out}\n", many(learned.contacts, "contact"))
}
