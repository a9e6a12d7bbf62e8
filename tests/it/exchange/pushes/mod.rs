//! The push of 2019 and the pushes by configuration (cdex §9): what comes as a resource is delivered byte for byte,
//! once, and can be found from the resource.

use serde_json::{Value, json};

use self::partner::Partner;

use crate::support::content::{base64, from_base64};
use crate::support::environment::shared;
use crate::support::gateway::{Gateway, for_each_database};
use crate::support::http::{Answer, Request};
use crate::support::random::Random;
use crate::support::{rows, tus, wait};

mod partner;
mod tasks;

const FHIR: &str = "application/fhir+json";
const NOTE_TYPE: &str =
    "http://hl7.org/fhir/us/davinci-cdex/StructureDefinition/cdex-payload-clinical-note-type";

/// Sends a resource; by PUT, under the id of its URL.
fn send(gateway: &Gateway, method: &str, path: &str, resource: &Value) -> Answer {
    let mut resource = resource.clone();
    if let Some((_, id)) = path.split_once('/').filter(|_| method == "PUT") {
        resource["id"] = id.into();
    }
    let request = Request::new(method, &format!("/fhir/{path}")).header("Content-Type", FHIR);
    gateway.ask(&request.body(resource.to_string()))
}

fn read(gateway: &Gateway, path: &str) -> Value {
    gateway.get(&format!("/fhir/{path}")).expect(200).json()
}

/// One published example of 2019.
fn example(name: &str) -> Option<Value> {
    let path = shared(&format!("cdex/examples/stu1/stu1-cdex-example-{name}.json"))?;
    Some(serde_json::from_slice(&std::fs::read(path).expect("it reads")).expect("it is JSON"))
}

/// A Communication with these payloads.
fn communication(identifier: &str, payload: Vec<Value>) -> Value {
    let payload = Value::Array(payload);
    json!({
        "resourceType": "Communication",
        "identifier": [{"system": "http://provider.example/messages", "value": identifier}],
        "status": "completed",
        "category": [{"coding": [{"system": "http://acme.org/messagetypes", "code": "UnsolicitedAttachment"}]}],
        "subject": {"reference": "Patient/p"},
        "about": [{"reference": "Claim/c"}],
        "sent": "2026-03-14T12:00:00Z",
        "recipient": [{"reference": "Organization/payer"}],
        "sender": {"identifier": {"system": "http://hl7.org/fhir/sid/us-npi", "value": "1407071236"}},
        "payload": payload,
    })
}

fn attached(content_type: &str, bytes: &[u8]) -> Value {
    json!({
        "extension": [{"url": NOTE_TYPE, "valueCodeableConcept": {
            "coding": [{"system": "http://loinc.org", "code": "18842-5"}]}}],
        "contentAttachment": {"contentType": content_type, "data": base64(bytes), "title": "Jane Roe's chart"},
    })
}

/// The uploads that a resource became, by its Provenance.
#[track_caller]
fn uploads_of(gateway: &Gateway, reference: &str) -> Vec<String> {
    wait::until("a Provenance of what was pushed", || {
        let found = read(gateway, &format!("Provenance?target={reference}"));
        let entities = found["entry"][0]["resource"]["entity"].as_array()?.clone();
        let urn = |entity: &Value| {
            let value = entity["what"]["identifier"]["value"].as_str()?;
            value.strip_prefix("urn:uuid:").map(str::to_owned)
        };
        Some(entities.iter().filter_map(urn).collect())
    })
}

#[test]
fn every_published_push_is_delivered_byte_for_byte_by_post_and_by_put() {
    let names = [
        "unsolicited-attachment",
        "unsolicited-resource",
        "solicited-attachment",
        "resource-request-response",
    ];
    for name in names {
        let Some(example) = example(name) else { return };
        let bytes =
            from_base64(example["payload"][0]["contentAttachment"]["data"].as_str().expect("inline data"));
        for_each_database(&[], |gateway| {
            let id = example["id"].as_str().expect("an id");
            let created = send(&gateway, "PUT", &format!("Communication/{id}"), &example).expect(201);
            assert!(created.header("Location").is_some_and(|location| location.contains(id)));
            let uploads = uploads_of(&gateway, &format!("Communication/{id}"));
            let [upload] = &uploads[..] else { panic!("{name}: {uploads:?}") };
            let info = gateway.wait_delivered(upload, 1);
            assert!(gateway.delivered_bytes(upload) == bytes, "{name}");
            let manifest = &info["manifest"];
            assert_eq!(manifest["data_stream_id"], "cdex");
            assert_eq!(manifest["data_producer_id"], "cdex-example-provider");
            assert_eq!(manifest["cdex_communication_id"], id);
            let (code, query) = match name {
                "resource-request-response" => (Value::Null, json!("Condition")),
                _ => (json!("18842-5"), Value::Null),
            };
            assert_eq!((&manifest["cdex_attachment_code"], &manifest["cdex_query_type"]), (&code, &query));
            // The same message under an id of ours forwards nothing new.
            send(&gateway, "POST", "Communication", &example).expect(201);
            send(&gateway, "PUT", &format!("Communication/{id}"), &example).expect(200);
            wait::until("the errands to be done", || (rows::count(&gateway, "agenda") == 0).then_some(()));
            assert_eq!(rows::count(&gateway, "upload"), 1, "{name}");
        });
    }
}

