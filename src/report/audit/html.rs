//! An audit as one page that needs nothing else.
//!
//! Contract: no script, no request, no address of elsewhere; every text is escaped; readable on a phone, in dark and light, and on paper.

use super::{Audit, WorkloadAudit};
use crate::detect::Severity;

/// The page's looks. `content-security-policy` forbids everything else.
const STYLE: &str = "\
:root{color-scheme:light dark;--line:#8884;--low:#2f6f9f;--medium:#9a6700;--high:#b4400f;--critical:#b3123f}
@media(prefers-color-scheme:dark){:root{--low:#6cb6ff;--medium:#e3b341;--high:#f0883e;--critical:#ff7b9c}}
*{box-sizing:border-box}body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:60rem;padding:1rem;overflow-wrap:anywhere}
h1{font-size:1.4rem}h2{font-size:1.1rem;margin:.2rem 0}section{border-top:1px solid var(--line);padding:.8rem 0;break-inside:avoid}
dl{display:grid;grid-template-columns:minmax(6rem,9rem) 1fr;gap:.2rem .8rem;margin:.4rem 0}dt{opacity:.75}dd{margin:0}
ul{margin:.3rem 0;padding-left:1.2rem}code{font-size:.9em}
.low,.medium,.high,.critical{font-weight:600}.low{color:var(--low)}.medium{color:var(--medium)}.high{color:var(--high)}.critical{color:var(--critical)}
@media(max-width:30rem){dl{grid-template-columns:1fr}dt{margin-top:.4rem}}
@media print{body{max-width:none;font-size:11pt}}";

impl Audit {
    /// The page.
    pub fn html(&self) -> String {
        let containers = crate::wording::many(self.workloads.len() as u64, "container");
        let baseline = self.baseline.map_or_else(|| "none".to_owned(), |serial| format!("serial {serial}"));
        let mut page = format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n\
             <link rel=\"icon\" href=\"data:,\">\n\
             <title>hopwatch audit</title>\n<style>{STYLE}</style>\n<h1>hopwatch audit</h1>\n\
             <p>{containers}, {} at {}; baseline: {baseline}; numbers of {}.</p>\n",
            self.source,
            escaped(&self.at.readable()),
            escaped(self.benchmark)
        );
        page.push_str("<p>");
        for severity in Severity::ALL.into_iter().rev() {
            let count = self.workloads.iter().filter(|workload| workload.worst == Some(severity)).count();
            let word = severity.as_str();
            page.push_str(&format!("<span class=\"{word}\">{count} {word}</span> "));
        }
        page.push_str("</p>\n");
        self.workloads.iter().for_each(|workload| page.push_str(&section(workload)));
        page.push_str("<section><h2>What hopwatch cannot see</h2>\n");
        page.push_str(&list(self.blind_spots.iter().map(|text| escaped(text))));
        page.push_str("</section>\n</html>\n");
        page
    }
}

fn section(workload: &WorkloadAudit) -> String {
    let mut html = format!("<section>\n<h2>{}{}</h2>\n<dl>", escaped(&workload.name), worst(workload));
    let mut row = |title: &str, text: &str| html.push_str(&format!("<dt>{title}</dt><dd>{}</dd>", escaped(text)));
    row("service", &workload.service);
    row("image", &workload.image);
    row("logs", &workload.logging);
    let seen = if workload.monitored_by.is_empty() { "nowhere".to_owned() } else { workload.monitored_by.join(", ") };
    row("seen by", &seen);
    for path in &workload.paths {
        let proof = if path.can_be_proven { "can be proven" } else { "cannot be proven wholly" };
        row("must pass", &format!("{} ({}); {proof}; {}", path.hops.join(" → "), path.contract, path.seen));
    }
    if let Some(known) = workload.in_baseline {
        row("baseline", known);
    }
    html.push_str("</dl>\n");
    html.push_str(&list(workload.findings.iter().map(|finding| {
        let word = finding.severity.as_str();
        let (rule, text) = (escaped(finding.rule), escaped(&finding.text));
        format!("<span class=\"{word}\">{word}</span> <code>{rule}</code> {text}")
    })));
    html.push_str(&list(
        workload
            .cis
            .iter()
            .map(|item| format!("{} {}: {}", escaped(item.number), escaped(item.title), escaped(&item.found))),
    ));
    html.push_str(&list(workload.blind_spots.iter().map(|text| format!("not seen: {}", escaped(text)))));
    html.push_str("</section>\n");
    html
}

fn worst(workload: &WorkloadAudit) -> String {
    let Some(worst) = workload.worst else { return String::new() };
    let word = worst.as_str();
    format!(" <span class=\"{word}\">{word}</span>")
}

fn list(items: impl Iterator<Item = String>) -> String {
    let items: String = items.map(|item| format!("<li>{item}</li>\n")).collect();
    if items.is_empty() { items } else { format!("<ul>\n{items}</ul>\n") }
}

/// A text that a browser shows and does not obey, nor a reader takes for another.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in crate::escape::printable(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
