//! Signatures from outside: verified where they come in, demanded and made where that is agreed.

use rcgen::{SanType, date_time_ymd};
use serde_json::{Value, json};

use crate::exchange::{attachment_request, search, settle};
use crate::support::content::base64;
use crate::support::environment::shared;
use crate::support::gateway::{Gateway, for_each_database};
use crate::support::http::{Answer, Request};
use crate::support::signing::{NPI, Signing};
use crate::support::submission::{accepted, document, inline, parameters, refused, submit};
use crate::support::{rows, wait};

fn bundle(text: &str) -> Value {
    json!({ "resourceType": "Bundle", "type": "collection", "entry": [{ "resource": {
        "resourceType": "Observation", "status": "final", "code": { "text": text }, "valueInteger": 1,
    } }] })
}

/// Settings under which signatures by this authority are believed.
fn trusting(folder: &std::path::Path, signing: &Signing) -> String {
    format!("[\"{}\"]", signing.write(folder).display())
}

/// The texts of the issues of an answer, each with its severity.
fn told(answer: &Answer) -> Vec<(String, String)> {
    let issues = answer.json();
    let issues = issues["issue"].as_array().expect("an outcome has issues");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    issues.iter().map(|issue| (text(&issue["severity"]), text(&issue["details"]["text"]))).collect()
}

fn has(told: &[(String, String)], severity: &str, text: &str) -> bool {
    told.iter().any(|(found, words)| found == severity && words.contains(text))
}

fn sending(method: &str, path: &str, resource: &Value) -> Request {
    Request::new(method, &format!("/fhir/{path}"))
        .header("Content-Type", "application/fhir+json")
        .header("Prefer", "return=OperationOutcome")
        .body(resource.to_string())
}

#[test]
fn without_an_agreement_a_signature_is_judged_and_the_submission_accepted() {
    let signing = Signing::new();
    for_each_database(&[], |gateway| {
        let answer = submit(&gateway, parameters("signed", vec![signing.signed(bundle("x"))]).to_string());
        assert_eq!(accepted(&answer).len(), 1);
        let told = told(&answer);
        assert!(has(&told, "warning", "the certificate is not trusted"), "{told:?}");
        assert!(has(&told, "warning", "CONF-050: "), "{told:?}");
        assert!(
            has(&told, "information", "CONF-028: The signature is that of the canonical form"),
            "{told:?}"
        );
    });
}

/// CONF-025: tampered, expired and wrong-name variants are 400 and leave nothing.
#[test]
fn conf_025_a_signature_that_does_not_hold_is_400_where_signatures_count() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for policy in ["flagged", "all"] {
        let good = Signing::new();
        let anchors = trusting(folder.path(), &good);
        let gateway =
            Gateway::with(&[("CDEX_POLICY__SIGNATURES", policy), ("CDEX_POLICY__TRUST__ANCHORS", &anchors)]);
        let answer = submit(&gateway, parameters("good", vec![good.signed(bundle("x"))]).to_string());
        assert_eq!(accepted(&answer).len(), 1);
        assert!(has(&told(&answer), "information", "The signature is valid"));
        let mut tampered = good.signed(bundle("x"));
        tampered["entry"][0]["resource"]["valueInteger"] = json!(2);
        for (name, signed, text) in [
            ("tampered", tampered, "not that of this content"),
            ("untrusted", Signing::new().signed(bundle("x")), "not trusted"),
            (
                "expired",
                Signing::with(|params| params.not_after = date_time_ymd(2020, 1, 1)).signed(bundle("x")),
                "The signature cannot be verified because the certificate is expired",
            ),
        ] {
            let issues = refused(&submit(&gateway, parameters(name, vec![signed]).to_string()), 400);
            assert_eq!(issues[0]["code"], "business-rule", "{name}");
            assert_eq!(issues[0]["diagnostics"], "Resubmit with valid digital signature", "{name}");
            let words = issues[0]["details"]["text"].as_str().expect("an issue has a text");
            assert!(words.contains(text), "{name}: {words}");
        }
        assert_eq!(rows::count(&gateway, "upload"), 1, "nothing is left of what was refused");
    }
    let other = vec![SanType::OtherName((vec![2, 16, 840, 1, 113_883, 4, 6], "1111111111".into()))];
    let misnamed = Signing::with(|params| params.subject_alt_names = other);
    let anchors = trusting(folder.path(), &misnamed);
    let gateway =
        Gateway::with(&[("CDEX_POLICY__SIGNATURES", "all"), ("CDEX_POLICY__TRUST__ANCHORS", &anchors)]);
    let issues =
        refused(&submit(&gateway, parameters("name", vec![misnamed.signed(bundle("x"))]).to_string()), 400);
    assert!(
        issues
            .iter()
            .any(|issue| issue["details"]["text"].as_str().is_some_and(|text| text.contains("CONF-053")))
    );
}

