//! `hopwatch baseline`.

mod show;
mod suggest;

pub(super) use self::suggest::judged;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::learn_from::{LearnFrom, replayed};
use super::recordings::{Recorded, Sources};
use super::{Outcome, on_host};
use crate::app::baseline::{self, Approve, Document, Learning, Observed};
use crate::app::hash_key;
use crate::clock::now;
use crate::config::{self, Config};
use crate::escape::{json, printable};
use crate::wording::many;

/// Learn, show, compare and approve what the services of this host are expected to be set up like, and to deal with
#[derive(Debug, clap::Subcommand)]
pub enum BaselineCommand {
    /// Learn a baseline from this host for a time, or from recordings
    ///
    /// What looks hostile (privileged, the host's network, log driver none, a runtime's socket, traffic with an alert …) and a second value of a
    /// protected field go to quarantine and are never in force before `approve`. Services that the file has already stay as they are, unless --anew is
    /// given; where one has no traffic part, it is added.
    Learn(Learn),
    /// Show what a baseline expects, and what waits in quarantine
    Show(Show),
    /// Show how the running containers, or those of a recording, differ; exit code 1 where something does
    ///
    /// Traffic is compared where a recording is read: what runs now shows no traffic.
    Diff(Diff),
    /// Approve differences or quarantined values by their ids, or an edited file as a whole
    Approve(ApproveArgs),
    /// Write the baseline that is in force, to be taken to another host
    Export(Export),
    /// Take over a baseline from elsewhere and approve it
    ///
    /// Hashes were made with another host's key: until a service is relearned, hidden values are only checked for presence.
    Import(Import),
    /// Suggest path contracts that were kept, ready to paste; of a recording with the share of flows that they would have verified
    Suggest(suggest::Args),
    /// Replay recordings with a baseline, and count the alerts that it would have raised
    Shadow(Shadow),
}

/// What all of them share.
#[derive(Debug, clap::Args)]
pub struct Common {
    /// Configuration file [default: a recording's hopwatch.yaml, else /etc/hopwatch/hopwatch.yaml, if there is one]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The baseline's file [default: `baseline` of the configuration]
    #[arg(short, long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Folder of what is kept between runs [default: `$STATE_DIRECTORY`, else /var/lib/hopwatch for root, `$XDG_STATE_HOME`/hopwatch for others]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

/// `learn`.
#[derive(Debug, clap::Args)]
pub struct Learn {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    from: LearnFrom,
    /// Relearn services that are already in the file
    #[arg(long)]
    anew: bool,
}

/// `show`.
#[derive(Debug, clap::Args)]
pub struct Show {
    #[command(flatten)]
    common: Common,
    /// Only services whose names hold this text
    service: Option<String>,
}

/// `diff`.
#[derive(Debug, clap::Args)]
pub struct Diff {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    recorded: Recorded,
    /// Only workloads or services whose names hold this text
    workload: Option<String>,
    /// Print JSON, hopwatch.baseline-diff/1
    #[arg(long)]
    json: bool,
}

/// `approve`.
#[derive(Debug, clap::Args)]
pub struct ApproveArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    recorded: Recorded,
    /// Ids that `diff` and `show` list; more than one id only if all are for the same field of the same service
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    ids: Vec<String>,
    /// Approve this file as it is
    #[arg(long, value_name = "FILE", conflicts_with = "baseline")]
    file: Option<PathBuf>,
    /// Reason for the approval; stored in the baseline
    #[arg(long, value_name = "TEXT")]
    why: String,
    /// Name of the approver [default: `$SUDO_USER`, else `$USER`]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Replace the expected value instead of adding another
    #[arg(long)]
    replace: bool,
}

