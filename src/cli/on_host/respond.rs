//! `hopwatch respond`: what can be done about the container of an alert; shown, done, undone.
//!
//! Contract: without `--apply` or `--undo` nothing is changed. What was refused, and what could not be done, ends with 4. Limits: one alert at a time.

mod text;
mod timekeeper;

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

use super::Outcome;
use super::alerts::{kept_with_state, user};
use crate::app::output::delivery::outbox_path;
use crate::app::state_dir::StateDir;
use crate::clock::now;
use crate::config::{self, Config};
use crate::deliver::store::Store;
use crate::escape::json::to_pretty_writer;
use crate::respond::act::{Asked, AuditLog, Responder, RuntimeClient, find_runtime, policy_of, situation};
use crate::respond::{Action, Policy, Request, Response, Responses, Situation, Subject, fits, plan};
use crate::time::duration_text;

/// A file of alerts.
const MAX_FILE: u64 = 64 << 20;

/// Show what can be done about the container of an alert, do it, or undo it
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    command: Option<RespondCommand>,
    #[command(flatten)]
    about: About,
}

/// What else there is to do with responses.
#[derive(Debug, clap::Subcommand)]
enum RespondCommand {
    /// List responses, the latest first
    List {
        #[command(flatten)]
        at: StatePlace,
        /// Those that are over, too
        #[arg(long)]
        all: bool,
        /// How to write it
        #[arg(long, value_enum, default_value = "text")]
        format: OutputFormat,
    },
    /// Undo what is due, and settle what a crash cut short, until a signal ends it; hopwatch-responder.service runs it
    Run {
        #[command(flatten)]
        at: StatePlace,
        /// One round
        #[arg(long)]
        once: bool,
    },
}

