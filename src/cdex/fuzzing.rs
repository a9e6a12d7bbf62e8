//! What the fuzz targets in `tests/fuzz` call of these rules; compiled for them only. It panics when something is
//! wrong with them, never on bad input.

use std::sync::LazyLock;

use bytes::Bytes;
use futures_util::FutureExt;
use serde_json::Value;

use super::signature::{Judgement, TrustAnchors, verify};
use super::{OwnUploads, TakenData, parse, payloads};
use crate::clock::Timestamp;
use crate::fhir::fuzzing::Kept;
use crate::fhir::{self, Issue, KnownType, Profiles, ScanLimits, ScannedPayload, Scanner, Shape};

static PROFILES: LazyLock<Profiles> = LazyLock::new(|| Profiles::built_in().expect("the built-in rules"));
static OWN: LazyLock<OwnUploads> = LazyLock::new(|| OwnUploads {
    origins: vec!["https://gateway.example/base/".to_owned(), "http://gateway.test:8080".to_owned()],
});

/// Takes a text for the URL of an upload of ours: one that is, is an origin of ours, the path and the id.
pub fn own_upload(url: &[u8]) {
    let Ok(url) = std::str::from_utf8(url) else { return };
    let content = serde_json::json!({
        "resourceType": "DocumentReference",
        "content": [{ "attachment": { "contentType": "text/plain", "url": url } }],
    });
    let Ok((found, _)) = payloads(&content, "R", Vec::new(), &OWN) else { return };
    let [payload] = &found[..] else { panic!("one attachment is one payload") };
    let super::Carried::Upload(id) = &payload.carried else { panic!("a url leads nowhere else") };
    let path = ["https://gateway.example/base", "http://gateway.test:8080"]
        .iter()
        .find_map(|origin| {
            let (head, path) = url.split_at_checked(origin.len())?;
            head.eq_ignore_ascii_case(origin).then_some(path)
        })
        .unwrap_or(url);
    assert!([format!("/upload/files/{id}"), format!("/files/{id}")].contains(&path.to_owned()), "{url}");
}

/// Verifies the signatures of a resource, and takes the same bytes for the JWS of a signature that is right but for it.
/// Nobody is trusted, so that nothing can be valid.
pub fn signature(input: &[u8]) {
    let around = serde_json::json!({
        "resourceType": "Bundle",
        "signature": {
            "type": [{ "system": "urn:iso-astm:E1762-95:2013", "code": "1.2.840.10065.1.12.1.5" }],
            "when": "2026-01-01T00:00:00Z",
            "who": { "identifier": { "system": "http://hl7.org/fhir/sid/us-npi", "value": "1234567893" } },
            "targetFormat":
                "application/fhir+json;canonicalization=http://hl7.org/fhir/canonicalization/json#document",
            "sigFormat": "application/jose",
            "data": base64_simd::STANDARD.encode_to_string(input),
        },
    });
    let now = Timestamp::from_nanos(1_767_225_600_000_000_000);
    for resource in serde_json::from_slice(input).ok().into_iter().chain([around]) {
        for (_, verdict) in verify(&resource, "R", &TrustAnchors::default(), now) {
            assert_ne!(verdict.judgement, Judgement::Valid, "nobody is trusted");
            assert!(!verdict.lines.is_empty(), "a judgement has its reason");
        }
    }
}

/// Reads a body as the operation does: scan, parse, structure, payloads, submission.
pub fn submission(body: &[u8]) {
    let limits = ScanLimits { inline_data_bytes: 48, ..ScanLimits::default() };
    let mut spool = Kept::default();
    let reading = async {
        let mut scanner = Scanner::new(limits, Shape::Submission);
        scanner.feed(Bytes::copy_from_slice(body), &mut spool).await.ok()?;
        let scanned = scanner.finish(&mut spool).await.ok()?;
        let value = fhir::parse(&scanned.skeleton).expect("a scanned body is JSON");
        let mut issues = fhir::check_structure(&value, "Parameters", fhir::StructureMode::Shape);
        for payload in &scanned.payloads {
            issues.extend(payload_issues(limits, payload, &value, &mut spool).await);
        }
        match parse(&value, &PROFILES) {
            Ok((_, remarks)) => {
                assert!(!remarks.iter().any(Issue::is_error), "accepted without an error");
                issues.extend(remarks);
            }
            Err(found) => {
                assert!(found.iter().any(Issue::is_error), "refused for a reason");
                issues.extend(found);
            }
        }
        Some(issues)
    };
    for issue in reading.now_or_never().expect("nothing waits").into_iter().flatten() {
        let expression = issue.expression.unwrap_or_default();
        assert!(expression.is_ascii() && !expression.contains(|c: char| c.is_control()), "{expression:?}");
    }
}

async fn payload_issues(
    limits: ScanLimits,
    scanned: &ScannedPayload,
    body: &Value,
    spool: &mut Kept,
) -> Vec<Issue> {
    let known = scanned.resource_type.as_deref().and_then(KnownType::of_content);
    let (value, taken) = match (&scanned.raw, known) {
        (Some(raw), Some(known)) => match fhir::convert(limits, raw, known, "R", spool).await {
            Ok((skeleton, taken)) => (fhir::parse(&skeleton).expect("a scanned text is JSON"), taken),
            Err(error) => return vec![error.issue()],
        },
        _ => {
            let at = format!("/parameter/{}/part/{}/resource", scanned.parameter, scanned.part);
            (body.pointer(&at).expect("the scanner found it there").clone(), scanned.taken.clone())
        }
    };
    let taken = taken.into_iter().map(|taken| TakenData { content: taken.content, spooled: taken.spooled });
    match payloads(&value, "R", taken.collect(), &OWN) {
        Ok((_, remarks)) => remarks,
        Err(found) => found,
    }
}