#[test]
fn a_manifest_tells_of_the_push_and_of_no_person() {
    let gateway = Gateway::start();
    let created =
        send(&gateway, "POST", "Communication", &communication("m1", vec![attached("text/plain", b"note")]));
    let id = created.expect(201).json()["id"].as_str().expect("an id").to_owned();
    let upload = uploads_of(&gateway, &format!("Communication/{id}")).remove(0);
    let info = gateway.wait_delivered(&upload, 1);
    let manifest = info["manifest"].as_object().expect("a manifest");
    for (key, value) in [
        ("sender_id", "1407071236"),
        ("data_producer_id", "1407071236"),
        ("meta_ext_objectkey", "m1"),
        ("meta_ext_file_timestamp", "2026-03-14T12:00:00Z"),
        ("cdex_attach_to", "claim"),
        ("cdex_attachment_code", "18842-5"),
        ("cdex_communication_id", &id),
        ("received_filename", &format!("communication-{upload}.txt")),
    ] {
        assert_eq!(manifest[key], value, "{key}");
    }
    assert!(!info.to_string().contains("Jane"), "{info}");
    let provenance = read(&gateway, &format!("Provenance?target=Communication/{id}"));
    let provenance = &provenance["entry"][0]["resource"];
    let judged = send(&gateway, "POST", "Provenance/$validate", provenance).expect(200).json();
    let errors =
        judged["issue"].as_array().expect("issues").iter().filter(|issue| issue["severity"] == "error");
    assert_eq!(errors.count(), 0, "HRex Provenance: {judged}");
    assert_eq!(gateway.get(&format!("/upload/info/{upload}?view=reports")).status, 200);
}

#[test]
fn a_payload_may_be_anywhere_that_can_be_reached_and_the_rest_is_told() {
    let partner = Partner::start();
    let gateway = Gateway::with(&[
        ("CDEX_PARTNER__ACME__FHIR_BASE", &format!("{}/fhir", partner.url)),
        ("CDEX_PARTNER__ACME__PRIVATE_ADDRESSES", "true"),
    ]);
    let long = Random::new(7).bytes(3 << 20);
    let referenced = json!({
        "resourceType": "DocumentReference", "status": "current",
        "content": [
            {"attachment": {"contentType": "application/pdf", "data": base64(&long)}},
            {"attachment": {"contentType": "text/plain", "data": base64(b"second")}},
        ],
    });
    let document = send(&gateway, "POST", "DocumentReference", &referenced).expect(201).json()["id"].clone();
    let document = document.as_str().expect("an id");
    let binary = json!({"resourceType": "Binary", "contentType": "text/plain", "data": base64(b"a binary")});
    let binary = send(&gateway, "POST", "Binary", &binary).expect(201).json()["id"].clone();
    let uploaded = tus::upload(&gateway, tus::MANIFEST, b"sent before");
    let reference = |text: &str| json!({"contentReference": {"reference": text}});
    let by_url = |url: &str| json!({"contentAttachment": {"contentType": "text/plain", "url": url}});
    let mut push = communication(
        "anywhere",
        vec![
            attached("text/plain", b"inline"),
            json!({"contentString": "for those who read"}),
            reference("#inside"),
            reference(&format!("DocumentReference/{document}")),
            by_url(&format!("Binary/{}", binary.as_str().expect("an id"))),
            by_url(&format!("/upload/files/{}", uploaded.id)),
            by_url(&format!("{}/file", partner.url)),
            reference(&format!("{}/fhir/Binary/remote", partner.url)),
            by_url("http://nobody.example/file"),
        ],
    );
    push["contained"] = json!([{
        "resourceType": "DocumentReference", "id": "inside", "status": "current",
        "content": [{"attachment": {"contentType": "text/plain", "data": base64(b"contained")}}],
    }]);
    let id = send(&gateway, "POST", "Communication", &push).expect(201).json()["id"].clone();
    let uploads = uploads_of(&gateway, &format!("Communication/{}", id.as_str().expect("an id")));
    let expected: [Option<&[u8]>; 9] = [
        Some(b"inline"),
        Some(b"contained"),
        Some(&long),
        Some(b"second"),
        Some(b"a binary"),
        Some(b"sent before"),
        Some(b"at a partner's"),
        Some(b"remote"),
        None,
    ];
    assert_eq!(uploads.len(), expected.len());
    for (upload, expected) in uploads.iter().zip(expected) {
        if let Some(bytes) = expected {
            gateway.wait_delivered(upload, 1);
            assert!(gateway.delivered_bytes(upload) == bytes);
        } else {
            let reports = gateway.get(&format!("/upload/info/{upload}?view=reports")).expect(200).json();
            assert_eq!(reports["reports"][1]["stage_info"]["status"], "FAILURE");
            let text = reports.to_string();
            assert!(text.contains("the url names no server of a partner"), "{text}");
            assert_eq!(gateway.get(&format!("/upload/info/{upload}")).status, 404);
        }
    }
    assert_eq!(uploads[5], uploaded.id, "it is named, and not delivered twice");
    let deliveries = gateway.info(&uploaded.id)["deliveries"].as_array().map(Vec::len);
    assert_eq!(deliveries, Some(1));
    let shared = rows::count(&gateway, "upload WHERE storage_key NOT LIKE '%' || id");
    assert_eq!(shared, 1, "the long attachment lies in the store once");
}

