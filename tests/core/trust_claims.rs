//! docs/trust.md names the test of each claim: every test that it names exists, and is run.

use crate::architecture::source::root;

/// Names of tests, as `module::test`, between backticks.
fn named(page: &str) -> Vec<&str> {
    let quoted = page.split('`').skip(1).step_by(2);
    let is_name = |text: &&str| {
        text.contains("::") && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_:".contains(c))
    };
    quoted.filter(is_name).filter(|text| *text != "module::test").collect()
}

#[test]
fn every_test_that_the_threat_model_names_exists() {
    let page = std::fs::read_to_string(root().join("docs/trust.md")).expect("docs/trust.md");
    let names = named(&page);
    assert!(names.len() > 15, "{names:?}");
    for name in names {
        let (module, test) = name.rsplit_once("::").expect("a module and a test");
        let files =
            ["core", "shell", "privileged"].map(|suite| format!("tests/{suite}/{}.rs", module.replace("::", "/")));
        let read = |file: &String| Some((file.clone(), std::fs::read_to_string(root().join(file)).ok()?));
        let (file, source) = files.iter().find_map(read).unwrap_or_else(|| panic!("none of {files:?} is there"));
        let (before, _) =
            source.split_once(&format!("fn {test}()")).unwrap_or_else(|| panic!("{file} holds no {name}"));
        let attributes = before.rsplit("\n\n").next().unwrap_or_default();
        assert!(attributes.contains("#[test]") && !attributes.contains("#[ignore"), "{name} is not run: {attributes}");
    }
}
