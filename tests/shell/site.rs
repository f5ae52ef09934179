//! The documents as a site: every page is in its table of contents, and, built by a real mdBook, no link leads nowhere.

use std::path::Path;
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_page_is_in_the_table_of_contents_of_the_site() {
    let contents = std::fs::read_to_string(root().join("packaging/site/SUMMARY.md")).expect("the contents");
    let names = |folder: &str| {
        let entries = root().join(folder).read_dir().expect("a folder").map(|entry| entry.expect("an entry").path());
        let pages = entries.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
        pages.map(|path| path.strip_prefix(root()).expect("inside").display().to_string()).collect::<Vec<_>>()
    };
    for page in names("").into_iter().chain(names("docs")) {
        assert!(contents.contains(&format!("({page})")), "packaging/site/SUMMARY.md lacks {page}");
    }
    for page in ["RULES.md", "DECISIONS.md"] {
        assert!(contents.contains(&format!("({page})")), "scripts/site.sh lists rules and decisions under {page}");
    }
}

#[test]
fn no_link_of_the_site_leads_nowhere() {
    let tools =
        Path::new(env!("CARGO_BIN_EXE_hopwatch")).parent().and_then(Path::parent).expect("a folder").join("tools");
    if !tools.join("mdbook").is_file() {
        return println!(
            "skipped: no_link_of_the_site_leads_nowhere: there is no mdBook (scripts/test-tools.sh fetches one)"
        );
    }
    let folder = tempfile::tempdir().expect("a folder");
    std::os::unix::fs::symlink(tools, folder.path().join("tools")).expect("a link");
    let built =
        Command::new(root().join("scripts/site.sh")).env("CARGO_TARGET_DIR", folder.path()).output().expect("it runs");
    let said = format!("{}{}", String::from_utf8_lossy(&built.stdout), String::from_utf8_lossy(&built.stderr));
    assert!(built.status.success(), "{said}");
    let html = folder.path().join("site/html");
    for page in [
        "index.html",
        "docs/contracts.html",
        "docs/rules/egress-skips-proxy.html",
        "RULES.html",
        "config/examples/index.html",
    ] {
        assert!(html.join(page).is_file(), "{page}");
    }
    let plant = html.join("docs/contracts.html");
    let text = std::fs::read_to_string(&plant).expect("a page");
    std::fs::write(
        &plant,
        text.replacen("<main>", "<main><a href=\"verify.html#nowhere\">x</a><a href=\"none.html\">y</a>", 1),
    )
    .expect("written");
    let looked = Command::new(root().join("scripts/dead-links.py")).arg(&html).output().expect("it runs");
    let said = String::from_utf8_lossy(&looked.stdout);
    assert!(!looked.status.success() && said.contains("no such place") && said.contains("no such page"), "{said}");
}