/// How to write the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum OutputFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Whose responses.
#[derive(Debug, clap::Args)]
struct StatePlace {
    /// Configuration file [default: /etc/hopwatch/hopwatch.yaml, if there is one]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder of what is kept between runs [default: that of the configuration, `$STATE_DIRECTORY`, /var/lib/hopwatch for root]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

/// A response to one alert.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
struct About {
    /// The alert's id, or the beginning of it
    #[arg(value_name = "ALERT", required_unless_present = "alert_file")]
    id: Option<String>,
    /// Read the alert from a file (its JSON, or JSON Lines as `hopwatch replay` writes them) and not from the outbox
    #[arg(long = "alert", value_name = "FILE")]
    alert_file: Option<PathBuf>,
    /// What to do; without, the actions that fit are shown
    #[arg(long, value_enum)]
    action: Option<Action>,
    /// The network to take it off, where it is on several
    #[arg(long, value_name = "NAME")]
    network: Option<String>,
    /// Show what would be done (the default)
    #[arg(long, conflicts_with_all = ["apply", "undo"])]
    plan: bool,
    /// Do it
    #[arg(long, requires = "action", conflicts_with = "undo")]
    apply: bool,
    /// Undo what was done about this alert; with --action, only that
    #[arg(long)]
    undo: bool,
    /// When it is undone; 0s: only by a person [default: `response.undo_after`, 30m]
    #[arg(long = "for", value_name = "DURATION", value_parser = config::parse_duration)]
    duration: Option<Duration>,
    /// Set doubts aside: an attribution that is not exact, a name that looks like an agent's
    #[arg(long)]
    force: bool,
    /// How to write a plan
    #[arg(long, value_enum, default_value = "text")]
    format: OutputFormat,
    #[command(flatten)]
    at: StatePlace,
}

/// Runs the command.
pub fn run(args: Args) -> anyhow::Result<Outcome> {
    match args.command {
        Some(RespondCommand::List { at, all, format }) => list(&at, all, format)?,
        Some(RespondCommand::Run { at, once }) => {
            let (config, state) = at.open()?;
            timekeeper::run(&config, &state, once)?;
        }
        None if args.about.undo => undo(&args.about)?,
        None => respond(&args.about)?,
    }
    Ok(Outcome::Done)
}

impl StatePlace {
    fn open(&self) -> anyhow::Result<(Config, PathBuf)> {
        let config = config::load(self.config.as_deref())?.config;
        let state = StateDir::open(self.state_dir.as_deref().or(config.state_dir.as_deref()))?.path("");
        Ok((config, state))
    }
}

/// Shows a plan, or carries it out.
fn respond(about: &About) -> anyhow::Result<()> {
    let (config, state) = about.at.open()?;
    let (policy, subject) = (policy_of(&config), subject(about, &state)?);
    let runtime = find_runtime(&config.runtimes.sought, subject.accused.runtime)?;
    let client = RuntimeClient::open(&runtime.host, runtime.user)?;
    let undo_after = about.duration.unwrap_or(policy.undo_after);
    let request = |action| Request { action, network: about.network.clone(), force: about.force, undo_after };
    let look = |responses: &Responses| -> anyhow::Result<Situation> {
        let recent = responses.recent(now(), policy.period);
        Ok(Situation { recent, ..situation(&client, &runtime, &subject.accused, responses, &state)? })
    };
    let Some(action) = about.action else {
        let situation = look(&Responses::of(&AuditLog::view(&state)?))?;
        return show_fits(about, &subject, &request(Action::Pause), &situation, &policy);
    };
    if !about.apply {
        let situation = look(&Responses::of(&AuditLog::view(&state)?))?;
        let plan = plan(&subject, &request(action), &situation, &policy);
        return match about.format {
            OutputFormat::Json => json(&plan),
            OutputFormat::Text => print(&text::plan(&plan)),
        };
    }
    // The lock comes first, so that the limit and what stands are those at the time of the act.
    let mut responder = Responder::new(AuditLog::open(&state)?);
    let situation = look(responder.log().responses())?;
    let plan = plan(&subject, &request(action), &situation, &policy);
    let number = responder.apply(&client, &plan, &Asked { by: user(), forced: about.force })?;
    let response = responder.log().responses().all().find(|response| Some(response.number) == number);
    match response {
        Some(response) if plan.standing.is_some() => print(&text::standing(response)),
        Some(response) => print(&text::applied(response)),
        None => print(&text::nothing_to_do(&plan)),
    }
}

fn show_fits(
    about: &About,
    subject: &Subject,
    request: &Request,
    situation: &Situation,
    policy: &Policy,
) -> anyhow::Result<()> {
    let fits = fits(subject, request, situation, policy);
    match about.format {
        OutputFormat::Json => json(&fits),
        OutputFormat::Text => print(&text::fits(subject, &fits, &situation.standing)),
    }
}

/// Undoes what stands, the latest first.
fn undo(about: &About) -> anyhow::Result<()> {
    let (config, state) = about.at.open()?;
    let mut responder = Responder::new(AuditLog::open(&state)?);
    let id = match &about.id {
        Some(id) => id.clone(),
        None => subject(about, &state)?.alert,
    };
    let meant = |response: &&Response| {
        response.intent.alert.starts_with(&id) && about.action.is_none_or(|action| action == response.intent.action)
    };
    let of_alert: Vec<_> = responder.log().responses().all().filter(meant).cloned().collect();
    let mut alerts: Vec<_> = of_alert.iter().map(|response| response.intent.alert.as_str()).collect();
    alerts.dedup();
    anyhow::ensure!(alerts.len() < 2, "{id:?} is not enough: {}", alerts.join(", "));
    anyhow::ensure!(!of_alert.is_empty(), "nothing was done about the alert {id}; see `hopwatch respond list --all`");
    let standing: Vec<_> = of_alert.iter().rev().filter(|response| response.state.is_standing()).collect();
    if standing.is_empty() {
        let last = of_alert.last().map(|response| response.detail.as_str()).unwrap_or_default();
        return print(&text::nothing_stands(&id, last));
    }
    let mut failures = Vec::new();
    for response in standing {
        let done = client_of(&config, response)
            .and_then(|client| Ok(responder.undo(&client, response.number, &user(), "asked for")?));
        match done {
            Ok(detail) => print(&text::undone(response, &detail))?,
            Err(error) => failures.push(format!("{error:#}")),
        }
    }
    anyhow::ensure!(failures.is_empty(), "{}", failures.join("; "));
    Ok(())
}

/// The runtime that was acted through, at the socket where it was.
fn client_of(config: &Config, response: &Response) -> anyhow::Result<RuntimeClient> {
    let target = &response.intent.target;
    let user = find_runtime(&config.runtimes.sought, target.runtime).ok().and_then(|runtime| runtime.user);
    Ok(RuntimeClient::open(&target.host, user)?)
}

/// The alert: of the outbox, or of a file.
fn subject(about: &About, state: &Path) -> anyhow::Result<Subject> {
    let (alert, state) = match (&about.alert_file, &about.id) {
        (Some(file), id) => {
            let found =
                alert_in(file, id.as_deref()).with_context(|| format!("reading an alert from {}", file.display()));
            (found?, None)
        }
        (None, Some(id)) => {
            let (alert, state) = kept_with_state(&Store::visit(&outbox_path(Some(state))?)?, id)?;
            (alert, Some(state.name().to_owned()))
        }
        (None, None) => anyhow::bail!("name an alert by its id, or a file with --alert"),
    };
    let subject = Subject::read(&alert).map_err(|why| anyhow::anyhow!("this alert cannot be responded to: {why}"))?;
    Ok(Subject { state, ..subject })
}

/// The last line about the alert; one JSON text may span lines.
fn alert_in(file: &Path, id: Option<&str>) -> anyhow::Result<Value> {
    let mut bytes = Vec::new();
    std::fs::File::open(file)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    anyhow::ensure!(bytes.len() as u64 <= MAX_FILE, "it has more than {} MiB", MAX_FILE >> 20);
    let mut found: Vec<Value> = Vec::new();
    for value in serde_json::Deserializer::from_slice(&bytes).into_iter::<Value>() {
        let value = value?;
        let begins = |id: &str| value["id"].as_str().is_some_and(|own| own.starts_with(id));
        if value["schema"] == crate::alert::SCHEMA && id.is_none_or(begins) {
            found.push(value);
        }
    }
    let ids: std::collections::BTreeSet<_> =
        found.iter().filter_map(|alert| alert["id"].as_str().map(str::to_owned)).collect();
    anyhow::ensure!(
        ids.len() < 2,
        "it holds several alerts; name one: {}",
        ids.into_iter().take(10).collect::<Vec<_>>().join(", ")
    );
    found.pop().context("it holds no such alert")
}

fn list(at: &StatePlace, all: bool, format: OutputFormat) -> anyhow::Result<()> {
    let (_, state) = at.open()?;
    let log = AuditLog::view(&state)?;
    let responses = Responses::of(&log);
    let shown: Vec<_> = responses.all().rev().filter(|response| all || response.state.is_standing()).collect();
    match format {
        OutputFormat::Json => json(&shown),
        OutputFormat::Text => {
            print(&text::list(&shown, all))?;
            // A line that is being written now is no sign of anything.
            let wrong = log.wrong.iter().find(|wrong| !wrong.what.contains("has no end"));
            wrong.map_or(Ok(()), |wrong| {
                print(&format!("\nthe audit log does not hold together: line {} {}\n", wrong.line, wrong.what))
            })
        }
    }
}

fn json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    to_pretty_writer(&mut out, value).context("writing to standard output")
}

fn print(text: &str) -> anyhow::Result<()> {
    anstream::stdout().write_all(text.as_bytes()).context("writing to standard output")
}

/// As `--for` takes it.
fn span(duration: Duration) -> String {
    if duration.is_zero() { "until somebody undoes it".to_owned() } else { format!("for {}", duration_text(duration)) }
}