#[test]
fn where_everything_must_be_signed_what_is_not_is_400_and_documents_pass() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let anchors = trusting(folder.path(), &Signing::new());
    let gateway =
        Gateway::with(&[("CDEX_POLICY__SIGNATURES", "all"), ("CDEX_POLICY__TRUST__ANCHORS", &anchors)]);
    let image = json!({ "sigFormat": "image/png", "data": base64(b"x"), "when": "2026-01-01T00:00:00Z",
        "who": { "display": "x" }, "type": [{ "code": "1.2.840.10065.1.12.1.5" }] });
    let mut electronic = bundle("x");
    electronic["signature"] = image;
    for (name, content) in [
        ("bundle", bundle("x")),
        ("electronic", electronic),
        ("response", json!({ "resourceType": "QuestionnaireResponse", "status": "completed" })),
        ("observation", json!({ "resourceType": "Observation", "status": "final", "code": { "text": "x" } })),
    ] {
        let issues = refused(&submit(&gateway, parameters(name, vec![content]).to_string()), 400);
        let missing = "This health care attachments transactions requires a digital signature";
        assert!(issues.iter().any(|issue| issue["details"]["text"] == missing), "{name}: {issues:?}");
    }
    let binary = json!({ "resourceType": "Binary", "contentType": "text/plain", "data": base64("x") });
    for content in [document(vec![inline(b"x")]), binary] {
        accepted(&submit(
            &gateway,
            parameters(&content["resourceType"].to_string(), vec![content]).to_string(),
        ));
    }
}

#[test]
fn what_was_found_is_kept_with_where_the_resource_comes_from() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let signing = Signing::new();
    let anchors = trusting(folder.path(), &signing);
    for_each_database(&[("CDEX_POLICY__TRUST__ANCHORS", &anchors)], |gateway| {
        let contents = vec![document(vec![inline(b"x")]), signing.signed(bundle("x"))];
        accepted(&submit(&gateway, parameters("kept", contents).to_string()));
        let kept = wait::until("the attachments to be kept", || {
            let page = gateway.get("/fhir/Provenance").expect(200).json();
            (page["total"].as_u64()? == 2).then_some(page)
        });
        let texts: Vec<String> = kept["entry"]
            .as_array()
            .expect("entries")
            .iter()
            .map(|entry| entry["resource"].to_string())
            .collect();
        let told = |text: &&String| text.contains("The signature is valid") && text.contains("CONF-028");
        assert_eq!(texts.iter().filter(told).count(), 1, "{texts:?}");
    });
}

#[test]
fn what_a_task_with_a_signature_flag_asks_for_must_be_signed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let signing = Signing::new();
    let anchors = trusting(folder.path(), &signing);
    let settings = [("CDEX_POLICY__SIGNATURES", "flagged"), ("CDEX_POLICY__TRUST__ANCHORS", &anchors)];
    for_each_database(&settings, |gateway| {
        for (number, flag) in [("flagged", true), ("not flagged", false)] {
            let code = json!({ "coding": [{
                "system": "http://hl7.org/fhir/us/davinci-cdex/CodeSystem/cdex-temp", "code": "signature-flag",
            }] });
            let mut task = attachment_request(number);
            let inputs = task["input"].as_array_mut().expect("a Task has inputs");
            inputs.push(json!({ "type": code, "valueBoolean": flag }));
            gateway.ask(&sending("POST", "Task", &task)).expect(201);
        }
        let missing = submit(&gateway, parameters("flagged", vec![bundle("x")]).to_string());
        let issues = refused(&missing, 400);
        assert_eq!(
            issues[0]["details"]["text"],
            "This health care attachments transactions requires a digital signature"
        );
        for (number, content) in [
            ("flagged", signing.signed(bundle("x"))),
            ("flagged", document(vec![inline(b"signed inside")])),
            ("not flagged", bundle("x")),
            ("of no Task", bundle("x")),
        ] {
            accepted(&submit(&gateway, parameters(number, vec![content]).to_string()));
        }
        settle(&gateway);
        let checked: Vec<String> = search(&gateway, "Provenance?_count=50")
            .iter()
            .filter(|provenance| provenance.get("extension").is_some())
            .map(ToString::to_string)
            .collect();
        let [checked] = &checked[..] else { panic!("one of them was signed: {checked:?}") };
        assert!(checked.contains("CONF-055") && checked.contains("urn:cdex-gateway:signature-check"));
    });
}

