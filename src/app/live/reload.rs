//! SIGHUP and `POST /-/reload`: the configuration is read again, and put into force without a gap.
//!
//! Contract: what is read is checked as at the start. On any mistake, and where a part changed that only a start takes over, the old one stays whole and
//! the answer says why. One reload at a time; requests have a share of each minute ([`super::reload_turns`]). The new configuration is in force with a fact
//! that holds it, at that fact's event time, so that a replay takes the same step. Design: this thread reads and checks; the engine's thread only swaps, and says so.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, bail};
use crossbeam_channel::Sender;
use sd_notify::NotifyState;

use super::confinement::refused_sinks;
use super::endpoint::Endpoint;
use super::interface_names::{InterfaceNames, Wanted};
use super::message::{ConfigChange, SourceMessage};
use super::reload_turns::{PER_MINUTE, ReloadTurns};
use super::source::SourceContext;
use crate::app::evidence::keeping::ReplaySetup;
use crate::clock::now;
use crate::config::{CaptureConfig, Config, InsideNamespaces, RuntimesConfig, sha256};
use crate::deliver::Routes;
use crate::deliver::routes::Prepared;
use crate::input::{Input, RecordedFact, Reload};
use crate::sandbox;
use crate::serve::SharedCounters;
use crate::sync;
use crate::wording::many;

/// How long the engine may take to come to it: what waits before it is seconds of work at most.
const PATIENCE: Duration = Duration::from_secs(10);

/// A configuration that was read.
#[derive(Debug)]
pub struct Reading {
    /// What a run would start with.
    pub config: Config,
    /// Where counters are served, by the command line or the configuration; `None`: nowhere.
    pub listen: Option<SocketAddr>,
    /// What bundles, and the fact of a reload, hold of it.
    pub setup: ReplaySetup,
}

/// What a run needs to read its configuration again.
#[derive(Debug)]
pub struct ReloadOptions {
    /// Reads it.
    pub reader: ConfigReader,
    /// What the run starts with.
    pub in_force: Reading,
    /// The sinks; `None` where alerts cannot be kept for them.
    pub routes: Option<Arc<Routes>>,
}

/// Reads this run's configuration from its layers, as at its start.
#[derive(Clone)]
pub struct ConfigReader(Arc<dyn Fn() -> anyhow::Result<Reading> + Send + Sync>);

impl ConfigReader {
    /// By this function.
    pub fn new(read: impl Fn() -> anyhow::Result<Reading> + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }
}

impl fmt::Debug for ConfigReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConfigReader")
    }
}

/// Who asks for a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AskedBy {
    /// A signal.
    Signal,
    /// Any user of this host, over HTTP.
    Request,
}

/// Reloads, one at a time.
#[derive(Debug)]
pub(super) struct Reloader {
    reader: ConfigReader,
    in_force: Config,
    listen: Option<SocketAddr>,
    /// Where counters are served; `None` until that is known.
    endpoint: Option<Endpoint>,
    /// The sinks; `None` where alerts cannot be kept for them.
    routes: Option<Arc<Routes>>,
    /// The interfaces to capture.
    names: Arc<InterfaceNames>,
    engine: WayToEngine,
    shared: Arc<SharedCounters>,
    turns: ReloadTurns,
}

/// The way to the engine until the run ends: an engine that ends waits for all ways to close, and a reader may hang in a file.
#[derive(Clone, Debug)]
pub(super) struct WayToEngine(Arc<Mutex<Option<Sender<SourceMessage>>>>);

impl WayToEngine {
    fn send(&self, change: ConfigChange) -> anyhow::Result<()> {
        let way = sync::lock(&self.0);
        let sent = way.as_ref().and_then(|way| way.send(SourceMessage::Reload(change)).ok());
        sent.context("hopwatch is ending")
    }

    /// The run ends.
    pub(super) fn close(&self) {
        sync::lock(&self.0).take();
    }
}

impl Reloader {
    /// Of a run that was started with this configuration.
    pub(super) fn new(options: ReloadOptions, names: Arc<InterfaceNames>, context: &SourceContext) -> Self {
        let ReloadOptions { reader, in_force: Reading { config, listen, setup }, routes } = options;
        context.shared.reloads.begins(&sha256(setup.config_text().as_bytes()), now());
        let engine = WayToEngine(Arc::new(Mutex::new(Some(context.sender.clone()))));
        let shared = Arc::clone(&context.shared);
        let endpoint = None;
        Self {
            reader,
            in_force: config,
            listen,
            endpoint,
            routes,
            names,
            engine,
            shared,
            turns: ReloadTurns::default(),
        }
    }

    /// Of a run whose counters are served there.
    pub(super) fn serving(self, endpoint: Endpoint) -> Self {
        Self { endpoint: Some(endpoint), ..self }
    }

    /// To be closed when the run ends.
    pub(super) fn way(&self) -> WayToEngine {
        self.engine.clone()
    }

    /// Reads again and puts it into force; what is in force then, in words.
    pub(super) fn reload(&mut self, asked_by: AskedBy) -> anyhow::Result<String> {
        // Only root and this user can send the signal: what others ask for over HTTP takes nothing from it, and fills no log.
        if asked_by == AskedBy::Request && !self.turns.take(now()) {
            bail!("there were {PER_MINUTE} reloads within a minute: ask again later");
        }
        match NotifyState::monotonic_usec_now() {
            Ok(now) => notify(&[NotifyState::Reloading, now]),
            Err(_) => notify(&[NotifyState::Reloading]),
        }
        let outcome = self.try_to();
        notify(&[NotifyState::Ready]);
        match &outcome {
            Ok(text) => tracing::info!("{text}"),
            Err(error) => {
                self.shared.reloads.failed();
                tracing::error!("the configuration was not read again, the old one stays in force: {error:#}");
            }
        }
        outcome
    }

