//! Which test names which requirement: in its name (`conf_001_022_…`, `d_01_w_37_…`) or in its text, the comments above
//! it included (`/// T-26`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use crate::support::files;

/// The words that keys begin with, as names of tests have them.
const PREFIXES: [&str; 5] = ["conf", "t", "d", "f", "w"];

/// Every test of the program by its name, with its text. This file speaks of keys in its examples.
static TESTS: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = [top.join("tests/it"), top.join("src")].map(|folder| files::below(&folder)).concat();
    let is_source = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "rs");
    let mut tests = BTreeMap::new();
    for path in sources.iter().filter(|path| is_source(path) && !path.ends_with(file!())) {
        let source = std::fs::read_to_string(path).expect("a source file is text");
        // The rules of a contract are run as tests on everything that has to keep it.
        let source = if path.ends_with("contract.rs") { as_tests(&source) } else { source };
        tests.extend(tests_in(&source));
    }
    tests
});

/// The names of the tests that name a requirement.
pub(super) fn naming(key: &str) -> Vec<&'static str> {
    let naming = |(name, text): &(&'static String, &String)| names(key, name, text);
    TESTS.iter().filter(naming).map(|(name, _)| name.as_str()).collect()
}

/// A text whose functions for others are written as tests.
fn as_tests(source: &str) -> String {
    source.replace("pub(super) async fn", "#[test]\nasync fn")
}

/// Each test of a source text: its name, and its text with the comments and attributes above it.
fn tests_in(source: &str) -> BTreeMap<String, String> {
    let mut tests = BTreeMap::new();
    let mut lines = source.lines();
    let mut above: Vec<&str> = Vec::new();
    while let Some(line) = lines.next() {
        let code = line.trim_start();
        let name = code.strip_prefix("async ").unwrap_or(code).strip_prefix("fn ");
        let is_test = above.iter().any(|line| line.trim_start().starts_with("#[") && line.contains("test"));
        // A macro's tests have their names elsewhere.
        let name = name.filter(|name| !name.starts_with('$'));
        if let (Some(name), true) = (name, is_test) {
            let name = name.split('(').next().unwrap_or_default().to_owned();
            let end = format!("{}}}", &line[..line.len() - code.len()]);
            let body = lines.by_ref().take_while(|line| *line != end);
            tests.insert(name, above.drain(..).chain([line]).chain(body).collect::<Vec<_>>().join("\n"));
        } else if code.starts_with("//") || code.starts_with("#[") {
            above.push(line);
        } else {
            above.clear();
        }
    }
    tests
}

/// Whether a test names a requirement.
fn names(key: &str, name: &str, text: &str) -> bool {
    is_in_name(key, name) || is_in_text(key, text)
}

/// Whether `conf_001_022_…` or `d_01_w_37_…` stands at the beginning of a name for this key.
pub(super) fn is_in_name(key: &str, name: &str) -> bool {
    let mut prefix = "";
    for word in name.split('_') {
        if PREFIXES.contains(&word) {
            prefix = word;
        } else if word.is_empty() || !word.bytes().all(|byte| byte.is_ascii_digit()) {
            return false;
        } else if format!("{}-{word}", prefix.to_uppercase()) == key {
            return true;
        }
    }
    false
}

/// Whether a text has this key, and not one that it is a part of.
fn is_in_text(key: &str, text: &str) -> bool {
    text.match_indices(key).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + key.len()..].chars().next();
        !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(|next| next.is_ascii_digit())
    })
}

#[test]
fn a_test_names_a_requirement_in_its_name_or_in_its_text() {
    let tests = tests_in(
        "\
/// CONF-002
#[test]
fn first() {
    body();
}

// CONF-003
fn no_test() {}

/// W-09: as told.
#[tokio::test]
async fn conf_001_022_limits() {
    body(\"CONF-023\");
}

#[test]
fn d_06_w_03_29_what_was_given_up() {
    t_08();
}
",
    );
    let found: Vec<&str> = tests.keys().map(String::as_str).collect();
    let [limits, given_up, first] = ["conf_001_022_limits", "d_06_w_03_29_what_was_given_up", "first"];
    assert_eq!(found, [limits, given_up, first]);
    for (key, name, named) in [
        ("CONF-002", first, true),
        ("CONF-003", first, false),
        ("F-00", first, false),
        ("CONF-001", limits, true),
        ("CONF-022", limits, true),
        ("CONF-023", limits, true),
        ("CONF-002", limits, false),
        ("W-09", limits, true),
        ("F-02", limits, false),
        ("D-06", given_up, true),
        ("W-03", given_up, true),
        ("W-29", given_up, true),
        ("D-29", given_up, false),
        ("T-08", given_up, false),
    ] {
        assert_eq!(names(key, name, &tests[name]), named, "{key} in {name}");
    }
}
