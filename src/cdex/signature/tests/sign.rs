//! What we sign ourselves.

use rcgen::date_time_ymd;
use serde_json::{Value, json};

use super::super::testing::{Authority, Kind, NPI, bundle, now};
use super::super::{
    CertificateFault, Judgement, QUESTIONNAIRE_RESPONSE_SIGNATURE, SignError, Signer, SignerError,
    has_signature, sign_document,
};
use super::{broken, verdict};

#[test]
fn what_we_sign_holds_for_those_who_trust_our_authority() {
    let authority = Authority::new();
    let below = authority.below();
    for kind in [Kind::Rsa, Kind::P256, Kind::P384] {
        let signer = below.identity(kind, |_| {}).with(&below).signer();
        let mut signed = bundle();
        signer.sign(&mut signed, now()).expect("it can be signed");
        let found = verdict(&signed, &authority.trust());
        assert_eq!((found.judgement, broken(&found)), (Judgement::Valid, vec![]), "{kind:?}");
        signer.sign(&mut signed, now()).expect("it can be signed again");
        assert_eq!(verdict(&signed, &authority.trust()).judgement, Judgement::Valid);
    }
}

#[test]
fn a_response_gets_its_signature_as_an_extension() {
    let authority = Authority::new();
    let signer = authority.identity(Kind::P256, |_| {}).signer();
    let mut response = json!({ "resourceType": "QuestionnaireResponse", "extension": [{ "url": "x" }] });
    signer.sign(&mut response, now()).expect("it can be signed");
    assert_eq!(verdict(&response, &authority.trust()).judgement, Judgement::Valid);
    assert_eq!(response["extension"][1]["url"], QUESTIONNAIRE_RESPONSE_SIGNATURE);
    signer.sign(&mut response, now()).expect("it can be signed again");
    assert_eq!(response["extension"].as_array().map(Vec::len), Some(2), "the old signature is gone");
}

#[test]
fn a_text_is_signed_as_it_is() {
    let authority = Authority::new();
    let signer = authority.identity(Kind::P256, |_| {}).signer();
    let text = "{\"resourceType\":\"Bundle\",\"type\":\"searchset\", \"total\" : 1.0,\"entry\":[]}\n";
    let signed = signer.sign_text(text.as_bytes(), now()).expect("it can be signed");
    let signed_text = String::from_utf8(signed).expect("it is text");
    assert!(signed_text.starts_with(
        "{\"resourceType\":\"Bundle\",\"type\":\"searchset\", \"total\" : 1.0,\"entry\":[],\"signature\":{"
    ));
    let read: Value = serde_json::from_str(&signed_text).expect("it is JSON");
    assert_eq!(verdict(&read, &authority.trust()).judgement, Judgement::Valid);
    for unsignable in [
        signed_text.as_str(),
        "{}",
        "",
        r#"{"resourceType":"Patient"}"#,
        r#"{"resourceType":"Bundle","total":1e400}"#,
    ] {
        assert_eq!(
            signer.sign_text(unsignable.as_bytes(), now()),
            Err(SignError::Unsignable),
            "{unsignable}"
        );
    }
}

#[test]
fn what_would_not_hold_is_not_given_out() {
    let authority = Authority::new();
    let expired =
        authority.identity(Kind::P256, |params| params.not_after = date_time_ymd(2025, 12, 31)).signer();
    let fault = Judgement::BadCertificate(CertificateFault::Expired);
    assert_eq!(expired.sign(&mut bundle(), now()), Err(SignError::NotValid(fault)));
    assert_eq!(expired.check_now(now()), Err(SignError::NotValid(fault)));
    assert_eq!(authority.identity(Kind::P256, |_| {}).signer().check_now(now()), Ok(()));
}

#[test]
fn a_signer_needs_a_key_its_certificate_and_a_name_in_it() {
    let authority = Authority::new();
    let (one, other) = (authority.identity(Kind::P256, |_| {}), authority.identity(Kind::P256, |_| {}));
    let rsa = authority.identity(Kind::Rsa, |_| {});
    let who = format!("http://hl7.org/fhir/sid/us-npi|{NPI}");
    let made = |key: &str, certificate: &str, who: &str| {
        Signer::from_pem(key.as_bytes(), certificate.as_bytes(), who, None).map(drop)
    };
    let key = one.key.serialize_pem();
    assert_eq!(made(&key, &one.pem(), &who), Ok(()));
    assert_eq!(made(&key, &other.pem(), &who), Err(SignerError::OtherKey));
    assert_eq!(made(&key, &rsa.pem(), &who), Err(SignerError::Key));
    assert_eq!(made("", &one.pem(), &who), Err(SignerError::Key));
    assert_eq!(made(&key, "", &who), Err(SignerError::Certificate));
    assert_eq!(made(&key, &one.pem().repeat(7), &who), Err(SignerError::Certificate));
    assert_eq!(made(&key, &one.pem(), "http://hl7.org/fhir/sid/us-npi|1"), Err(SignerError::Identity));
    let shown = format!("{:?}", one.signer());
    assert!(!shown.contains("PRIVATE") && shown.contains("ES256"), "{shown}");
}

#[test]
fn resources_become_a_signed_document_that_begins_with_a_composition() {
    let authority = Authority::new();
    let signer = authority.identity(Kind::P256, |_| {}).signer();
    let condition = json!({ "resourceType": "Condition", "id": "c", "meta": { "versionId": "3" } });
    let contents = [condition.clone(), json!({ "resourceType": "Observation" }), condition.clone()];
    let subject = json!({ "reference": "Patient/1" });
    let signed = sign_document(&contents, &subject, "https://gateway.example/fhir/", now(), &signer)
        .expect("it is signed");
    assert_eq!(verdict(&signed, &authority.trust()).judgement, Judgement::Valid);
    let urls: Vec<&Value> = (0..3).map(|index| &signed["entry"][index]["fullUrl"]).collect();
    assert_eq!(urls[1], "https://gateway.example/fhir/Condition/c");
    assert_eq!(signed["entry"].as_array().map(Vec::len), Some(3), "each resource is there once");
    assert_eq!(signed["entry"][1]["resource"], condition, "as it was given");
    let composition = &signed["entry"][0]["resource"];
    assert_eq!(
        composition["section"][0]["entry"],
        json!([{ "reference": urls[1] }, { "reference": urls[2] }])
    );
    assert_eq!(composition["subject"], subject);
    assert_eq!(composition["author"][0]["identifier"]["value"], NPI);
    let issues = crate::fhir::check_structure(&signed, "Bundle", crate::fhir::StructureMode::Shape);
    assert!(!issues.iter().any(crate::fhir::Issue::is_error), "{issues:?}");
    let nothing =
        sign_document(&[], &subject, "https://gateway.example/fhir", now(), &signer).expect("it is signed");
    assert!(has_signature(&nothing));
}