/// `export`.
#[derive(Debug, clap::Args)]
pub struct Export {
    #[command(flatten)]
    common: Common,
    /// File to write [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// `import`.
#[derive(Debug, clap::Args)]
pub struct Import {
    #[command(flatten)]
    common: Common,
    /// The file to take over
    from: PathBuf,
    /// Reason for the approval; stored in the baseline
    #[arg(long, value_name = "TEXT")]
    why: String,
    /// Name of the approver [default: `$SUDO_USER`, else `$USER`]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

/// `shadow`.
#[derive(Debug, clap::Args)]
pub struct Shadow {
    #[command(flatten)]
    common: Common,
    /// Recordings to replay
    #[arg(long, value_name = "PATH", required = true)]
    read: Vec<PathBuf>,
    /// Print JSON, hopwatch.baseline-shadow/1
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(command: BaselineCommand) -> anyhow::Result<Outcome> {
    match command {
        BaselineCommand::Learn(args) => learn(&args),
        BaselineCommand::Show(args) => show::run(&args.common, args.service.as_deref()),
        BaselineCommand::Diff(args) => diff(&args),
        BaselineCommand::Approve(args) => approve(args),
        BaselineCommand::Export(args) => export(&args),
        BaselineCommand::Import(args) => import(&args),
        BaselineCommand::Suggest(args) => suggest::run(&args),
        BaselineCommand::Shadow(args) => shadow(args),
    }
}

impl Common {
    /// The configuration, with what the command line says; the baseline is not read.
    fn load(&self, recording: Option<&Path>) -> anyhow::Result<Config> {
        let mut config = config::load(self.config.as_deref().or(recording))?.config;
        config.state_dir = self.state_dir.clone().or(config.state_dir);
        config.baseline = self.baseline.clone().or(config.baseline);
        Ok(config)
    }
}

/// What a command looks at, and the configuration for it.
struct Looked {
    config: Config,
    learning: Learning,
}

/// The containers of the recordings; the first recording's configuration counts.
fn recorded_containers(recorded: &Recorded, common: &Common) -> anyhow::Result<Looked> {
    let sources = recorded.sources(None)?;
    let config = common.load(sources.config.as_deref())?;
    let learning = replayed(&config, sources)?;
    Ok(Looked { config, learning })
}

/// The running containers, or those of a recording at its end.
fn current(common: &Common, recorded: &Recorded) -> anyhow::Result<(Config, Observed)> {
    if !recorded.is_empty() {
        let Looked { config, mut learning } = recorded_containers(recorded, common)?;
        return Ok((config, learning.latest()));
    }
    let config = common.load(None)?;
    hash_key::prepare(config.state_dir.as_deref())?;
    let events = on_host::running(&config)?;
    Ok((config, Observed { containers: baseline::observed(now(), &events), ..Observed::default() }))
}

fn learn(args: &Learn) -> anyhow::Result<Outcome> {
    let nothing = "from what? give --for TIME to watch this host, or --read RECORDING";
    let Looked { config, mut learning } = learned_from(&args.from, &args.common)?.context(nothing)?;
    let path = baseline::path_of(args.common.baseline.as_deref(), &config)?;
    let known = path.is_file().then(|| Document::read(&path, None)).transpose()?;
    let key = hash_key::prepared_id();
    let traffic_left_out = learning.traffic_left_out();
    let zone = baseline::zone(config.time_zone.as_deref())?;
    let learned = learning
        .learn(known.as_ref().map(|known| &known.baseline), args.anew, key, &zone)
        .context("learning how much traffic services have")?;
    let document = Document::of(learned)?;
    document.write(&path)?;
    for name in learning.in_doubt() {
        tracing::warn!("no setting was learned from {}: it has an alert of medium or more", printable(name));
    }
    if traffic_left_out > 0 {
        tracing::warn!("not learned, because there was no room: {}", many(traffic_left_out, "contact"));
    }
    if learning.left_out() > 0 {
        tracing::warn!("not learned, because there was no room: {}", many(learning.left_out(), "change"));
    }
    let with_traffic = document.baseline.services().filter(|service| service.traffic.is_some()).count();
    let (services, waiting) =
        (many(document.baseline.services().len(), "service"), many(document.baseline.quarantine.len(), "item"));
    anstream::println!(
        "{}: {services} ({with_traffic} with traffic), serial {}, {waiting} in quarantine; review it, then `hopwatch baseline approve --file {} --why TEXT`",
        path.display(),
        document.baseline.serial,
        path.display()
    );
    Ok(Outcome::Done)
}

/// What recordings show, or this host for a time; `None` where neither was given.
fn learned_from(from: &LearnFrom, common: &Common) -> anyhow::Result<Option<Looked>> {
    if !from.recorded.is_empty() {
        return recorded_containers(&from.recorded, common).map(Some);
    }
    let Some(lasting) = from.lasting() else { return Ok(None) };
    let config = common.load(None)?;
    let learning = from.watch(config.clone(), common.config.as_deref(), lasting)?;
    Ok(Some(Looked { config, learning }))
}

fn diff(args: &Diff) -> anyhow::Result<Outcome> {
    let (config, observed) = current(&args.common, &args.recorded)?;
    let path = baseline::path_of(args.common.baseline.as_deref(), &config)?;
    let mut report = baseline::diff(&baseline::in_force(&path, &config)?, &observed);
    if let Some(text) = &args.workload {
        report.retain(text);
    }
    let mut out = anstream::stdout().lock();
    if args.json {
        json::to_writer(&mut out, &report).and_then(|()| writeln!(out))
    } else {
        out.write_all(lines(&report.text()).as_bytes())
    }
    .context("writing to standard output")?;
    Ok(if report.is_empty() { Outcome::Done } else { Outcome::Exceptions })
}

fn approve(args: ApproveArgs) -> anyhow::Result<Outcome> {
    let by = args.by.unwrap_or_else(who);
    if let Some(file) = &args.file {
        let config = args.common.load(None)?;
        let serial = baseline::approve_file(file, &config, &by, &args.why)?;
        anstream::println!(
            "{}: serial {serial} is approved; a running hopwatch takes it in within seconds",
            file.display()
        );
        return Ok(Outcome::Done);
    }
    let (config, observed) = current(&args.common, &args.recorded)?;
    let path = baseline::path_of(args.common.baseline.as_deref(), &config)?;
    let asked = Approve { ids: &args.ids, replace: args.replace, by: &by, why: &args.why };
    for done in baseline::approve(&path, &config, &observed, &asked)? {
        anstream::println!("{}", printable(&done));
    }
    anstream::println!("approved; a running hopwatch takes it in within seconds");
    Ok(Outcome::Done)
}

fn export(args: &Export) -> anyhow::Result<Outcome> {
    let config = args.common.load(None)?;
    let path = baseline::path_of(args.common.baseline.as_deref(), &config)?;
    let document = Document::of(baseline::in_force(&path, &config)?)?;
    match &args.output {
        Some(output) => document.write(output)?,
        None => anstream::stdout().write_all(document.text.as_bytes()).context("writing to standard output")?,
    }
    Ok(Outcome::Done)
}

fn import(args: &Import) -> anyhow::Result<Outcome> {
    let config = args.common.load(None)?;
    let path = baseline::path_of(args.common.baseline.as_deref(), &config)?;
    let by = args.by.clone().unwrap_or_else(who);
    let document = baseline::import(&args.from, &path, &config, &by, &args.why)?;
    hash_key::prepare(config.state_dir.as_deref())?;
    if document.baseline.hash_key.is_some() && document.baseline.hash_key != hash_key::prepared_id() {
        tracing::warn!(
            "its hashes were made with another key; until a service is relearned, hidden values are only checked for presence"
        );
    }
    anstream::println!("{}: serial {} is approved", path.display(), document.baseline.serial);
    Ok(Outcome::Done)
}

fn shadow(args: Shadow) -> anyhow::Result<Outcome> {
    let config = args.common.load(None)?;
    let path = baseline::path_of(args.common.baseline.as_deref(), &config)?;
    let baseline = baseline::in_force(&path, &config)?;
    let mut recordings = Vec::new();
    for path in args.read {
        let sources = Sources::of([path], Vec::new(), None)?;
        let own = config::load(sources.config.as_deref())?.config;
        recordings.push(sources.options(&own));
    }
    let report = baseline::shadow(baseline, recordings)?;
    let mut out = anstream::stdout().lock();
    if args.json {
        json::to_writer(&mut out, &report).and_then(|()| writeln!(out))
    } else {
        out.write_all(lines(&report.text()).as_bytes())
    }
    .context("writing to standard output")?;
    Ok(Outcome::Done)
}

/// Lines, each without what a terminal obeys.
fn lines(text: &str) -> String {
    text.lines().map(|line| printable(line) + "\n").collect()
}

/// Who runs this, by the environment.
fn who() -> String {
    let named = ["SUDO_USER", "USER"].into_iter().find_map(|name| std::env::var(name).ok().filter(|it| !it.is_empty()));
    named.unwrap_or_else(|| format!("uid {}", nix::unistd::getuid()))
}
