//! Requirements of CDex that have no better place: what `$submit-attachment` takes, tells and documents.

use serde_json::json;

use crate::support::content::base64;
use crate::support::gateway::{Gateway, for_each_database};
use crate::support::rows;
use crate::support::submission::{accepted, document, inline, note, parameters, refused, submit};

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