#[test]
fn the_published_signed_response_is_accepted_by_those_who_pinned_its_certificate() {
    let Some(folder) = shared("cdex/examples") else { return };
    let text =
        std::fs::read(folder.join("cdex-questionnaireresponse-example4.json")).expect("it is readable");
    let signed: Value = serde_json::from_slice(&text).expect("it is JSON");
    let pinned = r#"["f4eedd7ddc3578d672cf0c45f7f8d3039a8ceff35e88134c42e82faab4005091"]"#;
    let gateway =
        Gateway::with(&[("CDEX_POLICY__SIGNATURES", "all"), ("CDEX_POLICY__TRUST__PINNED", pinned)]);
    accepted(&submit(&gateway, parameters("published", vec![signed.clone()]).to_string()));
    let mut changed = signed;
    changed["status"] = json!("amended");
    refused(&submit(&gateway, parameters("changed", vec![changed]).to_string()), 400);
}

#[test]
fn a_signed_bundle_too_long_to_be_verified_is_413() {
    let gateway = Gateway::start();
    let mut large = Signing::new().signed(bundle("x"));
    // Only long values of data are taken out of memory.
    let binary =
        json!({ "resourceType": "Binary", "contentType": "text/plain", "data": base64(vec![7; 14 << 20]) });
    large["entry"].as_array_mut().expect("entries").push(json!({ "resource": binary }));
    refused(&submit(&gateway, parameters("large", vec![large]).to_string()), 413);
}

#[test]
fn a_signed_bundle_whose_text_was_spooled_is_verified_on_that_text() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let signing = Signing::new();
    let anchors = trusting(folder.path(), &signing);
    let gateway =
        Gateway::with(&[("CDEX_POLICY__SIGNATURES", "all"), ("CDEX_POLICY__TRUST__ANCHORS", &anchors)]);
    let mut long = bundle("x");
    let binary =
        json!({ "resourceType": "Binary", "contentType": "text/plain", "data": base64(vec![7; 1 << 20]) });
    long["entry"].as_array_mut().expect("entries").push(json!({ "resource": binary }));
    let signed = signing.signed(long);
    accepted(&submit(&gateway, parameters("long", vec![signed.clone()]).to_string()));
    let changed = signed.to_string().replace("BwcHBwcHBwcH", "BwcHBwcHBwcI");
    let mut body = parameters("changed", vec![json!("CONTENT")]).to_string();
    body = body.replace("\"CONTENT\"", &changed);
    refused(&submit(&gateway, body), 400);
}

#[test]
fn a_signed_bundle_that_is_stored_is_judged_and_kept_as_it_is() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let signing = Signing::new();
    let anchors = trusting(folder.path(), &signing);
    let gateway = Gateway::with(&[("CDEX_POLICY__TRUST__ANCHORS", &anchors)]);
    let signed = signing.signed(bundle("x"));
    let answer = gateway.ask(&sending("POST", "Bundle", &signed)).expect(201);
    assert!(has(&told(&answer), "information", "The signature is valid"), "{:?}", told(&answer));
    let mut tampered = signed.clone();
    tampered["type"] = json!("document");
    tampered["entry"][0]["fullUrl"] = json!("urn:uuid:c757873d-ec9a-4326-a141-556f43239520");
    tampered["type"] = json!("collection");
    let answer = gateway.ask(&sending("POST", "Bundle", &tampered)).expect(201);
    assert!(has(&told(&answer), "warning", "not that of this content"), "{:?}", told(&answer));
    let transaction = json!({ "resourceType": "Bundle", "type": "transaction", "entry": [
        { "resource": tampered, "request": { "method": "POST", "url": "Bundle" } } ] });
    let answer = gateway.ask(&sending("POST", "", &transaction)).expect(200);
    assert!(answer.text().contains("not that of this content"), "{}", answer.text());
}

