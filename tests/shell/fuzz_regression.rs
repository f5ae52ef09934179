//! The fuzz targets on their seeds, and on every input that once failed.
//!
//! Contract: `fuzz/regressions/TARGET/*` is replayed for ever; each file has a line in `fuzz/regressions/README.md` that says
//! what it broke. `fuzz/seeds/TARGET/*` are small inputs from which the fuzzer starts; most are made by `seeds.rs`, and
//! `HOPWATCH_UPDATE=1` writes them.
//! Design: the checks are those of the fuzzer (`fuzz/checks/`); a new target needs nothing here, except seeds.

#[path = "../../fuzz/checks/mod.rs"]
mod checks;
mod payload_seeds;
mod seeds;

use std::path::{Path, PathBuf};

use checks::TARGETS;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Files of a folder below `fuzz/`, in order; none where there is no such folder.
fn files(folder: &str) -> Vec<PathBuf> {
    let Ok(entries) = root().join("fuzz").join(folder).read_dir() else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.is_file());
    files.sort();
    files
}

fn all_seeds() -> impl Iterator<Item = seeds::Seed> {
    seeds::all().into_iter().chain(payload_seeds::all())
}

#[test]
fn what_failed_once_holds_now() {
    for (target, _) in TARGETS {
        for kind in ["regressions", "seeds"] {
            for file in files(&format!("{kind}/{target}")) {
                println!("{}", file.display());
                checks::run(target, &std::fs::read(&file).expect("readable"));
            }
        }
    }
}

#[test]
fn every_target_is_in_the_table_and_has_seeds() {
    let stem = |path: &PathBuf| path.file_stem().expect("a name").to_string_lossy().into_owned();
    let built: Vec<String> = files("fuzz_targets").iter().map(stem).collect();
    let mut listed: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    listed.sort_unstable();
    assert_eq!(built, listed);
    let manifest = std::fs::read_to_string(root().join("fuzz/Cargo.toml")).expect("readable");
    for target in listed {
        assert!(!files(&format!("seeds/{target}")).is_empty(), "{target} has no seeds");
        assert!(manifest.contains(&format!("name = \"{target}\"")), "{target} is not in fuzz/Cargo.toml");
    }
}

#[test]
fn every_regression_is_explained() {
    let told = std::fs::read_to_string(root().join("fuzz/regressions/README.md")).expect("readable");
    for (target, _) in TARGETS {
        for file in files(&format!("regressions/{target}")) {
            let name = format!("`{target}/{}`", file.file_name().expect("a name").to_string_lossy());
            assert!(told.contains(&name), "fuzz/regressions/README.md does not say what {name} broke");
        }
    }
}

#[test]
fn seeds_are_current() {
    for (target, name, bytes) in all_seeds() {
        let file = root().join("fuzz/seeds").join(target).join(name);
        if std::env::var_os("HOPWATCH_UPDATE").is_some() {
            std::fs::create_dir_all(file.parent().expect("a folder")).expect("create the folder");
            std::fs::write(&file, &bytes).expect("write the seed");
        }
        let committed = std::fs::read(&file).unwrap_or_default();
        assert!(committed == bytes, "{} is not current; run `HOPWATCH_UPDATE=1 cargo test`", file.display());
    }
}

/// Damage of every kind at every place of the seeds: a short fuzzing that needs no tool.
#[test]
fn damaged_seeds_are_survived() {
    for (target, _, seed) in all_seeds() {
        for place in 0..seed.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut damaged = seed.clone();
                damaged[place] = value;
                checks::run(target, &damaged);
            }
            checks::run(target, &seed[..place]);
        }
    }
}