#[test]
fn what_a_partner_cannot_give_now_is_waited_for_also_across_a_kill_and_nothing_half_done_is_seen() {
    let partner = Partner::start();
    partner.set_down(true);
    let mut gateway = Gateway::with(&[
        ("CDEX_PARTNER__ACME__FHIR_BASE", &format!("{}/fhir", partner.url)),
        ("CDEX_PARTNER__ACME__PRIVATE_ADDRESSES", "true"),
    ]);
    let by_url =
        json!({"contentAttachment": {"contentType": "text/plain", "url": format!("{}/file", partner.url)}});
    let push = communication("later", vec![attached("text/plain", b"inline"), by_url]);
    send(&gateway, "PUT", "Communication/later", &push).expect(201);
    wait::until("the first attempt to fail", || {
        (rows::count(&gateway, "agenda WHERE attempts > 0") == 1).then_some(())
    });
    assert_eq!(rows::count(&gateway, "upload") + rows::count(&gateway, "forwarded"), 0);
    assert!(gateway.stored().is_empty(), "what was fetched for an attempt that failed is gone");
    gateway.kill();
    partner.set_down(false);
    gateway.launch();
    let uploads = uploads_of(&gateway, "Communication/later");
    for (upload, bytes) in uploads.iter().zip([&b"inline"[..], b"at a partner's"]) {
        gateway.wait_delivered(upload, 1);
        assert_eq!(gateway.delivered_bytes(upload), bytes);
    }
    assert_eq!((uploads.len(), rows::count(&gateway, "upload")), (2, 2));
}

#[test]
fn a_long_inline_attachment_streams_and_is_delivered() {
    for_each_database(&[], |gateway| {
        let bytes = Random::new(3).bytes(20 << 20);
        let push = communication("long", vec![attached("application/pdf", &bytes)]);
        let kept = send(&gateway, "POST", "Communication", &push).expect(201).json();
        let url = kept["payload"][0]["contentAttachment"]["url"].as_str().expect("a url instead of data");
        assert!(gateway.get(&format!("/fhir/{url}")).expect(200).body == bytes);
        let id = kept["id"].as_str().expect("an id");
        let upload = uploads_of(&gateway, &format!("Communication/{id}")).remove(0);
        gateway.wait_delivered(&upload, 1);
        assert!(gateway.delivered_bytes(&upload) == bytes);
    });
}

