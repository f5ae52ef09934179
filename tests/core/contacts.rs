//! Contacts: what was begun ends, also where the tracker gives a flow up.

use std::collections::BTreeSet;

use hopwatch::detect::{Contact, ContactStep};
use hopwatch::engine::{EngineConfig, Observer};
use hopwatch::input::*;
use hopwatch::inventory::Timeline;
use hopwatch::names::Names;

use crate::support::world::{World, config, ip};

/// Contacts that were decided and have not ended.
#[derive(Debug, Default)]
struct Open {
    ids: BTreeSet<FlowId>,
    decided: usize,
}

impl Observer for Open {
    fn contact(&mut self, _: &Timeline, _: &Names, contact: &Contact<'_>) {
        let id = contact.flow.view.record.id;
        match contact.step {
            ContactStep::Decided => {
                assert!(self.ids.insert(id), "decided once");
                self.decided += 1;
            }
            ContactStep::GoesOn | ContactStep::Resumed { .. } => {
                assert!(self.ids.contains(&id), "only what is open goes on");
            }
            ContactStep::Ended => assert!(self.ids.remove(&id), "ended once"),
        }
    }
}

fn world(max_flows: usize) -> World {
    let mut world = World::new(EngineConfig { max_flows, ..config() });
    world.engine.observe(Box::<Open>::default());
    world.start(0, "web-1", 10);
    world
}

fn open(world: &World) -> (usize, usize) {
    let open = world.engine.observer::<Open>().expect("the observer");
    (open.decided, open.ids.len())
}

#[test]
fn a_flood_that_fills_the_table_of_flows_leaves_no_contact_open() {
    let mut world = world(10);
    for number in 0..500 {
        world.tcp(10_000 + number * 20, 10, "198.51.100.7", 443);
    }
    let (decided, open) = open(&world);
    assert!(decided >= 490 && open <= 10, "{decided} decided, {open} open");
}

#[test]
fn a_translated_side_that_was_taken_for_the_hosts_ends_with_its_translation() {
    let mut world = world(1000);
    let bridge = world.tcp(10_000, 10, "198.51.100.7", 443);
    let mut after = bridge.tuple;
    after.orig.ip = ip("172.20.0.1");
    let point = ObservationPoint::new("eth0");
    let side = Side { mac: None, ..bridge.orig };
    let record =
        FlowRecord { tcp: bridge.tcp, orig: side, ..FlowRecord::new(FlowId(1 << 40), point, after, bridge.start) };
    world.event(10_020, FlowEventKind::Started, &record);
    world.event(10_030, FlowEventKind::Answered, &FlowRecord { resp: bridge.resp, ..record });
    world.tick(11_000);
    assert_eq!(open(&world), (2, 2), "nothing shows that they are one");
    let bound = NatBinding { netns: None, before: bridge.tuple, after };
    world.push(11_100, Fact::Recorded(RecordedFact::Nat(NatFact::Bound(bound))));
    assert_eq!(open(&world), (2, 1));
}