/// CONF-010: a read that would have to be signed.
#[test]
fn conf_010_under_a_signature_agreement_searches_are_signed_and_reads_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let signing = Signing::new();
    let anchors = trusting(folder.path(), &signing);
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let who = format!("http://hl7.org/fhir/sid/us-npi|{NPI}");
    let gateway = Gateway::with(&[
        ("CDEX_POLICY__SIGN", "true"),
        ("CDEX_FHIR__SIGNING__KEY_FILE", &path("key.pem")),
        ("CDEX_FHIR__SIGNING__CERTIFICATE_FILE", &path("chain.pem")),
        ("CDEX_FHIR__SIGNING__WHO", &who),
    ]);
    let create = |resource: &Value| {
        let name = resource["resourceType"].as_str().expect("a type");
        let answer = gateway.ask(&sending("POST", name, resource)).expect(201);
        let location = answer.header("Location").expect("a created resource has a place").to_owned();
        let (_, place) = location.split_once("/fhir/").expect("it is below the base");
        place.split("/_history").next().expect("a place").to_owned()
    };
    let observation = json!({ "resourceType": "Observation", "status": "final", "code": { "text": "x" },
        "valueQuantity": { "value": 1.5 } });
    let places: Vec<String> = (0..3).map(|_| create(&observation)).collect();
    for path in [places[0].clone(), format!("{}/_history/1", places[0]), "Observation/unknown".to_owned()] {
        let issues = refused(&gateway.get(&format!("/fhir/{path}")), 400);
        assert_eq!(issues[0]["code"], "business-rule");
        assert_eq!(issues[0]["details"]["text"], "signed FHIR RESTful read response is not supported.");
    }
    let unsigned = create(&bundle("x"));
    refused(&gateway.get(&format!("/fhir/{unsigned}")), 400);
    let signed = create(&signing.signed(bundle("x")));
    gateway.get(&format!("/fhir/{signed}")).expect(200);
    let task = create(&json!({ "resourceType": "Task", "status": "requested", "intent": "order" }));
    gateway.get(&format!("/fhir/{task}")).expect(200);
    gateway.get("/fhir/metadata").expect(200);

    let verifier =
        Gateway::with(&[("CDEX_POLICY__SIGNATURES", "all"), ("CDEX_POLICY__TRUST__ANCHORS", &anchors)]);
    let mut pages = 0;
    let mut next = Some("/fhir/Observation?_count=2".to_owned());
    while let Some(path) = next {
        let page = gateway.get(&path).expect(200);
        let text = page.text();
        accepted(&submit(
            &verifier,
            parameters(&path, vec![json!("PAGE")]).to_string().replace("\"PAGE\"", &text),
        ));
        let links = page.json()["link"].as_array().cloned().unwrap_or_default();
        let link = links.iter().find(|link| link["relation"] == "next");
        next = link
            .and_then(|link| link["url"].as_str())
            .map(|url| url[url.find("/fhir/").expect("a link leads to the base")..].to_owned());
        pages += 1;
    }
    assert_eq!(pages, 2);
    assert!(gateway.get("/fhir/Task").expect(200).json().get("signature").is_none());
    assert!(gateway.get("/fhir/Observation/_history").expect(200).json().get("signature").is_some());
}

