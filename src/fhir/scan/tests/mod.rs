//! Tests of the scanner: [`rules`] is the corpus of bad bodies, [`payloads`] what is taken out, [`cuts`] what must
//! hold for any body however it arrives.

mod cuts;
mod payloads;
mod rules;

use futures_util::FutureExt;

use super::*;
use crate::fhir::spool::testing::MemorySpool;

/// Limits that a readable test can pass.
pub(super) fn small() -> ScanLimits {
    ScanLimits {
        depth: 12,
        nodes: 60,
        string_bytes: 48,
        skeleton_bytes: 600,
        inline_data_bytes: 16,
        ..ScanLimits::default()
    }
}

/// Scans `body`, cut before each of `cuts`.
pub(super) fn scan_cut(
    body: &[u8],
    cuts: &[usize],
    limits: ScanLimits,
    shape: Shape,
    spool: &mut MemorySpool,
) -> Result<Scanned, ScanError> {
    let work = async {
        let mut scanner = Scanner::new(limits, shape);
        let mut from = 0;
        for &to in cuts.iter().chain([&body.len()]) {
            scanner.feed(Bytes::copy_from_slice(&body[from..to]), spool).await?;
            from = to;
        }
        scanner.finish(spool).await
    };
    let outcome = work.now_or_never().expect("memory does not wait");
    assert!(!spool.is_open(), "nothing remains open");
    outcome
}

pub(super) fn scan(body: &str, shape: Shape) -> (Result<Scanned, ScanError>, MemorySpool) {
    let mut spool = MemorySpool::default();
    (scan_cut(body.as_bytes(), &[], small(), shape, &mut spool), spool)
}

pub(super) fn refused(outcome: Result<Scanned, ScanError>) -> Refused {
    match outcome {
        Err(ScanError::Refused(refused)) => refused,
        other => panic!("not refused: {other:?}"),
    }
}

pub(super) fn submission(resource: &str) -> String {
    format!(
        r#"{{"resourceType":"Parameters","parameter":[{{"name":"a"}},{{"part":[{{"resource":{resource}}}]}}]}}"#
    )
}

/// 24 bytes, 32 characters: over the small limit.
pub(super) const LONG: &str = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldY";
