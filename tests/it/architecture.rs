//! The house rules as data, checked against every source file: who may import whom, which crate is named
//! where, how long a file may be and how it begins. A failure names file, line, what was wanted and what is
//! allowed.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::support::files;
use crate::support::rust_source::{Source, Token};

/// The modules of the crate by rank. A module imports from lower ranks only; equal ranks are strangers. `main`
/// is the binary: it calls `cli` and nothing else calls it. `cli` starts `demo` as it starts `app`. `internals` is
/// called by the benches alone.
const RANKS: &[(u8, &[&str])] = &[
    (13, &["main", "internals"]),
    (12, &["cli"]),
    (11, &["demo"]),
    (10, &["app"]),
    (9, &["http"]),
    (8, &["exchange"]),
    (7, &["delivery"]),
    (6, &["upload", "subscription", "screening"]),
    (5, &["manifest"]),
    (4, &["cdex", "repository", "report", "audit", "upstream", "partner"]),
    (3, &["agenda"]),
    (2, &["fhir", "auth"]),
    (1, &["db", "outbound", "telemetry"]),
    (0, &["config", "clock", "id", "digest"]),
];

/// Foreign crates that only these places may name. A place is a folder, a file, or a file name anywhere.
const FOREIGN: &[(&[&str], &[&str])] = &[
    (&["clap"], &["cli/", "demo/", "main.rs"]),
    (&["indicatif"], &["cli/"]),
    (&["axum", "hyper", "hyper_util", "http_body", "http_body_util", "tower", "tower_http"], &["http/"]),
    (&["object_store"], &["outbound/bucket/"]),
    (&["async_nats"], &["outbound/nats.rs"]),
    (&["fhirbolt"], &["fhir/"]),
    (&["jsonwebtoken"], &["auth/", "cdex/signature/"]),
    (&["webpki", "rustls_pki_types", "x509_parser", "serde_json_canonicalizer"], &["cdex/signature/"]),
    (&["sqlx"], &["db/", "*/store.rs", "*/store/", "repository/query.rs"]),
    (&["reqwest"], &["outbound/"]),
    (&["form_urlencoded"], &["outbound/", "fhir/address.rs", "http/dex/oauth.rs"]),
    (&["aws_lc_rs"], &["digest.rs", "upstream/cursor.rs", "outbound/bucket/access.rs"]),
    (&["sha2"], &["digest.rs", "upload/checksum.rs"]),
    (&["blake3"], &["digest.rs"]),
    (&["quick_xml"], &["outbound/bucket/"]),
    (&["tracing_subscriber", "metrics_exporter_prometheus"], &["telemetry/"]),
    (&["figment"], &["config/"]),
];

/// The longest file, tests included.
const LINES: usize = 500;
/// The longest line of a comment, in characters; rustfmt leaves comments alone.
const CHARACTERS: usize = 120;

#[test]
fn every_import_points_to_a_lower_rank() {
    let mut findings = String::new();
    for file in sources() {
        let Some(module) = file.module().filter(|_| !file.is_test()) else { continue };
        let Some(own) = rank(&module) else {
            let _ =
                writeln!(findings, "{}:1: wanted a rank, allowed are the modules of the table", file.name);
            continue;
        };
        for (wanted, at) in imports(&file) {
            let line = file.source.line(at);
            match rank(&wanted) {
                _ if wanted == module => {}
                Some(other) if other < own => {}
                other => {
                    let other = other.map_or_else(|| "none".to_owned(), |rank| rank.to_string());
                    let _ = writeln!(
                        findings,
                        "{}:{line}: wanted {wanted} (rank {other}), allowed in {module} (rank {own}) are lower ranks",
                        file.name
                    );
                }
            }
        }
    }
    assert!(findings.is_empty(), "\n{findings}");
}

#[test]
fn foreign_crates_are_named_only_where_they_belong() {
    let mut findings = String::new();
    for file in sources().iter().filter(|file| !file.is_test()) {
        let tokens = file.source.tokens();
        for (at, token) in tokens.iter().enumerate() {
            let Some((_, places)) = FOREIGN.iter().find(|(crates, _)| crates.contains(&token.text)) else {
                continue;
            };
            let of_path = at > 0 && tokens[at - 1].text == "::" && !follows_nothing(&tokens, at - 1);
            let names_crate = next(&tokens, at, 1) == Some("::")
                || (at > 0
                    && tokens[at - 1].text == "use"
                    && matches!(next(&tokens, at, 1), Some(";" | "as")));
            if of_path || !names_crate || places.iter().any(|place| file.is_in(place)) {
                continue;
            }
            let line = file.source.line(token.at);
            let _ = writeln!(findings, "{}:{line}: wanted {}, allowed in {places:?}", file.name, token.text);
        }
    }
    assert!(findings.is_empty(), "\n{findings}");
}

#[test]
fn no_source_names_the_xml_reader_that_ends_the_process() {
    let mut findings = String::new();
    for file in sources() {
        let tokens = file.source.tokens();
        for (at, token) in tokens.iter().enumerate().filter(|(_, token)| token.text == "fhirbolt") {
            let path = |text: &str| next(&tokens, at, 1) == Some("::") && text == "xml";
            let group =
                tokens[at..].iter().take_while(|token| token.text != ";").any(|token| path(token.text));
            if group {
                let line = file.source.line(token.at);
                let _ = writeln!(
                    findings,
                    "{}:{line}: fhirbolt::xml overflows the stack on small input (F1)",
                    file.name
                );
            }
        }
    }
    assert!(findings.is_empty(), "\n{findings}");
}