#[test]
fn an_answer_completes_the_request_and_one_to_nobody_is_marked() {
    let Some(request) = example("attachment-request") else { return };
    for_each_database(&[], |gateway| {
        let asked = send(&gateway, "PUT", "CommunicationRequest/cdex-example-attachment-request", &request);
        asked.expect(201);
        let mut push = communication("answer", vec![attached("text/plain", b"here it is")]);
        push["basedOn"] = json!([{"reference": "CommunicationRequest/cdex-example-attachment-request"}]);
        send(&gateway, "PUT", "Communication/answer", &push).expect(201);
        let upload = uploads_of(&gateway, "Communication/answer").remove(0);
        gateway.wait_delivered(&upload, 1);
        let request = read(&gateway, "CommunicationRequest/cdex-example-attachment-request");
        assert_eq!((&request["status"], &request["meta"]["versionId"]), (&json!("completed"), &json!("2")));
        let provenance = read(&gateway, "Provenance?target=Communication/answer");
        assert!(provenance.to_string().contains("CommunicationRequest/cdex-example-attachment-request"));

        push["basedOn"] = json!([{"reference": "CommunicationRequest/nobody-asked"}]);
        send(&gateway, "PUT", "Communication/stray", &push).expect(201);
        uploads_of(&gateway, "Communication/stray");
        let stray = read(&gateway, "Communication/stray");
        assert_eq!(stray["meta"]["tag"][0]["code"], "unsolicited", "{stray}");
        let found = read(&gateway, "Communication?_tag=unsolicited");
        assert_eq!(found["total"], 1);
    });
}

#[test]
fn a_transaction_brings_its_parties_and_fails_as_a_whole_for_an_unknown_patient() {
    for_each_database(&[], |gateway| {
        let patient =
            json!({"resourceType": "Patient", "identifier": [{"system": "http://m", "value": "1"}]});
        let mut push = communication("transaction", vec![attached("text/plain", b"with its parties")]);
        push["sender"] = json!({"reference": "urn:uuid:11111111-2222-4333-8444-555555555555"});
        push["subject"] = json!({"reference": "Patient?identifier=http://m|1"});
        let organization = json!({
            "resourceType": "Organization", "name": "Provider",
            "identifier": [{"system": "http://hl7.org/fhir/sid/us-npi", "value": "9941339108"}],
        });
        push["payload"].as_array_mut().expect("a list").push(json!({"contentReference": {
            "reference": "urn:uuid:21111111-2222-4333-8444-555555555555"}}));
        let binary =
            json!({"resourceType": "Binary", "contentType": "text/plain", "data": base64(b"beside it")});
        let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
            {
                "fullUrl": "urn:uuid:11111111-2222-4333-8444-555555555555", "resource": organization,
                "request": {"method": "POST", "url": "Organization",
                    "ifNoneExist": "identifier=http://hl7.org/fhir/sid/us-npi|9941339108"},
            },
            {"resource": push, "request": {"method": "POST", "url": "Communication"}},
            {
                "fullUrl": "urn:uuid:21111111-2222-4333-8444-555555555555", "resource": binary,
                "request": {"method": "POST", "url": "Binary"},
            },
        ]});
        let refused = send(&gateway, "POST", "", &bundle);
        assert!((400..500).contains(&refused.status), "{}", refused.text());
        assert_eq!(rows::count(&gateway, "resource WHERE type IN ('Organization', 'Communication')"), 0);

        send(&gateway, "POST", "Patient", &patient).expect(201);
        let done = send(&gateway, "POST", "", &bundle).expect(200).json();
        let location = done["entry"][1]["response"]["location"].as_str().expect("it was created");
        let id = location.split("/_history").next().and_then(|path| path.rsplit('/').next()).expect("an id");
        let uploads = uploads_of(&gateway, &format!("Communication/{id}"));
        assert_eq!(uploads.len(), 2);
        for (upload, bytes) in uploads.iter().zip([&b"with its parties"[..], b"beside it"]) {
            let info = gateway.wait_delivered(upload, 1);
            assert_eq!(info["manifest"]["data_producer_id"], "9941339108");
            assert_eq!(gateway.delivered_bytes(upload), bytes);
        }
    });
}

