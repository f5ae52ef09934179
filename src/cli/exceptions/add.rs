//! The exception that allows one alert, as YAML.
//!
//! Contract: what is written is read again by the configuration's own checks first; no existing file is changed.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::Value;

use crate::cli::on_host;
use crate::cli::outbox_args::OutboxArgs;
use crate::config;
use crate::escape::json::quoted;

/// Which alert is allowed, by whom, why and until when.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Id of the alert, or the beginning of it
    id: String,
    /// Who answers for it
    #[arg(long, value_name = "NAME")]
    owner: String,
    /// Why it is allowed
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Until when: a day, as 2027-01-31, or a time
    #[arg(long, value_name = "DAY")]
    expires: String,
    /// Its name [default: the rule's and the beginning of the alert's id]
    #[arg(long)]
    name: Option<String>,
    /// Write it as a new file into this folder, such as /etc/hopwatch/conf.d, instead
    #[arg(long, value_name = "FOLDER")]
    write: Option<PathBuf>,
    #[command(flatten)]
    at: OutboxArgs,
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let alert = on_host::kept_alert(&args.at, &args.id)?;
    let name = args.name.clone().unwrap_or_else(|| default_name(&alert));
    let text = yaml(&alert, &name, args);
    config::from_str("the exception", &text)?;
    let omitted = alert["destinations_omitted"].as_u64().unwrap_or_default();
    if omitted > 0 {
        tracing::warn!(
            "the alert counts {omitted} more contacts with destinations that it does not list: these are not allowed"
        );
    }
    let Some(folder) = &args.write else { return super::print(&text) };
    let path = folder.join(format!("exception-{name}.yaml"));
    let mut file = File::create_new(&path).with_context(|| format!("making {}", path.display()))?;
    file.write_all(text.as_bytes()).with_context(|| format!("writing {}", path.display()))?;
    super::print(&format!(
        "{} is written; a running hopwatch takes it in with `systemctl reload hopwatch`, or SIGHUP\n",
        path.display()
    ))
}

fn default_name(alert: &Value) -> String {
    let id: String = alert["id"].as_str().unwrap_or_default().chars().take(8).collect();
    format!("{}-{id}", alert["rule"].as_str().unwrap_or_default())
}

fn yaml(alert: &Value, name: &str, args: &Args) -> String {
    let mut text = format!(
        "exceptions:\n  - name: {}\n    rule: {}\n",
        quoted(name),
        quoted(alert["rule"].as_str().unwrap_or_default())
    );
    let workload = &alert["workload"];
    let digest = workload["digest"].as_str().filter(|digest| !digest.is_empty());
    if let Some(digest) = digest {
        text += &format!("    workload: {{digest: {}}}\n", quoted(digest));
    } else if let Some(name) = workload["name"].as_str() {
        text += &format!(
            "    # Who can start a container can call it so: a digest or a label would be safer.\n    workload: {{name: {}}}\n",
            quoted(name)
        );
    }
    let destinations = alert["destinations"].as_array().map(Vec::as_slice).unwrap_or_default();
    let addresses: BTreeSet<&str> = destinations.iter().filter_map(|end| end["ip"].as_str()).collect();
    let ports: BTreeSet<String> = destinations.iter().filter_map(|end| port(end, alert)).collect();
    if !addresses.is_empty() {
        let all: Vec<_> = addresses.into_iter().map(quoted).collect();
        text += &format!("    destinations: [{}]\n", all.join(", "));
    }
    if !ports.is_empty() {
        let all: Vec<_> = ports.iter().map(|port| quoted(port)).collect();
        text += &format!("    ports: [{}]\n", all.join(", "));
    }
    text += &format!(
        "    owner: {}\n    reason: {}\n    expires: {}\n",
        quoted(&args.owner),
        quoted(&args.reason),
        quoted(&args.expires)
    );
    text
}

/// `443` or `53/udp`.
fn port(end: &Value, alert: &Value) -> Option<String> {
    let port = end["port"].as_u64().filter(|port| *port > 0)?;
    let protocol = end["protocol_name"].as_str().or_else(|| alert["flow"]["protocol_name"].as_str());
    match protocol {
        Some("tcp") | None => Some(port.to_string()),
        Some("udp") => Some(format!("{port}/udp")),
        // Others have no ports.
        Some(_) => None,
    }
}
