//! The requirements of CDex and those of a DEX Upload API, each with the tests that name it. The README's tables are
//! made of this: run the tests with `CDEX_REWRITE_TABLES=1` to write them anew.

mod dex;
mod naming;
mod requirements;
mod submissions;

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Mutex;

use self::naming::naming;
use self::requirements::{REQUIREMENTS, Requirement, Stand};
use crate::support::environment;

/// Tests of a requirement that the table lists; further ones are counted.
const LISTED: usize = 2;

#[test]
fn the_readme_says_of_each_requirement_which_tests_prove_it() {
    let mut findings = String::new();
    let mut table = String::from("| Key | In short | Now | Tests |\n|---|---|---|---|\n");
    for requirement in REQUIREMENTS {
        let proofs = naming(requirement.key);
        match requirement.stand {
            Stand::Met | Stand::Partly(_) if proofs.is_empty() => {
                let _ = writeln!(findings, "{}: no test names it", requirement.key);
            }
            Stand::Met | Stand::Partly(_) | Stand::NotYet(_) | Stand::Elsewhere(_) => {}
        }
        table.push_str(&row(requirement, &proofs));
    }
    assert!(findings.is_empty(), "\n{findings}");
    assert_readme_has("requirements", &table);
}

#[test]
fn every_requirement_stands_once_and_in_order() {
    let keys: Vec<&str> = REQUIREMENTS.iter().map(|requirement| requirement.key).collect();
    assert!(keys.is_sorted_by(|one, next| one < next), "{keys:?}");
    assert_eq!(keys.len(), 86);
}

fn row(requirement: &Requirement, proofs: &[&str]) -> String {
    let Requirement { key, text, stand } = requirement;
    let listed = listed(proofs, LISTED);
    match stand {
        Stand::Met => format!("| {key} | {text} | yes | {listed} |\n"),
        Stand::Partly(missing) => format!("| {key} | {text} | partly: {missing} | {listed} |\n"),
        Stand::NotYet(missing) => format!("| {key} | {text} | not yet: {missing} | {listed} |\n"),
        Stand::Elsewhere(reason) => format!("| {key} | {text} | {reason} | {listed} |\n"),
    }
}

/// The first of these names, and how many there are beside them.
fn listed(names: &[&str], most: usize) -> String {
    let listed: Vec<String> = names.iter().take(most).map(|name| format!("`{name}`")).collect();
    let listed = listed.join(", ");
    if names.len() > most { format!("{listed} and {} more", names.len() - most) } else { listed }
}

/// Fails if the README has another table between these marks, or writes it if it was told to.
#[track_caller]
fn assert_readme_has(marks: &str, table: &str) {
    /// Several tables are written by tests that run at the same time.
    static README: Mutex<()> = Mutex::new(());
    let alone = README.lock();
    let [start, end] = [format!("<!-- {marks} -->\n"), format!("<!-- end of {marks} -->\n")];
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(&path).expect("there is a README");
    let (before, rest) = readme.split_once(&start).expect("the table has its place");
    let (written, after) = rest.split_once(&end).expect("the table has an end");
    if written != table && environment::variable("CDEX_REWRITE_TABLES").is_some() {
        std::fs::write(path, format!("{before}{start}{table}{end}{after}")).expect("the README is written");
        return;
    }
    drop(alone);
    assert_eq!(written, table, "CDEX_REWRITE_TABLES=1 writes the table of the README anew");
}
