//! Inputs of the fuzz targets, replayed: every crash that was ever found, and the seeds.
//!
//! `fuzz/regressions/TARGET/` holds one file a crash; its name says what was wrong. `fuzz/seeds/TARGET/` holds small inputs
//! built by this test; `HOPWATCH_UPDATE=1` writes them. `fuzz/README.md` says how to fuzz.

#![allow(clippy::expect_used, reason = "helpers of tests; a failure is a failed test")]

#[path = "support/payloads.rs"]
mod payloads;
#[path = "../fuzz/targets.rs"]
mod targets;

use std::path::{Path, PathBuf};

use payloads::{crypto_frames, dns_answer, dns_query, hello, initial, records};

fn folder(kind: &str, target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(kind).join(target)
}

/// Files of a folder in the order of their names; none where there is no folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    files
}

#[test]
fn crashes_stay_fixed_and_seeds_run() {
    let mut seeds = 0;
    for (name, target) in targets::ALL {
        for file in files(&folder("regressions", name)) {
            target(&std::fs::read(&file).expect("a regression"));
        }
        for file in files(&folder("seeds", name)) {
            target(&std::fs::read(&file).expect("a seed"));
            seeds += 1;
        }
    }
    assert!(seeds >= targets::ALL.len(), "every target has a seed");
}

#[test]
fn regressions_belong_to_a_target() {
    let all = std::fs::read_dir(folder("regressions", "")).into_iter().flatten().flatten();
    for entry in all.filter(|entry| entry.path().is_dir()) {
        let name = entry.file_name();
        // The targets of frames and capture files have their own tests.
        let is_known =
            targets::ALL.iter().any(|(target, _)| name == *target) || name == "decode" || name == "capture_file";
        assert!(is_known, "fuzz/regressions/{} belongs to no target", name.display());
    }
}

/// Damage of every kind at every place of the seeds: a short fuzzing that needs no tool.
#[test]
fn damaged_seeds_are_survived() {
    for (name, target) in targets::ALL {
        for (_, seed) in seeds(name) {
            for place in 0..seed.len() {
                for value in [0, 1, 0x7f, 0x80, 0xff] {
                    let mut damaged = seed.clone();
                    damaged[place] = value;
                    target(&damaged);
                }
                target(&seed[..place]);
            }
        }
    }
}

#[test]
fn the_seeds_are_what_is_built_here() {
    for (name, _) in targets::ALL {
        for (file, bytes) in seeds(name) {
            let path = folder("seeds", name).join(file);
            if std::env::var_os("HOPWATCH_UPDATE").is_some() {
                std::fs::create_dir_all(folder("seeds", name)).expect("a folder");
                std::fs::write(&path, &bytes).expect("a seed");
            }
            let committed = std::fs::read(&path).unwrap_or_default();
            assert_eq!(committed, bytes, "{} is not current; HOPWATCH_UPDATE=1 writes it", path.display());
        }
    }
}

fn seeds(target: &str) -> Vec<(&'static str, Vec<u8>)> {
    let small = payloads::hello_with("seed.example", &["h2"], &[0x1301, 0xc02f], 32);
    let query = dns_query("seed.example", 28);
    let http = b"CONNECT seed.example:443 HTTP/1.1\r\nHost: seed.example\r\n\r\n".to_vec();
    match target {
        "client_hello" => vec![("records", records(&small, 60)), ("message", small)],
        "dns" => vec![("query", query.clone()), ("answer", dns_answer(&query, 3))],
        "http" => vec![
            ("connect", http),
            ("proxy", b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n".to_vec()),
            ("socks", vec![5, 1, 0, 5, 1, 0, 3, 1, b'x', 0, 80]),
        ],
        "quic" => vec![
            ("initial", initial(1, &[(0, &hello("seed.example", &["h3"])[..200])])),
            ("frames", crypto_frames(&[(0, &small), (300, b"more")])),
        ],
        _ => {
            let packet = |kind: u8, seq: u8, payload: &[u8]| {
                let len = u8::try_from(payload.len()).expect("a small payload");
                [&[kind, 0, seq, len], payload].concat()
            };
            let stream = records(&small, 60);
            let (first, second) = stream.split_at(100);
            vec![
                ("hello", [packet(4, 0, &[]), packet(0, 101, second), packet(0, 1, first)].concat()),
                ("dns", [packet(9, 0, &query), packet(11, 0, &dns_answer(&query, 0))].concat()),
                ("fragments", [packet(41, 0, &[&[0; 4], &query[..4]].concat()), packet(73, 1, &query[4..])].concat()),
            ]
        }
    }
}
