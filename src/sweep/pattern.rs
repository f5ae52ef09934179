//! What of an alert can be looked for elsewhere.
//!
//! Contract: reads `hopwatch.alert/1` leniently, of any version and origin: a part that is not as expected is left out. Limits: [`MAX_EACH`] of a kind. Design: the alert's
//! JSON and not its type, since it comes from the outbox or from a file.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::Serialize;
use serde_json::Value;

use super::{Sign, Who};
use crate::input::{Endpoint, FiveTuple, Protocol, Workload};

/// Destinations, settings and fingerprints of one alert.
const MAX_EACH: usize = 1024;

/// The signs of an alert.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Pattern {
    /// Its id.
    pub alert: String,
    /// Its rule.
    pub rule: String,
    /// Its workload, or the address that acts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub who: Option<Who>,
    /// Where it went, as `ADDRESS:PORT`.
    destinations: BTreeSet<String>,
    /// The same as `NAME:PORT`.
    names: BTreeSet<String>,
    /// Image reference and digest of its workload.
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    /// Settings that differ from what is expected.
    settings: BTreeSet<String>,
    /// JA4 fingerprints.
    pub(super) fingerprints: BTreeSet<String>,
    /// Its flow, whose fingerprint counts too where it is seen again.
    #[serde(skip)]
    pub(super) flow: Option<FiveTuple>,
}

impl Pattern {
    /// Of an alert's JSON.
    pub fn read(alert: &Value) -> Result<Self, String> {
        if alert["schema"] != crate::alert::SCHEMA {
            return Err("it is no alert (hopwatch.alert/1); of an incident, name one of its alerts".to_owned());
        }
        let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let workload = &alert["workload"];
        let flow = flow(&alert["flow"]);
        let mut ends: BTreeSet<(IpAddr, u16, Option<String>)> =
            listed(&alert["destinations"]).filter_map(end).collect();
        // A flow of a sender whose destinations are listed goes to one of them.
        if ends.is_empty() {
            ends.extend(flow.map(|flow| (flow.resp.ip, flow.resp.port, None)));
        }
        let pattern = Self {
            alert: text(&alert["id"]).ok_or("it has no id")?,
            rule: text(&alert["rule"]).ok_or("it names no rule")?,
            who: who(alert),
            destinations: ends.iter().map(|(ip, port, _)| shown(*ip, *port)).collect(),
            names: ends.iter().filter_map(|(_, port, name)| Some(named(name.as_deref()?, *port))).collect(),
            image: text(&workload["image"]),
            digest: text(&workload["digest"]),
            settings: settings(alert),
            fingerprints: fingerprints(alert),
            flow,
        };
        if pattern.is_empty() {
            return Err("it names no destination, image, setting or fingerprint that others could share".to_owned());
        }
        Ok(pattern)
    }

    fn is_empty(&self) -> bool {
        self.destinations.is_empty()
            && self.image.is_none()
            && self.digest.is_none()
            && self.settings.is_empty()
            && self.fingerprints.is_empty()
    }

    /// Whether that is whom the alert is about.
    pub fn is_of(&self, who: &Who) -> bool {
        self.who.as_ref().is_some_and(|own| if own.id.is_some() { own.id == who.id } else { own.name == who.name })
    }

    /// Whom an alert is about.
    pub fn who_of(alert: &Value) -> Option<Who> {
        who(alert)
    }

    /// What is the same about an end that was reached.
    pub fn of_end(&self, ip: IpAddr, port: u16, name: Option<&str>) -> Vec<(Sign, String)> {
        let destination = Some(shown(ip, port)).filter(|shown| self.destinations.contains(shown));
        let name = name.map(|name| named(name, port)).filter(|named| self.names.contains(named));
        let signs = [(Sign::Destination, destination), (Sign::Name, name)];
        signs.into_iter().filter_map(|(sign, what)| Some((sign, what?))).collect()
    }

    /// What is the same about a container's image: its digest where both are known, else its name.
    pub fn of_image(&self, workload: &Workload) -> Option<(Sign, String)> {
        self.image_is(&workload.image, &workload.image_digest)
    }

