//! What every bench prints: one table, each row a speed beside the speed it is held against. Ratios of one run on
//! one machine are what can be compared; the speeds themselves belong to the machine.

use std::time::{Duration, Instant};

/// One mebibyte.
pub(crate) const MIB: usize = 1 << 20;

/// Prints the heading of a table; its rows print themselves one by one, so that a long run shows where it is.
/// `unit` is what a speed counts a second.
pub(crate) fn heading(title: &str, unit: &str) {
    println!("\n{title}");
    println!("  {:<58} {:>14} {:>9}", "", format!("{unit}/s"), "ratio");
}

/// Prints a speed that others are held against, and gives it back.
pub(crate) fn limit(what: &str, speed: f64) -> f64 {
    println!("  {what:<58} {:>14} {:>9}", number(speed), "1");
    speed
}

/// Prints a speed and its ratio to a limit.
pub(crate) fn row(what: &str, speed: f64, limit: f64) {
    println!("  {what:<58} {:>14} {:>9.3}", number(speed), speed / limit);
}

/// Prints what is no speed, or why a speed is missing.
#[allow(dead_code, reason = "not every bench needs it")]
pub(crate) fn note(what: &str, value: &str) {
    println!("  {what:<58} {value:>14}");
}

/// How often a second `count` things were done in `time`.
#[expect(clippy::cast_precision_loss, reason = "a speed is read to three digits")]
pub(crate) fn speed(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

/// Mebibytes a second.
#[allow(dead_code, reason = "not every bench needs it")]
pub(crate) fn mib_per_second(bytes: usize, time: Duration) -> f64 {
    speed(bytes, time) / speed(MIB, Duration::from_secs(1))
}

/// The shortest of three runs: what disturbs a run only ever makes it longer.
#[allow(dead_code, reason = "not every bench needs it")]
pub(crate) fn best_of_three<T>(mut work: impl FnMut() -> T) -> Duration {
    let runs = (0..3).map(|_| timed(|| std::hint::black_box(work())).0);
    runs.min().unwrap_or_default()
}

/// How long work takes, and what comes of it.
#[allow(dead_code, reason = "not every bench needs it")]
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let begin = Instant::now();
    let outcome = work();
    (begin.elapsed(), outcome)
}

/// Three digits or all before the point.
fn number(value: f64) -> String {
    if value < 100.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}