#[test]
fn serde_shapes_that_break_on_numbers_carry_a_reason() {
    let mut findings = String::new();
    for file in sources() {
        let mut above = "";
        for (number, (blanked, original)) in file.source.lines().enumerate() {
            let shape = ["flatten", "untagged", "tag"].into_iter().find(|shape| {
                blanked.contains("serde(")
                    && blanked.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == *shape)
            });
            let reason = above.trim_start().starts_with("//") || original.contains("//");
            if let Some(shape) = shape.filter(|_| !reason) {
                let line = number + 1;
                let _ = writeln!(
                    findings,
                    "{}:{line}: serde({shape}) fails on numbers here (F4): say why it may stay",
                    file.name
                );
            }
            above = original;
        }
    }
    assert!(findings.is_empty(), "\n{findings}");
}

#[test]
fn no_file_and_no_comment_is_too_long_and_each_file_begins_by_saying_what_it_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut findings = String::new();
    for folder in ["src", "tests", "examples"] {
        for path in files::below(&root.join(folder)) {
            let is_built = path.components().any(|part| part.as_os_str() == "target");
            if is_built || path.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("a source file is text");
            let name = path.strip_prefix(root).unwrap_or(&path).display();
            let lines = text.lines().count();
            if lines > LINES {
                let _ = writeln!(findings, "{name}:{LINES}: {lines} lines, allowed are {LINES}");
            }
            for (number, line) in text.lines().enumerate() {
                let length = line.chars().count();
                if line.trim_start().starts_with("//") && length > CHARACTERS {
                    let _ = writeln!(
                        findings,
                        "{name}:{}: a comment of {length} characters, allowed are {CHARACTERS}",
                        number + 1
                    );
                }
            }
            if !text.starts_with("//!") {
                let _ = writeln!(findings, "{name}:1: wanted a header that says what this is (`//!`)");
            }
        }
    }
    assert!(findings.is_empty(), "\n{findings}");
}

/// A file of the program.
struct File {
    /// Its path below `src`, with `/`.
    name: String,
    source: Source,
}

impl File {
    /// The module of the crate that it belongs to; `lib.rs` belongs to none.
    fn module(&self) -> Option<String> {
        let first = self.name.split('/').next().unwrap_or_default();
        let module = first.strip_suffix(".rs").unwrap_or(first);
        (module != "lib").then(|| module.to_owned())
    }

    /// Whether it is compiled for tests only, which its name says.
    fn is_test(&self) -> bool {
        let name = self.name.rsplit('/').next().unwrap_or_default();
        let in_folder = self.name.split('/').any(|part| part == "tests");
        in_folder || matches!(name, "tests.rs" | "testing.rs" | "contract.rs") || name.ends_with("_tests.rs")
    }

    /// How many `super` lead from it to the crate.
    fn depth(&self) -> usize {
        let parts = self.name.split('/').count();
        parts - usize::from(self.name.ends_with("/mod.rs"))
    }

    fn is_in(&self, place: &str) -> bool {
        match place.strip_prefix("*/") {
            Some(folder) if folder.ends_with('/') => self.name.contains(&format!("/{folder}")),
            Some(name) => self.name.rsplit('/').next() == Some(name),
            None if place.ends_with('/') => self.name.starts_with(place),
            None => self.name == place,
        }
    }
}

fn sources() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let paths: Vec<PathBuf> = files::below(&root);
    let rust = paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let read = rust.map(|path| File {
        name: path.strip_prefix(&root).unwrap_or(path).to_string_lossy().replace('\\', "/"),
        source: Source::new(std::fs::read_to_string(path).expect("a source file is text")),
    });
    read.collect()
}

fn rank(module: &str) -> Option<u8> {
    RANKS.iter().find(|(_, modules)| modules.contains(&module)).map(|(rank, _)| *rank)
}

/// The modules of the crate that a file names, by `crate::`, by enough `super::`, or by the name of the
/// library, alone or in a group.
fn imports(file: &File) -> Vec<(String, usize)> {
    let tokens = file.source.tokens();
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let start = at;
        at += 1;
        let path = match tokens[start].text {
            "crate" | "cdex_gateway" => next(&tokens, start, 1) == Some("::"),
            "super" if start < 2 || tokens[start - 2].text != "super" => {
                let mut climbed = 1;
                while next(&tokens, at, 0) == Some("::") && next(&tokens, at, 1) == Some("super") {
                    climbed += 1;
                    at += 2;
                }
                climbed == file.depth() && next(&tokens, at, 0) == Some("::")
            }
            _ => false,
        };
        if path {
            found.extend(first_names(&tokens[at + 1..]));
        }
    }
    found
}

/// The name that a path goes on with, or the first name of each path in a group.
fn first_names(tokens: &[Token<'_>]) -> Vec<(String, usize)> {
    let found = |token: &Token<'_>| (token.text.to_owned(), token.at);
    match tokens.first() {
        Some(open) if open.text == "{" => {
            let mut depth = 0;
            let mut names = Vec::new();
            for (at, token) in tokens.iter().enumerate() {
                match token.text {
                    "{" => depth += 1,
                    "}" => depth -= 1,
                    _ if depth == 1 && matches!(tokens[at - 1].text, "{" | ",") => names.push(found(token)),
                    _ => {}
                }
                if depth == 0 {
                    break;
                }
            }
            names
        }
        Some(name) => vec![found(name)],
        None => Vec::new(),
    }
}

fn next<'a>(tokens: &[Token<'a>], at: usize, ahead: usize) -> Option<&'a str> {
    tokens.get(at + ahead).map(|token| token.text)
}

/// Whether a `::` begins a path (`::axum`) and does not continue one (`crate::http`).
fn follows_nothing(tokens: &[Token<'_>], at: usize) -> bool {
    let before = at.checked_sub(1).map_or("", |before| tokens[before].text);
    !before.chars().next().is_some_and(|first| first.is_alphanumeric() || first == '_' || first == '>')
}
