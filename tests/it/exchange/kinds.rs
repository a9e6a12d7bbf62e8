//! What submissions carry, kept as resources: documents in parts, by url, Binaries, forms, Bundles, and what is long.

use serde_json::{Value, json};

use super::{attachment_request, create, outputs, read, search, send, settle};
use crate::support::content::base64;
use crate::support::gateway::{Gateway, for_each_database};
use crate::support::submission::{document, inline, parameters};
use crate::support::tus;

/// The bytes of a Binary.
#[track_caller]
fn bytes(gateway: &Gateway, url: &Value) -> Vec<u8> {
    let url = url.as_str().expect("a url");
    gateway.get(&format!("/fhir/{url}")).expect(200).body
}

/// CONF-003: DocumentReference is taken, and other types are too; each is kept as what it is.
#[test]
fn conf_003_every_kind_of_content_is_kept_as_a_resource_of_its_own() {
    for_each_database(&[], |gateway| {
        let task = create(&gateway, &attachment_request("kinds"));
        let form = json!({"resourceType": "QuestionnaireResponse", "id": "theirs", "status": "completed",
            "questionnaire": "http://example.org/form", "meta": {"tag": [{"code": "theirs"}]}});
        let observation = json!({"resourceType": "Observation", "status": "final",
            "code": {"text": "x"}, "valueQuantity": {"value": 1, "unit": "cm"}});
        let bundle = json!({"resourceType": "Bundle", "type": "collection",
            "entry": [{"resource": {"resourceType": "Patient", "id": "p"}}]});
        let contents = vec![
            document(vec![inline(b"first"), inline(b"second")]),
            json!({"resourceType": "Binary", "contentType": "text/plain", "data": base64("a binary")}),
            form,
            observation,
            bundle,
        ];
        let (ids, _) = send(&gateway, &parameters("kinds", contents));
        assert_eq!(ids.len(), 6);
        settle(&gateway);
        let outputs = outputs(&read(&gateway, &task));
        let types: Vec<&str> =
            outputs.iter().map(|output| output.split_once('/').expect("Type/id").0).collect();
        assert_eq!(types, ["DocumentReference", "Binary", "QuestionnaireResponse", "Observation", "Bundle"]);

        let document = read(&gateway, &outputs[0]);
        for (index, expected) in [&b"first"[..], b"second"].into_iter().enumerate() {
            assert_eq!(bytes(&gateway, &document["content"][index]["attachment"]["url"]), expected);
        }
        assert_eq!(outputs[1], format!("Binary/{}", ids[2]));
        assert_eq!(bytes(&gateway, &json!(outputs[1])), b"a binary");
        let form = read(&gateway, &outputs[2]);
        assert_ne!(form["id"], "theirs");
        assert_eq!(form["meta"]["tag"], json!([{"code": "theirs"}]), "their tags stay");
        assert_eq!(read(&gateway, &outputs[3])["valueQuantity"]["value"], 1);
        assert_eq!(read(&gateway, &outputs[4])["entry"][0]["resource"]["id"], "p");
        for output in &outputs {
            assert_eq!(search(&gateway, &format!("Provenance?target={output}")).len(), 1, "{output}");
        }
    });
}

#[test]
fn what_a_sender_submits_never_becomes_a_task_or_a_patient_of_the_payer() {
    let gateway = Gateway::start();
    let patient = json!({"resourceType": "Patient", "name": [{"family": "Planted"}]});
    let contents = vec![patient.clone(), attachment_request("planted"), super::claim("planted")];
    send(&gateway, &parameters("planted", contents));
    settle(&gateway);
    for name in ["Patient", "Task", "Claim"] {
        assert_eq!(search(&gateway, name), Vec::<Value>::new(), "{name}");
    }
    let documents = search(&gateway, "DocumentReference?_sort=_id");
    assert_eq!(documents.len(), 3);
    assert_eq!(
        bytes(&gateway, &documents[0]["content"][0]["attachment"]["url"]),
        patient.to_string().as_bytes()
    );
}

#[test]
fn an_upload_that_two_submissions_refer_to_is_kept_once() {
    for_each_database(&[], |gateway| {
        let upload = tus::upload(&gateway, tus::MANIFEST, b"sent over tus before");
        for number in ["by url 1", "by url 2"] {
            let by_url = json!({"contentType": "text/plain", "url": format!("/upload/files/{}", upload.id)});
            send(&gateway, &parameters(number, vec![document(vec![by_url])]));
        }
        settle(&gateway);
        let documents = search(&gateway, "DocumentReference");
        assert_eq!(documents.len(), 2);
        for document in documents {
            let url = &document["content"][0]["attachment"]["url"];
            assert_eq!(*url, format!("Binary/{}", upload.id));
            assert_eq!(bytes(&gateway, url), b"sent over tus before");
        }
        assert_eq!(search(&gateway, "Binary").len(), 1);
        assert_eq!(gateway.stored().len(), 1);
    });
}

#[test]
fn a_long_attachment_shares_its_bytes_and_a_long_bundle_stays_its_upload() {
    let gateway = Gateway::start();
    let long: Vec<u8> = (0..3_000_000_u32).map(|n| b'a' + u8::try_from(n % 26).expect("a letter")).collect();
    let inner = json!({"resourceType": "Binary", "contentType": "text/plain", "data": base64(&long)});
    let bundle = json!({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": inner}]});
    let contents = vec![document(vec![inline(&long)]), bundle.clone()];
    let (ids, _) = send(&gateway, &parameters("long", contents));
    settle(&gateway);
    assert_eq!(gateway.stored().len(), 2);
    let documents = search(&gateway, "DocumentReference?_sort=_id");
    assert_eq!(documents.len(), 2);
    let found: Vec<(Vec<u8>, &Value)> = documents
        .iter()
        .map(|document| &document["content"][0]["attachment"])
        .map(|attachment| (bytes(&gateway, &attachment["url"]), &attachment["contentType"]))
        .collect();
    assert!(found[0].0 == long && found[0].1 == "text/plain", "{}", documents[0]);
    assert!(found[1].0 == bundle.to_string().as_bytes() && found[1].1 == "application/fhir+json");
    assert_eq!(documents[1]["type"]["coding"][0]["code"], "11504-8", "the code of the attachment");
    assert!(documents[1].to_string().contains(&ids[1]));
}