/// CONF-010: an answer that would be signed alone is not told unsigned as a part of another.
#[test]
fn conf_010_what_would_be_signed_alone_is_refused_as_an_entry_of_a_bundle() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    Signing::new().write(folder.path());
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let who = format!("http://hl7.org/fhir/sid/us-npi|{NPI}");
    let settings = |sign: &'static str| {
        [
            ("CDEX_POLICY__SIGN", sign.to_owned()),
            ("CDEX_FHIR__SIGNING__KEY_FILE", path("key.pem")),
            ("CDEX_FHIR__SIGNING__CERTIFICATE_FILE", path("chain.pem")),
            ("CDEX_FHIR__SIGNING__WHO", who.clone()),
        ]
    };
    let observation =
        json!({ "resourceType": "Observation", "id": "o", "status": "final", "code": { "text": "x" } });
    let task = json!({ "resourceType": "Task", "id": "t", "status": "requested", "intent": "order",
        "focus": { "reference": "Observation/o" } });
    let mut unsigned = bundle("x");
    unsigned["id"] = json!("b");
    for is_agreed in [true, false] {
        let settings = settings(if is_agreed { "true" } else { "false" });
        let settings: Vec<(&str, &str)> =
            settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let gateway = Gateway::with(&settings);
        let all = |kind: &str, requests: &[(&str, &str)]| {
            let entry = |(method, url): &(&str, &str)| json!({ "request": { "method": method, "url": url } });
            let entries: Vec<Value> = requests.iter().map(entry).collect();
            gateway.ask(&sending(
                "POST",
                "",
                &json!({ "resourceType": "Bundle", "type": kind, "entry": entries }),
            ))
        };
        for resource in [&observation, &task, &unsigned] {
            let place = format!(
                "{}/{}",
                resource["resourceType"].as_str().expect("a type"),
                resource["id"].as_str().expect("an id")
            );
            gateway.ask(&sending("PUT", &place, resource)).expect(201);
        }
        for (request, is_data) in [
            (("GET", "Observation/o"), true),
            (("GET", "Observation/o/_history/1"), true),
            (("GET", "Observation?status=final"), true),
            (("POST", "Observation/_search"), true),
            (("GET", "Observation/o/_history"), true),
            (("GET", "Bundle/b"), true),
            (("GET", "Task?_include=Task:focus"), true),
            (("GET", "Task?status=requested"), false),
            (("GET", "Task/t"), false),
        ] {
            let is_refused = is_data && is_agreed;
            let answer = all("batch", &[request, ("GET", "Task/t")]).expect(200).json();
            let status = |index: usize| {
                answer["entry"][index]["response"]["status"].as_str().expect("a status")[..3].to_owned()
            };
            assert_eq!(status(0), if is_refused { "400" } else { "200" }, "{request:?} {answer}");
            assert_eq!(status(1), "200", "the others are answered");
            if is_refused {
                let issue = &answer["entry"][0]["response"]["outcome"]["issue"][0];
                assert_eq!(issue["code"], "business-rule", "{request:?} {answer}");
                assert_eq!(issue["details"]["text"], "signed FHIR RESTful read response is not supported.");
                assert!(!answer.to_string().contains("\"final\""), "{answer}");
            }
            let answer = all("transaction", &[request]);
            if is_refused {
                assert_eq!(refused(&answer, 400)[0]["code"], "business-rule", "{request:?}");
            } else {
                answer.expect(200);
            }
        }
        let direct = gateway.get("/fhir/Task?_include=Task:focus").expect(200).json();
        assert_eq!(direct.get("signature").is_some(), is_agreed, "what comes along with a Task is attested");
    }
}

#[test]
fn settings_that_cannot_sign_are_told_at_start() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    Signing::new().write(folder.path());
    let key = folder.path().join("key.pem").to_string_lossy().into_owned();
    let missing = folder.path().join("nothing.pem").to_string_lossy().into_owned();
    let anchors = format!("[{key:?}]");
    for (settings, place) in [
        (vec![("CDEX_POLICY__SIGN", "true")], "policy.sign: needs fhir.signing"),
        (vec![("CDEX_FHIR__SIGNING__KEY_FILE", &*key)], "fhir.signing: "),
        (
            vec![
                ("CDEX_FHIR__SIGNING__KEY_FILE", &*key),
                ("CDEX_FHIR__SIGNING__CERTIFICATE_FILE", &*missing),
                ("CDEX_FHIR__SIGNING__WHO", "x|1"),
            ],
            "fhir.signing.certificate_file: ",
        ),
        (vec![("CDEX_POLICY__TRUST__ANCHORS", &*anchors)], "policy.trust.anchors[0]: "),
        (vec![("CDEX_POLICY__TRUST__PINNED", "[\"x\"]")], "policy.trust.pinned[0]: "),
        (vec![("CDEX_POLICY__TRUST__REVOCATION_LISTS", &*anchors)], "policy.trust.revocation_lists[0]: "),
    ] {
        let output = Gateway::prepare(&settings).command().output().expect("the binary under test runs");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(place), "{place}: {text}");
        assert!(!text.contains("PRIVATE KEY"), "{text}");
    }
}
