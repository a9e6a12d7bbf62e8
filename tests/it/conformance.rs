//! What the README claims of CDex, held against the tests: each requirement that its table says is met names
//! tests that exist and that name the requirement. The tests below are those that have no better place.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use serde_json::json;

use crate::support::content::base64;
use crate::support::files;
use crate::support::gateway::{Gateway, for_each_database};
use crate::support::rows;
use crate::support::submission::{accepted, document, inline, note, parameters, refused, submit};

/// The heading of the table.
const HEADING: &str = "## Conformance";

/// A row of the table: `| CONF-022 | what it asks for | yes | \`a_test\`, \`another\` |`.
#[derive(Debug, PartialEq, Eq)]
struct Claim {
    key: String,
    tests: Vec<String>,
}

#[test]
fn every_requirement_that_the_readme_claims_is_proved_by_a_test_that_names_it() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(top.join("README.md"))
        .unwrap_or_else(|error| panic!("README.md must hold the table below `{HEADING}`: {error}"));
    let claims = claims(&readme);
    assert!(!claims.is_empty(), "no row `| CONF-nnn | … | yes | `a_test` |` below `{HEADING}` in README.md");
    let tests =
        tests_below(&[top.join("tests/it"), top.join("src")].map(|folder| files::below(&folder)).concat());
    let mut findings = String::new();
    let mut known = BTreeSet::new();
    for Claim { key, tests: named } in &claims {
        if !known.insert(key) {
            let _ = writeln!(findings, "{key} stands twice in the table");
        }
        if named.is_empty() {
            let _ = writeln!(findings, "{key} is claimed without a test");
        }
        for name in named.iter().filter(|name| !tests.contains_key(*name)) {
            let _ = writeln!(findings, "{key} names {name}, which is no test");
        }
        let proofs = named.iter().filter_map(|name| Some((name, tests.get(name)?)));
        if !named.is_empty() && !proofs.into_iter().any(|(name, text)| names(key, name, text)) {
            let _ = writeln!(findings, "{key}: none of {named:?} names it");
        }
    }
    assert!(findings.is_empty(), "\n{findings}");
}

