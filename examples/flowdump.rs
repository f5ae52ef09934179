#![allow(warnings)]
use hopwatch::flow::{Meter, MeterLimits};
use hopwatch::input::*;
use hopwatch::observe::CaptureReader;
use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::time::Duration;
fn main() {
    let stdin = std::io::stdin();
    let mut so = std::io::BufWriter::new(std::io::stdout());
    for line in stdin.lock().lines() {
        let line = line.unwrap();
        let path = std::path::Path::new("/tmp/cases").join(&line);
        let inner = std::env::var("INNER").is_ok();
        let lim = MeterLimits {
            max_flows: usize::MAX,
            idle_timeout: Duration::ZERO,
            active_timeout: Duration::ZERO,
            update_interval: Duration::ZERO,
        };
        let mut out: Vec<Input> = vec![];
        let mut err = String::new();
        let mut n = 0;
        let mut stats = String::new();
        match CaptureReader::open(&path) {
            Ok(mut r) => {
                let mut meters = BTreeMap::new();
                loop {
                    match r.next_packet() {
                        Ok(Some(p)) => {
                            meters
                                .entry(p.origin.point.clone())
                                .or_insert_with(|| {
                                    Meter::new(p.origin.point.clone(), p.origin.link, lim).with_layer(
                                        if inner { hopwatch::flow::Layer::Inner } else { hopwatch::flow::Layer::Outer },
                                        Default::default(),
                                    )
                                })
                                .packet(p.at, p.wire_len, p.data, &mut out);
                        }
                        Ok(None) => break,
                        Err(e) => {
                            err = format!("{e}");
                            break;
                        }
                    }
                }
                n = r.packets();
                for m in meters.values_mut() {
                    m.drain(&mut out);
                    let s = m.stats();
                    stats += &format!("nonip={} {:?};", s.non_ip, s.not_decoded);
                }
            }
            Err(e) => err = format!("{e}"),
        }
        let mut flows = vec![];
        for i in out {
            if let Fact::Flow(e) = i.fact {
                if let FlowEventKind::Ended(_) = e.kind {
                    let r = &e.record;
                    let s = |s: Side| serde_json::json!([s.counters.packets, s.counters.frame_bytes]);
                    flows.push(serde_json::json!([
                        r.tuple.protocol.0,
                        r.tuple.orig.ip,
                        r.tuple.orig.port,
                        r.tuple.resp.ip,
                        r.tuple.resp.port,
                        s(r.orig),
                        s(r.resp)
                    ]));
                }
            }
        }
        writeln!(so, "{}", serde_json::json!({"file": line, "n": n, "err": err, "stats": stats, "flows": flows}))
            .unwrap();
    }
}
