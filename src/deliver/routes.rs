//! The sinks in force, each with the thread that empties the outbox for it.
//!
//! Contract: [`Routes::prepare`] reads secrets and certificates and changes nothing; [`Routes::swap`] then cannot fail for their sake. A sink that is replaced
//! ends within its current attempt, and only then its successor of the same name begins, with what it remembers: no alert is on its way twice, none is
//! lost. Nobody waits for that. Limits: one attempt of a receiver that does not answer delays its own successor, nothing else.

use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use super::bell::Bell;
use super::error::DeliverError;
use super::receiver::Receiver;
use super::receivers::receiver;
use super::store::{Store, waits};
use super::worker::Worker;
use crate::config::SinkConfig;
use crate::escape::printable;
use crate::sandbox;
use crate::sink_counters::{CountedSinks, SinkCounters};
use crate::sync;

/// All sinks of an outbox.
#[derive(Debug)]
pub struct Routes {
    store: Arc<Store>,
    in_force: Mutex<Vec<Route>>,
    /// Taken out of the configuration, within their last attempt: one that comes back waits for it.
    ending: Mutex<Vec<Ending>>,
}

/// The last attempt of a sink that is taken out.
#[derive(Debug)]
struct Ending {
    name: String,
    worker: JoinHandle<Box<dyn Receiver>>,
}

#[derive(Debug)]
struct Route {
    sink: Arc<SinkConfig>,
    counters: Arc<SinkCounters>,
    bell: Arc<Bell>,
    worker: JoinHandle<Box<dyn Receiver>>,
}

/// A sink in force, and what it did.
pub type Routed = (Arc<SinkConfig>, Arc<SinkCounters>);

/// Sinks whose secrets are read.
pub struct Prepared(Vec<(SinkConfig, Box<dyn Receiver>)>);

impl CountedSinks for Routes {
    fn counters(&self) -> Vec<Arc<SinkCounters>> {
        self.in_force().into_iter().map(|(_, counters)| counters).collect()
    }
}

impl Routes {
    /// No sinks.
    pub(super) const fn new(store: Arc<Store>) -> Self {
        Self { store, in_force: Mutex::new(Vec::new()), ending: Mutex::new(Vec::new()) }
    }

    /// Reads what these sinks need.
    pub fn prepare(sinks: Vec<SinkConfig>) -> Result<Prepared, DeliverError> {
        let prepare = |sink: SinkConfig| match receiver(&sink) {
            Ok(receiver) => Ok((sink, receiver)),
            Err(source) => Err(DeliverError::Sink { sink: sink.name, source }),
        };
        // Secrets and certificates may be anywhere.
        let look = move || sinks.into_iter().map(prepare).collect::<Result<_, _>>();
        sandbox::look(look).map_err(DeliverError::Thread)?.map(Prepared)
    }

    /// Puts these sinks in the place of the others.
    pub fn swap(&self, Prepared(sinks): Prepared) -> Result<(), DeliverError> {
        for (sink, _) in &sinks {
            self.store.begin(&sink.name)?;
        }
        let mut routes = sync::lock(&self.in_force);
        let mut before = std::mem::take(&mut *routes);
        for route in &before {
            route.bell.retire();
        }
        let mut ending = sync::lock(&self.ending);
        ending.retain(|ending| !ending.worker.is_finished());
        for (sink, receiver) in sinks {
            let place = before.iter().position(|route| route.sink.name == sink.name);
            let route = place.map(|place| before.swap_remove(place));
            let counters = route.as_ref().map(|route| Arc::clone(&route.counters));
            let place = ending.iter().position(|ending| ending.name == sink.name);
            let taken_out = place.map(|place| ending.swap_remove(place).worker);
            let predecessor = route.map(|route| route.worker).or(taken_out);
            routes.push(self.start(sink, receiver, counters, predecessor)?);
        }
        ending.extend(before.into_iter().map(|route| Ending { name: route.sink.name.clone(), worker: route.worker }));
        drop((routes, ending));
        self.report_orphans()
    }

    fn start(
        &self,
        sink: SinkConfig,
        receiver: Box<dyn Receiver>,
        counters: Option<Arc<SinkCounters>>,
        predecessor: Option<JoinHandle<Box<dyn Receiver>>>,
    ) -> Result<Route, DeliverError> {
        let counters = counters.map_or_else(|| self.first_counters(&sink), Ok)?;
        let bell = Arc::<Bell>::default();
        let (store, name) = (Arc::clone(&self.store), sink.name.clone());
        let mut worker = Worker::new(name, store, receiver, Arc::clone(&counters), Arc::clone(&bell));
        let run = move || {
            // One that panicked was reported by the panic handler.
            if let Some(Ok(before)) = predecessor.map(JoinHandle::join) {
                worker.receiver.take_over(before);
            }
            worker.run()
        };
        let failed = |source| DeliverError::Sink { sink: sink.name.clone(), source };
        let worker = thread::Builder::new().name(format!("to-{}", sink.name)).spawn(run).map_err(failed)?;
        Ok(Route { sink: Arc::new(sink), counters, bell, worker })
    }

    fn first_counters(&self, sink: &SinkConfig) -> Result<Arc<SinkCounters>, DeliverError> {
        let counters = Arc::new(SinkCounters::new(&sink.name));
        let waiting = self.store.waiting(&sink.name)?;
        counters.set_waiting(waiting.count, waiting.oldest);
        if waiting.count > 0 {
            tracing::info!(sink = sink.name, "{} since the last run", waits(waiting.count));
        }
        Ok(counters)
    }

    /// What waits for a sink that was renamed or taken out of the configuration.
    fn report_orphans(&self) -> Result<(), DeliverError> {
        let routed = self.in_force();
        for (sink, waiting) in self.store.sinks()? {
            if !routed.iter().any(|(known, _)| known.name == sink) {
                tracing::warn!(
                    "the configuration no longer has the sink {}, for which {} in the outbox; `hopwatch outbox drop --sink` removes them",
                    printable(&sink),
                    waits(waiting)
                );
            }
        }
        Ok(())
    }

    /// The sinks in force.
    pub fn in_force(&self) -> Vec<Routed> {
        let routes = sync::lock(&self.in_force);
        routes.iter().map(|route| (Arc::clone(&route.sink), Arc::clone(&route.counters))).collect()
    }

    /// Something was added to the outbox.
    pub(super) fn wake(&self) {
        sync::lock(&self.in_force).iter().for_each(|route| route.bell.added());
    }

    /// What is due is tried once more, then the threads end.
    pub(super) fn stop(&self) {
        sync::lock(&self.in_force).iter().for_each(|route| route.bell.stop());
    }

    /// Whether all threads have ended.
    pub(super) fn have_ended(&self) -> bool {
        sync::lock(&self.in_force).iter().all(|route| route.worker.is_finished())
    }
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(sink, _)| &sink.name)).finish()
    }
}
