//! `protocol-mismatch`.

mod strategy;
#[cfg(test)]
mod tests;

use crate::detect::anomaly::once::{InFlow, OnRecords, Once, RecordRule};
use crate::detect::anomaly::spoken::{Spoken, expected, spoken, words};
use crate::detect::params::rule_params;
use crate::detect::{Alternative, Context, ExpectedFrom, Explanation, Finding, Rule, Severity};
use crate::input::{FlowRecord, Protocol};
use crate::path::{JudgedFlow, Selector, is_internet};
pub use strategy::META;

rule_params! {
    /// Services that may speak anything at any port.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<Selector> = Vec::new(),
    /// Ports of servers at which anything may be spoken.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed_ports: Vec<u16> = Vec::new(),
}

/// The rule.
#[derive(Debug)]
struct ProtocolMismatch {
    params: Params,
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    OnRecords::new(ProtocolMismatch { params: params.clone() })
}

/// A protocol at a port that is for others.
#[derive(Debug, PartialEq, Eq)]
struct Mismatch {
    spoken: Spoken,
    expected: &'static [Spoken],
    port: u16,
    /// Inside a connection that a proxy was asked for.
    is_relayed: bool,
}

impl RecordRule for ProtocolMismatch {
    fn look(
        &mut self,
        context: Context<'_>,
        flow: &JudgedFlow,
        record: &FlowRecord,
        reported: &mut Once,
    ) -> Option<Finding> {
        let mismatch = mismatch(record).filter(|found| !self.params.allowed_ports.contains(&found.port))?;
        let workload = flow.source.workload();
        if workload.is_some_and(|workload| Selector::any(&self.params.allowed, workload)) || !flow.oriented.certain {
            return None;
        }
        // Of workloads `tunnel-from-container` reports these, wherever they are spoken.
        let is_reported = matches!(mismatch.spoken, Spoken::Ssh | Spoken::OpenVpn | Spoken::WireGuard);
        if is_reported && workload.is_some() && !mismatch.is_relayed {
            return None;
        }
        // `anonymizer` reports these wherever they leave to.
        let hides = matches!(mismatch.spoken, Spoken::Socks | Spoken::OpenVpn | Spoken::WireGuard);
        if hides && !mismatch.is_relayed && is_internet(record.tuple.resp.ip) {
            return None;
        }
        let actor = context.actors.source(flow).filter(|_| reported.is_new(flow))?;
        let found = InFlow { rule: &META, flow, record, actor: &actor };
        let cause = format!("{} at {}", mismatch.spoken.as_str(), mismatch.port);
        Some(found.finding(context, mismatch.severity(), &cause, mismatch.explain(record)))
    }
}

impl Mismatch {
    const fn severity(&self) -> Severity {
        let is_open = matches!(self.port, 53 | 80 | 123 | 443 | 853 | 8443);
        if is_open && self.spoken.is_carrier() { Severity::Medium } else { Severity::Low }
    }

    fn explain(&self, record: &FlowRecord) -> Explanation {
        let (spoken, port) = (self.spoken.as_str(), self.port);
        let place = if self.is_relayed { "through a proxy, to" } else { "to" };
        let observed = format!("{spoken} is spoken {place} port {port}: {}", shown(record, self.spoken));
        let mut why =
            Explanation::new(observed, format!("port {port} is for {}", words(self.expected)), ExpectedFrom::Floor);
        why.threshold = "the first bytes of one flow are those of another known protocol".into();
        why.parameter = "rules.protocol-mismatch.allowed_ports".into();
        if self.spoken.is_carrier() {
            why.signs.push(format!("{spoken} carries other traffic"));
        }
        why.alternatives = vec![
            Alternative::new(
                "a service that was given a free port",
                "ask the owner of the server what it serves there",
            ),
            Alternative::new(
                "a client with a wrong port or scheme in its settings",
                "the server closes such connections at once",
            ),
        ];
        why.silence = format!("name the service under rules.protocol-mismatch.allowed, or {port} under allowed_ports");
        why
    }
}

/// What gives it away.
fn shown(record: &FlowRecord, spoken: Spoken) -> String {
    let app = record.app.as_deref();
    match spoken {
        Spoken::Ssh => app.and_then(|app| app.ssh.clone()).unwrap_or_default(),
        Spoken::Http => {
            let request = app.and_then(|app| app.http.as_ref());
            request
                .map(|request| format!("the request {} {}", request.method, request.path.as_deref().unwrap_or("")))
                .unwrap_or_default()
        }
        Spoken::Socks => {
            let request = app.and_then(|app| app.socks.as_ref());
            request.map(|request| format!("a request to {} {}", request.command, request.target)).unwrap_or_default()
        }
        _ => "by its first bytes".to_owned(),
    }
}

/// What a flow speaks that its port is not for; what it speaks beside that is, counts.
fn mismatch(record: &FlowRecord) -> Option<Mismatch> {
    let all = spoken(record);
    let request = record.app.as_ref().and_then(|app| app.http.as_ref());
    let target = request.and_then(|request| request.connect.as_deref());
    let port = target.and_then(|target| target.rsplit_once(':')).and_then(|(_, port)| port.parse().ok());
    let (protocol, port, inside) = match port {
        Some(port) => (Protocol::TCP, port, all.into_iter().filter(|spoken| *spoken != Spoken::Http).collect()),
        None if target.is_some() => return None,
        None => (record.tuple.protocol, record.tuple.resp.port, all),
    };
    let expected = expected(protocol, port)?;
    if inside.iter().any(|spoken| expected.contains(spoken)) {
        return None;
    }
    let spoken = inside.into_iter().next()?;
    Some(Mismatch { spoken, expected, port, is_relayed: target.is_some() })
}