    fn image_is(&self, image: &str, digest: &str) -> Option<(Sign, String)> {
        let is_same = match &self.digest {
            Some(own) if !digest.is_empty() => own == digest,
            _ => self.image.as_deref().is_some_and(|own| own == image),
        };
        is_same.then(|| (Sign::Image, if image.is_empty() { digest } else { image }.to_owned()))
    }

    /// What is the same about another alert, but for its image, which its container shows.
    pub fn of_alert(&self, alert: &Value) -> Vec<(Sign, String)> {
        if alert["id"] == self.alert.as_str() {
            return Vec::new();
        }
        let mut signs: BTreeSet<(Sign, String)> = BTreeSet::new();
        for (ip, port, name) in listed(&alert["destinations"]).filter_map(end) {
            signs.extend(self.of_end(ip, port, name.as_deref()));
        }
        if alert["rule"] == self.rule.as_str() {
            signs.extend(settings(alert).intersection(&self.settings).map(|text| (Sign::Setting, text.clone())));
        }
        let prints = fingerprints(alert);
        signs.extend(prints.intersection(&self.fingerprints).map(|print| (Sign::Fingerprint, print.clone())));
        signs.into_iter().collect()
    }
}

/// Whom an alert is about.
pub(super) fn who(alert: &Value) -> Option<Who> {
    let workload = &alert["workload"];
    if let (Some(name), Some(id)) = (workload["name"].as_str(), workload["id"].as_str()) {
        return Some(Who { name: name.to_owned(), id: Some(id.to_owned()) });
    }
    let acts = alert["actor"]["name"].as_str().or_else(|| alert["flow"]["orig"]["ip"].as_str())?;
    Some(Who { name: acts.to_owned(), id: None })
}

fn listed(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten().take(MAX_EACH)
}

fn endpoint(value: &Value) -> Option<Endpoint> {
    let ip: IpAddr = value["ip"].as_str()?.parse().ok()?;
    Some(Endpoint { ip, port: value["port"].as_u64()?.try_into().ok()? })
}

fn end(value: &Value) -> Option<(IpAddr, u16, Option<String>)> {
    let Endpoint { ip, port } = endpoint(value)?;
    Some((ip, port, value["name"].as_str().map(str::to_owned)))
}

fn flow(flow: &Value) -> Option<FiveTuple> {
    let protocol = Protocol(flow["protocol"].as_u64()?.try_into().ok()?);
    Some(FiveTuple { protocol, orig: endpoint(&flow["orig"])?, resp: endpoint(&flow["resp"])? })
}

fn shown(ip: IpAddr, port: u16) -> String {
    std::net::SocketAddr::new(ip.to_canonical(), port).to_string()
}

fn named(name: &str, port: u16) -> String {
    format!("{}:{port}", name.to_lowercase())
}

/// What rules about settings say differs.
fn settings(alert: &Value) -> BTreeSet<String> {
    let all = listed(&alert["evidence"]).filter(|evidence| evidence["kind"] == "setting");
    all.filter_map(|evidence| evidence["text"].as_str().map(str::to_owned)).collect()
}

/// What was observed; what was expected has fingerprints too, of those that are in order.
fn fingerprints(alert: &Value) -> BTreeSet<String> {
    let anomaly = &alert["anomaly"];
    let texts = anomaly["observed"].as_str().into_iter().chain(listed(&anomaly["objects"]).flat_map(texts));
    let words = texts.flat_map(|text| text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')));
    words.filter(|word| is_ja4(word)).take(MAX_EACH).map(str::to_owned).collect()
}

/// A text, or those of an object.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Object(object) => object.values().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// `t13d1516h2_8daaf6152771_e5627efa2ab1`.
fn is_ja4(word: &str) -> bool {
    let parts: Vec<&str> = word.split('_').collect();
    let is_hex = |part: &str| part.len() == 12 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    matches!(parts.as_slice(), [head, ciphers, extensions] if head.len() == 10 && head.starts_with(['t', 'q', 'd'])
        && is_hex(ciphers) && is_hex(extensions))
}
