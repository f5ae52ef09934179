//! `hopwatch sniff`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::Outcome;
use crate::app::baseline::BaselineFile;
use crate::app::evidence::keeping::ReplaySetup;
use crate::app::live::{self, ConfigReader, LiveOptions, Needs, Reading, ReloadOptions};
use crate::app::output::delivery::outbox;
use crate::app::output::{Format, Output, Overflow, StdoutSink};
use crate::app::{baseline, hash_key};
use crate::cli::filter::FilterArgs;
use crate::cli::local::LocalArgs;
use crate::config::{self, Config, InsideNamespaces, Loaded};
use crate::deliver::Outbox;
use crate::observe::filter::FrameFilter;
use crate::observe::live::may_capture;

/// The kernel takes a tag off the frame before a filter sees it.
const NO_TAGS: &str = "a live filter (-f) cannot ask for vlan: the kernel takes the tag off before; capture the VLAN's own interface with -i, \
                       or record without a filter and give it to replay";

/// Watch live traffic on this host's container interfaces
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    live: LiveArgs,
}

/// What `sniff` and `record` share.
#[derive(Debug, clap::Args)]
pub struct LiveArgs {
    #[command(flatten)]
    pub watch: WatchArgs,
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Format of alerts [default: text on a terminal, json otherwise]
    #[arg(long, value_enum)]
    pub format: Option<Format>,
}

/// What everything that watches live traffic shares.
#[derive(Debug, clap::Args)]
pub struct WatchArgs {
    /// Configuration file [default: /etc/hopwatch/hopwatch.yaml, if there is one]
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Interface to capture, by name or glob; repeat for several [default: docker0, br-* and `docker_gwbridge`]
    #[arg(short, long = "interface", value_name = "GLOB")]
    pub interfaces: Vec<String>,
    /// Capture inside the network namespaces of workloads, too [default: never; without a value: unwatched]
    #[arg(long, value_enum, value_name = "WHICH", num_args = 0..=1, require_equals = true, default_missing_value = "unwatched")]
    pub inside: Option<InsideNamespaces>,
    #[command(flatten)]
    pub local: LocalArgs,
    /// Stop after this time, such as 30s or 5m [default: run until interrupted]
    #[arg(long, value_name = "TIME", value_parser = config::parse_duration)]
    pub duration: Option<Duration>,
    /// Folder of what is kept between runs [default: `$STATE_DIRECTORY`, else /var/lib/hopwatch for root, `$XDG_STATE_HOME`/hopwatch for others]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Address of /metrics, /livez and /readyz, or `none` [default: 127.0.0.1:9921]
    #[arg(long, value_name = "ADDR", value_parser = listen)]
    pub listen: Option<Listen>,
}

impl WatchArgs {
    /// The options of a run; `serve`: whether counters are served by default.
    pub fn options(&self, serve: bool) -> anyhow::Result<LiveOptions> {
        Ok(self.options_and_setup(serve)?.0)
    }

    /// The same, and what bundles hold of the configuration.
    fn options_and_setup(&self, serve: bool) -> anyhow::Result<(LiveOptions, ReplaySetup)> {
        let Loaded { config, printed, .. } = config::load(self.config.as_deref())?;
        let options = self.options_of(config, serve)?;
        let setup = ReplaySetup::new(&printed, options.baseline.as_ref().map(BaselineFile::in_force));
        Ok((options, setup))
    }

    /// The same of a configuration that was read.
    pub(super) fn options_of(&self, mut config: Config, serve: bool) -> anyhow::Result<LiveOptions> {
        if !self.interfaces.is_empty() {
            config.capture.interfaces.clone_from(&self.interfaces);
        }
        config.capture.inside_namespaces = self.inside.unwrap_or(config.capture.inside_namespaces);
        self.local.apply(&mut config);
        config.state_dir = self.state_dir.clone().or(config.state_dir);
        hash_key::prepare(config.state_dir.as_deref())?;
        let baseline = baseline::load(&mut config)?;
        let listen = match self.listen {
            None => serve.then_some(config.listen),
            Some(Listen::Off) => None,
            Some(Listen::On(address)) => Some(address),
        };
        Ok(LiveOptions {
            config,
            duration: self.duration,
            record: None,
            headers_only: false,
            config_text: None,
            listen,
            reload: None,
            screen: None,
            verdict_log: None,
            observer: None,
            export: None,
            filter: None,
            stop: None,
            evidence: None,
            open_alerts: Vec::new(),
            baseline,
        })
    }
}

/// An address, or nothing.
#[derive(Clone, Copy, Debug)]
pub enum Listen {
    /// Serve nothing.
    Off,
    /// Serve here.
    On(SocketAddr),
}

fn listen(text: &str) -> Result<Listen, String> {
    match text {
        "none" => Ok(Listen::Off),
        address => address.parse().map(Listen::On).map_err(|_| "write it like 127.0.0.1:9921, or none".to_owned()),
    }
}

/// Runs the command.
pub fn run(args: Args) -> anyhow::Result<Outcome> {
    run_live(args.live, None, false)
}

/// Runs live, recording to a folder if one is given.
pub fn run_live(args: LiveArgs, record: Option<PathBuf>, headers_only: bool) -> anyhow::Result<Outcome> {
    let filter = args.filter.get();
    if filter.as_ref().is_some_and(FrameFilter::asks_for_tags) {
        bail!(NO_TAGS);
    }
    may_capture()?;
    let serve = record.is_none();
    let (mut options, setup) = args.watch.options_and_setup(serve)?;
    // A recording is all the evidence there is.
    let evidence = record.is_none().then(|| setup.clone());
    // All layers, and no addresses of sinks.
    let config_text = record.is_some().then(|| setup.config_text().to_owned());
    let watch = args.watch;
    let reader = ConfigReader::new(move || {
        // A pipe gave its text once, and is empty or hangs the second time.
        if let Some(path) = watch.config.as_deref().filter(|path| path.metadata().is_ok_and(|file| !file.is_file())) {
            anyhow::bail!("{} is no file, so it cannot be read again", path.display());
        }
        let (options, setup) = watch.options_and_setup(serve)?;
        Ok(Reading { config: options.config, listen: options.listen, setup })
    });
    let in_force = Reading { config: options.config.clone(), listen: options.listen, setup };
    let folders: Vec<PathBuf> = record.iter().cloned().collect();
    let listen = options.listen.map(|address| address.port());
    live::confine(&options.config, Needs { listen, folders: &folders, terminal: false })?;
    let stdout = StdoutSink::new(args.format.unwrap_or_else(Format::for_stdout)).context("opening standard output")?;
    let sinks = std::mem::take(&mut options.config.sinks);
    let outbox = outbox(sinks, options.config.state_dir.as_deref())?;
    let routes = outbox.as_ref().map(|outbox| Arc::clone(outbox.routes()));
    let open_alerts = outbox.as_ref().map(Outbox::open_alerts).unwrap_or_default();
    let reload = Some(ReloadOptions { reader, in_force, routes });
    // Who records, records all of it.
    let export = if record.is_none() { options.config.ipfix.clone() } else { None };
    let options =
        LiveOptions { record, headers_only, config_text, reload, export, filter, evidence, open_alerts, ..options };
    let mut output = Output::none();
    // First, since the end waits longest for it.
    if let Some(outbox) = outbox {
        output =
            output.and_to(Box::new(outbox), Overflow::DropAndCount).context("starting the thread of the outbox")?;
    }
    let output =
        output.and_to(Box::new(stdout), Overflow::DropAndCount).context("starting the thread for the output")?;
    live::run(options, output)?;
    Ok(Outcome::Done)
}
