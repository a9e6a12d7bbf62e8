//! How long a check takes; run by hand, in release:
//! `cargo test --release --lib structure::tests::speed -- --ignored --nocapture`.

use std::io::Write as _;
use std::time::Instant;

use serde_json::Value;

use super::{Mode, PUBLISHED, check};

/// How many objects and plain values a resource has.
fn elements(value: &Value) -> usize {
    match value {
        Value::Array(entries) => entries.iter().map(elements).sum(),
        Value::Object(members) => 1 + members.values().map(elements).sum::<usize>(),
        _ => 1,
    }
}

#[test]
#[ignore = "it measures and asserts nothing"]
fn time_of_a_check() {
    const ROUNDS: u32 = 2_000;
    let tasks = PUBLISHED.iter().filter(|(_, resource)| resource["resourceType"] == "Task");
    for (name, task) in tasks {
        for mode in [Mode::Shape, Mode::Strict] {
            check(task, "Task", mode);
            let started = Instant::now();
            for _ in 0..ROUNDS {
                std::hint::black_box(check(std::hint::black_box(task), "Task", mode));
            }
            let each = started.elapsed() / ROUNDS;
            let line = format!("{mode:?} {each:?}, {} elements, {name}\n", elements(task));
            std::io::stderr().write_all(line.as_bytes()).expect("stderr takes a line");
        }
    }
}