    fn try_to(&mut self) -> anyhow::Result<String> {
        let reader = self.reader.clone();
        // Wherever its files are.
        let Reading { config, listen, setup } =
            sandbox::look(move || (reader.0)()).context("starting a thread that reads it")??;
        self.check(&config, listen)?;
        let interfaces = Wanted::new(&config.capture.interfaces)?;
        let sinks = Routes::prepare(config.sinks.clone())?;
        let bound = self.endpoint.as_ref().zip(listen).map(|(endpoint, at)| endpoint.bind(at)).transpose()?.flatten();
        let hash = sha256(setup.config_text().as_bytes());
        let (done, is_done) = crossbeam_channel::bounded(1);
        let fact = Reload { sha256: hash.clone(), configuration: setup.config_text().into() };
        let change = ConfigChange {
            fact: Input::new(now(), RecordedFact::Reloaded(fact)),
            config: Box::new(config.engine.clone()),
            setup: Arc::new(setup),
            done,
        };
        self.engine.send(change)?;
        // It comes into force whatever this waits for.
        let contracts = many(config.engine.contracts.len() as u64, "contract");
        let exceptions = many(config.engine.exceptions.len() as u64, "exception");
        (self.in_force, self.listen) = (config, listen);
        if let Some((endpoint, bound)) = self.endpoint.as_mut().zip(bound) {
            endpoint.serve(bound);
        }
        is_done.recv_timeout(PATIENCE).context("the engine has not come to it yet; /livez says whether it moves")?;
        self.names.replace(interfaces);
        self.replace(sinks)?;
        self.shared.reloads.succeeded(&hash, now());
        Ok(format!("the configuration {hash} is in force: {contracts}, {exceptions}"))
    }

    /// Whether a run can take it over.
    fn check(&self, config: &Config, listen: Option<SocketAddr>) -> anyhow::Result<()> {
        let mut fixed = fixed_parts(&self.in_force, config);
        if self.listen != listen && config.capture.exclude_own {
            fixed.push("the address that capture.exclude_own leaves out");
        }
        if self.routes.is_none() && self.in_force.sinks != config.sinks {
            fixed.push("sinks (there is no outbox)");
        }
        if !fixed.is_empty() {
            bail!("{} changed, which only a restart takes over: restart hopwatch, or undo that", fixed.join(", "));
        }
        let refused = refused_sinks(&config.sinks);
        if !refused.is_empty() {
            bail!(
                "{}, which the sandbox of this run does not allow: restart hopwatch, or write elsewhere",
                refused.join(", ")
            );
        }
        Ok(())
    }

    fn replace(&self, sinks: Prepared) -> anyhow::Result<()> {
        let Some(routes) = &self.routes else { return Ok(()) };
        routes.swap(sinks).context("the rules are in force, the sinks are not: restart hopwatch")?;
        routes.in_force().iter().for_each(|(_, counters)| self.shared.add_sink(counters));
        Ok(())
    }
}

/// The parts that changed and that only a start takes over.
fn fixed_parts(before: &Config, now: &Config) -> Vec<&'static str> {
    // Who looks inside namespaces knows the names that it began with.
    let may_change = now.capture.inside_namespaces == InsideNamespaces::Never;
    let names = if may_change { now.capture.interfaces.clone() } else { before.capture.interfaces.clone() };
    let capture = CaptureConfig { interfaces: names, ..before.capture.clone() };
    let labels = &now.runtimes.shown_labels;
    let runtimes = RuntimesConfig { shown_labels: labels.clone(), ..before.runtimes.clone() };
    let parts = [
        ("capture", capture != now.capture),
        ("runtime", runtimes != now.runtimes),
        ("the labels that selectors name", before.runtimes.shown_labels != *labels),
        ("flows", (before.meter, &before.ipfix) != (now.meter, &now.ipfix)),
        ("sandbox", before.sandbox != now.sandbox),
        ("state", before.state_dir != now.state_dir),
        ("evidence", before.evidence != now.evidence),
        ("baseline", (&before.baseline, &before.baseline_key) != (&now.baseline, &now.baseline_key)),
        ("monitors.programs", before.engine.monitors.programs != now.engine.monitors.programs),
        ("bounds of the inventory", before.engine.timeline != now.engine.timeline),
    ];
    parts.into_iter().filter(|(_, changed)| *changed).map(|(name, _)| name).collect()
}

/// Tells the supervisor, where there is one.
fn notify(state: &[NotifyState<'_>]) {
    if std::env::var_os("NOTIFY_SOCKET").is_some()
        && let Err(error) = sd_notify::notify(state)
    {
        tracing::warn!("the supervisor does not take a notification ($NOTIFY_SOCKET): {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_that_a_selector_begins_to_name_is_called_that_and_not_a_runtime() {
        let read = |text: &str| crate::config::from_str("test", text).expect("a configuration").config;
        let hop = |by: &str| read(&format!("hops: {{proxy: {{workloads: [{{{by}}}]}}}}"));
        let before = hop("name: squid");
        assert_eq!(fixed_parts(&before, &hop("name: other")), [""; 0]);
        assert_eq!(fixed_parts(&before, &hop("labels: {role: proxy}")), ["the labels that selectors name"]);
        assert_eq!(fixed_parts(&before, &read("runtime: {discover: false}")), ["runtime"]);
    }
}
