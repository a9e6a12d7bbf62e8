//! The requirements of CDex, each with the tests that name it. The README's table is made of this: run the tests with
//! `CDEX_REWRITE_TABLES=1` to write it anew.

mod requirements;
mod submissions;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use self::requirements::{REQUIREMENTS, Requirement, Stand};
use crate::support::{environment, files};

/// What stands in the README before and after the table.
const AROUND: [&str; 2] = ["<!-- requirements -->\n", "<!-- end of requirements -->\n"];
/// Tests of a requirement that the table lists; further ones are counted.
const LISTED: usize = 2;

#[test]
fn the_readme_says_of_each_requirement_which_tests_prove_it() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = [top.join("tests/it"), top.join("src")].map(|folder| files::below(&folder)).concat();
    // This file speaks of requirements in its examples.
    let sources: Vec<_> = sources.into_iter().filter(|path| !path.ends_with(file!())).collect();
    let tests = tests_below(&sources);
    let mut findings = String::new();
    let mut table = String::from("| Key | In short | Now | Tests |\n|---|---|---|---|\n");
    for requirement in REQUIREMENTS {
        let naming = |(name, text): &(&String, &String)| names(requirement.key, name, text);
        let proofs: Vec<&str> = tests.iter().filter(naming).map(|(name, _)| name.as_str()).collect();
        match requirement.stand {
            Stand::Met | Stand::Partly(_) if proofs.is_empty() => {
                let _ = writeln!(findings, "{}: no test names it", requirement.key);
            }
            Stand::Met | Stand::Partly(_) | Stand::NotYet(_) | Stand::Elsewhere(_) => {}
        }
        table.push_str(&row(requirement, &proofs));
    }
    assert!(findings.is_empty(), "\n{findings}");
    let path = top.join("README.md");
    let readme = std::fs::read_to_string(&path).expect("there is a README");
    let (before, rest) = readme.split_once(AROUND[0]).expect("the table has its place");
    let (written, after) = rest.split_once(AROUND[1]).expect("the table has an end");
    if written != table && environment::variable("CDEX_REWRITE_TABLES").is_some() {
        let [start, end] = AROUND;
        std::fs::write(path, format!("{before}{start}{table}{end}{after}")).expect("the README is written");
    } else {
        assert_eq!(written, table, "CDEX_REWRITE_TABLES=1 writes the table of the README anew");
    }
}

#[test]
fn every_requirement_stands_once_and_in_order() {
    let keys: Vec<&str> = REQUIREMENTS.iter().map(|requirement| requirement.key).collect();
    assert!(keys.is_sorted_by(|one, next| one < next), "{keys:?}");
    assert_eq!(keys.len(), 86);
}

fn row(requirement: &Requirement, proofs: &[&str]) -> String {
    let Requirement { key, text, stand } = requirement;
    let listed: Vec<String> = proofs.iter().take(LISTED).map(|name| format!("`{name}`")).collect();
    let mut listed = listed.join(", ");
    if proofs.len() > LISTED {
        let _ = write!(listed, " and {} more", proofs.len() - LISTED);
    }
    match stand {
        Stand::Met => format!("| {key} | {text} | yes | {listed} |\n"),
        Stand::Partly(missing) => format!("| {key} | {text} | partly: {missing} | {listed} |\n"),
        Stand::NotYet(missing) => format!("| {key} | {text} | not yet: {missing} | {listed} |\n"),
        Stand::Elsewhere(reason) => format!("| {key} | {text} | {reason} | {listed} |\n"),
    }
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

#[tokio::test]
async fn conf_001_022_limits() {
    body(\"CONF-023\");
}
",
    );
    assert_eq!(tests.keys().collect::<Vec<_>>(), ["conf_001_022_limits", "first"]);
    for (key, name, named) in [
        ("CONF-002", "first", true),
        ("CONF-003", "first", false),
        ("CONF-001", "conf_001_022_limits", true),
        ("CONF-022", "conf_001_022_limits", true),
        ("CONF-023", "conf_001_022_limits", true),
        ("CONF-002", "conf_001_022_limits", false),
    ] {
        assert_eq!(names(key, name, &tests[name]), named, "{key} in {name}");
    }
}

/// Each test of these files by its name.
fn tests_below(files: &[std::path::PathBuf]) -> BTreeMap<String, String> {
    let mut tests = BTreeMap::new();
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "rs")) {
        tests.extend(tests_in(&std::fs::read_to_string(file).expect("a source file is text")));
    }
    tests
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

/// Whether a test names a requirement: in its text, or in its name as `conf_001_022_…`.
fn names(key: &str, name: &str, text: &str) -> bool {
    let number = key.trim_start_matches("CONF-");
    let by_name = name.split_once("conf_").is_some_and(|(_, rest)| {
        rest.split('_').take_while(|word| word.parse::<u16>().is_ok()).any(|word| word == number)
    });
    by_name || text.contains(key)
}
