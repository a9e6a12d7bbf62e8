//! Every metric name in one list. Labels come from configuration or are small fixed sets; never from a
//! request.

use std::time::Duration;

/// Units of writing that shared one SQLite commit (histogram).
pub(super) const DB_GROUP_UNITS: &str = "cdex_db_group_units";

/// Connections that are open (gauge).
pub(crate) const HTTP_CONNECTIONS: &str = "cdex_http_connections";
/// Requests answered, by `method`, `route` and `status` (counter).
pub(crate) const HTTP_REQUESTS: &str = "cdex_http_requests_total";
/// Time from the head of a request to the head of its answer, by `method` and `route` (histogram).
pub(crate) const HTTP_REQUEST_SECONDS: &str = "cdex_http_request_duration_seconds";

/// Memory of the process that is resident (gauge).
pub(crate) const PROCESS_RESIDENT_BYTES: &str = "process_resident_memory_bytes";
/// File descriptors the process has open (gauge).
pub(crate) const PROCESS_OPEN_FDS: &str = "process_open_fds";
/// When the process started, in seconds since 1970 (gauge).
pub(crate) const PROCESS_START: &str = "process_start_time_seconds";
/// Deliveries by `status` (gauge); `dead` ones need somebody.
const DELIVERIES: &str = "cdex_deliveries";
/// Delivery attempts that have ended, by `target` and `result` (`delivered`, `failed`) (counter).
pub(crate) const DELIVERY_ATTEMPTS: &str = "cdex_delivery_attempts_total";

/// Whether the circuit of a `target` is open (gauge): 1 while its deliveries wait because it failed again and again.
const CIRCUIT_OPEN: &str = "cdex_delivery_circuit_open";

/// Uploads that the scanner has been asked about, by `verdict` (`clean`, `infected`, `failed`) (counter); `failed` ones
/// need somebody where they are held.
const SCANS: &str = "cdex_scans_total";
/// Uploads that wait for the scanner (gauge).
const SCANS_WAITING: &str = "cdex_scans_waiting";

/// Bulk exports that have ended, by `result` (`complete`, `failed`, `removed`) (counter).
const EXPORTS: &str = "cdex_exports_total";

/// Uploads that were acknowledged from the journal and cannot be stored yet (gauge): above 0 it needs somebody.
const JOURNAL_STUCK: &str = "cdex_journal_stuck";

/// Uploads that have ended without being complete, or were removed, by `reason` (`expired`, `terminated`) (counter).
const ENDED_UPLOADS: &str = "cdex_uploads_ended_total";

/// Uploads that are complete and whose data stream has no destination (counter): somebody has to look. One counts again
/// if its commit had to be repeated.
const UNROUTED_UPLOADS: &str = "cdex_uploads_unrouted_total";

/// Looks at changed DEX files, by `result` (`taken`, `refused`) (counter).
const CONFIG_RELOADS: &str = "cdex_config_reloads_total";
/// Whether the DEX files are in force as they are now (gauge): 0 needs somebody.
const CONFIG_CURRENT: &str = "cdex_config_current";

/// Counts what became of changed files.
pub(crate) fn count_reloads(result: &'static str) {
    metrics::counter!(CONFIG_RELOADS, "result" => result).increment(1);
}

/// Shows whether the files are in force as they are now.
pub(crate) fn observe_configuration(is_current: bool) {
    metrics::gauge!(CONFIG_CURRENT).set(if is_current { 1.0 } else { 0.0 });
}

/// Reports by `sink` and `result` (`sent`, `refused` for good, `failed` and to be sent again) (counter).
const REPORTS: &str = "cdex_reports_total";
/// Reports that a `sink` does not have yet, those that were replaced meanwhile included (gauge).
const REPORT_LAG: &str = "cdex_report_lag";
/// How old the first of them is (gauge).
const REPORT_LAG_SECONDS: &str = "cdex_report_lag_seconds";

/// What was removed because its time was over, by `kind` (`source`, `delivery`, `tombstone`, `report`,
/// `idempotency-key`) (counter).
const RETENTION: &str = "cdex_retention_removed_total";

/// Counts reports that a sink was sent.
pub(crate) fn count_reports(sink: &str, result: &'static str, count: u64) {
    metrics::counter!(REPORTS, "sink" => sink.to_owned(), "result" => result).increment(count);
}

/// Shows how far a sink is behind; its name comes from the configuration.
pub(crate) fn observe_report_lag(sink: &str, count: u64, age: Duration) {
    let count = f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    metrics::gauge!(REPORT_LAG, "sink" => sink.to_owned()).set(count);
    metrics::gauge!(REPORT_LAG_SECONDS, "sink" => sink.to_owned()).set(age.as_secs_f64());
}

/// Counts what was removed because its time was over.
pub(crate) fn count_removed(kind: &'static str, count: u64) {
    metrics::counter!(RETENTION, "kind" => kind).increment(count);
}

/// Counts uploads that have ended.
pub(crate) fn count_ended_uploads(reason: &'static str, count: u64) {
    metrics::counter!(ENDED_UPLOADS, "reason" => reason).increment(count);
}

/// Counts an upload that goes nowhere.
pub(crate) fn count_unrouted() {
    metrics::counter!(UNROUTED_UPLOADS).increment(1);
}

/// Records how many units of writing shared a commit; the database knows nothing of metrics.
pub(crate) fn observe_db_group(units: usize) {
    metrics::histogram!(DB_GROUP_UNITS).record(f64::from(u32::try_from(units).unwrap_or(u32::MAX)));
}

/// Shows how many deliveries have a status.
pub(crate) fn observe_deliveries(status: &'static str, count: u64) {
    metrics::gauge!(DELIVERIES, "status" => status).set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
}

/// Shows whether the circuit of a target is open; its name comes from the configuration.
pub(crate) fn observe_circuit(target: &str, is_open: bool) {
    metrics::gauge!(CIRCUIT_OPEN, "target" => target.to_owned()).set(if is_open { 1.0 } else { 0.0 });
}

/// Counts a verdict of the scanner.
pub(crate) fn count_scans(verdict: &'static str) {
    metrics::counter!(SCANS, "verdict" => verdict).increment(1);
}

/// Shows how many uploads wait for the scanner.
pub(crate) fn observe_scans_waiting(count: u64) {
    metrics::gauge!(SCANS_WAITING).set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
}

/// Shows how many uploads were acknowledged from the journal and cannot be stored yet.
pub(crate) fn observe_journal_stuck(count: usize) {
    metrics::gauge!(JOURNAL_STUCK).set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
}

/// Counts bulk exports that have ended.
pub(crate) fn count_exports(result: &'static str, count: u64) {
    metrics::counter!(EXPORTS, "result" => result).increment(count);
}