#[test]
fn documents_binaries_and_bundles_go_on_only_by_a_rule() {
    let rules = r#"[
        {type="DocumentReference", code="34117-2", data_stream_id="cdex", data_stream_route="attachment"},
        {type="Binary", data_stream_id="cdex", data_stream_route="attachment"},
        {type="Bundle", data_stream_id="cdex", data_stream_route="attachment"}]"#;
    let document = |code: &str| {
        json!({
            "resourceType": "DocumentReference", "status": "current",
            "type": {"coding": [{"system": "http://loinc.org", "code": code}]},
            "content": [{"attachment": {"contentType": "text/plain", "data": base64(code.as_bytes())}}],
        })
    };
    let bundle = json!({"resourceType": "Bundle", "type": "collection"});
    let binary = |gateway: &Gateway, bytes: &[u8]| {
        let request = Request::new("POST", "/fhir/Binary").header("Content-Type", "image/png");
        gateway.ask(&request.body(bytes)).expect(201)
    };
    let plain = Gateway::start();
    send(&plain, "POST", "DocumentReference", &document("34117-2")).expect(201);
    binary(&plain, b"x");
    assert_eq!(rows::count(&plain, "agenda") + rows::count(&plain, "upload"), 0);

    let long = Random::new(5).bytes(2 << 20);
    for_each_database(&[("CDEX_FHIR__FORWARD", rules)], |gateway| {
        send(&gateway, "PUT", "DocumentReference/yes", &document("34117-2")).expect(201);
        send(&gateway, "PUT", "DocumentReference/no", &document("11504-8")).expect(201);
        let created = binary(&gateway, &long);
        let place =
            created.header("Location").expect("a place").split_once("/fhir/").expect("below the base").1;
        let place = place.split("/_history").next().expect("a path").to_owned();
        let kept = send(&gateway, "PUT", "Bundle/b", &bundle).expect(201);
        for (reference, bytes, name) in [
            ("DocumentReference/yes", &b"34117-2"[..], "document-reference-"),
            (&place, &long, "binary-"),
            ("Bundle/b", &kept.body, "bundle-"),
        ] {
            let upload = uploads_of(&gateway, reference).remove(0);
            let info = gateway.wait_delivered(&upload, 1);
            let filename = info["manifest"]["received_filename"].as_str().expect("a name");
            assert!(filename.starts_with(name), "{filename}");
            assert!(gateway.delivered_bytes(&upload) == bytes, "{reference}");
        }
        wait::until("the errands to be done", || (rows::count(&gateway, "agenda") == 0).then_some(()));
        assert_eq!(rows::count(&gateway, "upload"), 3);
        // Another version with other bytes goes on; one with the same does not.
        let mut changed = document("34117-2");
        changed["description"] = "the same bytes".into();
        send(&gateway, "PUT", "DocumentReference/yes", &changed).expect(200);
        changed["content"][0]["attachment"]["data"] = base64(b"other bytes").into();
        send(&gateway, "PUT", "DocumentReference/yes", &changed).expect(200);
        wait::until("the errands to be done", || (rows::count(&gateway, "agenda") == 0).then_some(()));
        assert_eq!(rows::count(&gateway, "upload"), 4);
    });
}

#[test]
fn what_the_tables_of_2019_refuse_is_422_and_plain_communications_stay_storable() {
    let gateway = Gateway::start();
    let mut no_sender = communication("x", vec![attached("text/plain", b"x")]);
    no_sender.as_object_mut().expect("an object").remove("sender");
    let words = communication("x", vec![json!({"contentString": "words"})]);
    for (resource, at) in [(&no_sender, "Communication.sender"), (&words, "Communication.payload")] {
        let refused = send(&gateway, "POST", "Communication", resource).expect(422);
        assert!(refused.text().contains(at), "{}", refused.text());
    }
    let plain = json!({"resourceType": "Communication", "status": "completed", "payload": [{"contentString": "hello"}]});
    send(&gateway, "POST", "Communication", &plain).expect(201);
    assert_eq!(rows::count(&gateway, "upload") + rows::count(&gateway, "agenda"), 0);
    if let Some(request) = example("resource-request") {
        send(&gateway, "POST", "CommunicationRequest", &request).expect(201);
    }
}

#[test]
fn a_push_that_was_acknowledged_arrives_once_whenever_the_gateway_is_killed() {
    let mut random = Random::new(Random::seed());
    let mut gateway = Gateway::start();
    let mut expected = Vec::new();
    for round in 0..6_u64 {
        let bytes = format!("round {round}").into_bytes();
        let push = communication(&format!("kill-{round}"), vec![attached("text/plain", &bytes)]);
        send(&gateway, "PUT", &format!("Communication/kill-{round}"), &push).expect(201);
        expected.push((format!("Communication/kill-{round}"), bytes));
        wait::pause(std::time::Duration::from_millis(random.below(25)));
        gateway.kill();
        gateway.launch();
    }
    for (reference, bytes) in expected {
        let uploads = uploads_of(&gateway, &reference);
        let [upload] = &uploads[..] else { panic!("{uploads:?}") };
        gateway.wait_delivered(upload, 1);
        assert_eq!(gateway.delivered_bytes(upload), bytes);
        let found = read(&gateway, &format!("Provenance?target={reference}"));
        assert_eq!(found["total"], 1, "it went on once");
    }
    assert_eq!(rows::count(&gateway, "upload"), 6);
}
