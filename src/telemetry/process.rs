//! What the system knows about this process: memory, file descriptors, age. Linux tells in `/proc`; elsewhere
//! the numbers are left out.

use super::metrics::{PROCESS_OPEN_FDS, PROCESS_RESIDENT_BYTES, PROCESS_START};
use crate::clock::Timestamp;

/// Sets the gauges of the process. Reads two small files that are in memory.
pub(super) fn measure(started: Timestamp) {
    if let Some(bytes) = resident_bytes() {
        metrics::gauge!(PROCESS_RESIDENT_BYTES).set(bytes);
    }
    if let Ok(entries) = std::fs::read_dir("/proc/self/fd") {
        // One of them is the folder being read.
        metrics::gauge!(PROCESS_OPEN_FDS).set(as_float(entries.count().saturating_sub(1) as u64));
    }
    let seconds = started.since(Timestamp::from_nanos(0)).as_secs_f64();
    metrics::gauge!(PROCESS_START).set(seconds);
}

fn resident_bytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(as_float(kibibytes * 1024))
}

#[expect(clippy::cast_precision_loss, reason = "gauges are floats; these counts are far below 2^53")]
fn as_float(count: u64) -> f64 {
    count as f64
}