#[test]
fn claims_are_the_rows_that_say_yes_below_the_heading() {
    let readme = "\
# x
| CONF-001 | above | yes | `no` |
## Conformance
| Key | Asks for | Met | Tests |
|---|---|---|---|
| CONF-022 | a limit, `Final` | yes | `one_test`, `another` |
| CONF-025 | signatures | no | |
| CONF-023 | 413 | Yes | `tests::one_test` |
### Part
| CONF-001 | declared | yes | |
## Next
| CONF-099 | below | yes | `no` |
";
    let claim = |key: &str, tests: &[&str]| Claim {
        key: key.to_owned(),
        tests: tests.iter().map(|test| (*test).to_owned()).collect(),
    };
    let expected = [
        claim("CONF-022", &["one_test", "another"]),
        claim("CONF-023", &["one_test"]),
        claim("CONF-001", &[]),
    ];
    assert_eq!(claims(readme), expected);
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

/// CONF-002: a code is asked for by SHOULD, so its absence is no reason to refuse.
#[test]
fn an_attachment_without_a_code_is_accepted() {
    let gateway = Gateway::start();
    let mut body = parameters("no-code", vec![document(vec![inline(b"x")])]);
    let parts = body["parameter"][7]["part"].as_array_mut().expect("the attachment has parts");
    parts.retain(|part| part["name"] != "Code");
    assert_eq!(accepted(&submit(&gateway, body.to_string())).len(), 1);
}

/// CONF-003: DocumentReference is taken, and so is any other type.
#[test]
fn documents_and_resources_of_other_types_are_accepted_as_content() {
    let gateway = Gateway::start();
    let contents = [
        document(vec![inline(b"x")]),
        json!({"resourceType": "QuestionnaireResponse", "status": "completed"}),
        json!({"resourceType": "Observation", "status": "final", "code": {"text": "x"}}),
        json!({"resourceType": "Bundle", "type": "collection"}),
        json!({"resourceType": "Binary", "contentType": "text/plain", "data": base64("x")}),
    ];
    for content in contents {
        let kind = content["resourceType"].to_string();
        let answer = submit(&gateway, parameters(&kind, vec![content]).to_string());
        assert_eq!(accepted(&answer).len(), 1, "{kind}");
    }
}

/// CONF-016: who did what, when and with what outcome, accepted or refused.
#[test]
fn each_exchange_leaves_one_line_in_the_audit_trail() {
    for_each_database(&[], |gateway| {
        accepted(&submit(&gateway, note("audited", b"x")));
        refused(&submit(&gateway, "{}"), 400);
        let mut trail = rows::audit_trail(&gateway);
        // What follows from an exchange has lines of its own.
        trail.retain(|row| row.contains("submit-attachment"));
        trail.sort_by_key(|row| row.contains("refused"));
        assert_eq!(trail.len(), 2, "{trail:?}");
        for (row, outcome) in trail.iter().zip(["success", "refused"]) {
            assert!(row.contains("submit-attachment") && row.contains(outcome), "{row}");
        }
    });
}

/// CONF-021: a submission for something that is not known here is held for it.
#[test]
fn a_submission_for_no_known_claim_is_accepted_and_told_to_be_held() {
    let gateway = Gateway::start();
    let answer = submit(&gateway, note("of no claim", b"x"));
    accepted(&answer);
    let outcome = answer.json();
    let held = outcome["issue"].as_array().into_iter().flatten().any(|issue| {
        issue["severity"] == "information"
            && issue["code"] == "informational"
            && issue.to_string().contains("being held for association with a future claim")
    });
    assert!(held, "{outcome}");
}

/// CONF-001, CONF-022, CONF-024 and CONF-078: features, limit, `Final` and the way around the limit can be read
/// beforehand, at the operation and for the server as a whole.
#[test]
fn the_capability_statement_tells_features_limit_final_and_what_to_do_beyond_it() {
    let gateway = Gateway::with(&[("CDEX_FHIR__PAYLOAD_LIMIT_BYTES", "123456789")]);
    let statement = gateway.get("/fhir/metadata").expect(200).json();
    let operation = &statement["rest"][0]["operation"][0];
    assert_eq!(operation["name"], "submit-attachment");
    let documentation = operation["documentation"].as_str().expect("the operation is documented");
    for fact in [
        "DocumentReference",
        "QuestionnaireResponse",
        "123456789",
        "Final",
        "tus",
        "/upload/files",
        "several submissions",
    ] {
        assert!(documentation.contains(fact), "{fact}: {documentation}");
    }
    let server = statement["rest"][0]["documentation"].as_str().expect("the server is documented");
    assert!(server.contains("123456789") && server.contains("$submit-attachment"), "{server}");
}

/// CONF-023 and CONF-024: 413, and the answer repeats what to do.
#[test]
fn a_payload_over_the_limit_is_413_and_told_the_way_around_it() {
    let gateway = Gateway::with(&[("CDEX_FHIR__PAYLOAD_LIMIT_BYTES", "100000")]);
    let answer = submit(&gateway, note("too large", &vec![b'x'; 100_000]));
    let issues = refused(&answer, 413);
    let told = issues[0].to_string();
    assert!(told.contains("/upload/files") && told.contains("Final"), "{told}");
    assert_eq!(rows::count(&gateway, "upload"), 0);
}

/// The rows of the table that say yes.
fn claims(readme: &str) -> Vec<Claim> {
    let mut claims = Vec::new();
    let below = readme.lines().skip_while(|line| line.trim_end() != HEADING).skip(1);
    for line in below.take_while(|line| !line.starts_with("## ")) {
        let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
        let [key, .., status, tests] = cells[..] else { continue };
        if !key.starts_with("CONF-") || !status.eq_ignore_ascii_case("yes") {
            continue;
        }
        let tests = tests.split('`').skip(1).step_by(2);
        let tests = tests.map(|name| name.rsplit("::").next().unwrap_or(name).to_owned()).collect();
        claims.push(Claim { key: key.to_owned(), tests });
    }
    claims
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
