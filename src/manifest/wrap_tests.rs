//! Tests of wrapping: the default table, other tables, and that a manifest fits everywhere.

use proptest::prelude::*;

use super::*;
use crate::cdex::AttachTo;
use crate::clock::Timestamp;
use crate::manifest::{StreamConfigs, verify};

fn identifier(value: &str) -> Identifier {
    Identifier { system: Some("urn:example".to_owned()), value: value.to_owned() }
}

fn submission() -> Submission {
    Submission {
        tracking_id: identifier("tracking-1"),
        admin_ref_number: Some(identifier("admin-1")),
        attach_to: AttachTo::Claim,
        payer_id: Some(identifier("payer-1")),
        organization_id: Some(identifier("org-1")),
        provider_id: Some(identifier("npi-1")),
        member_id: identifier("MEMBER"),
        service_date: Some("2024-01-01".to_owned()),
        attachments: vec![attachment()],
        is_last_submission: true,
    }
}

fn attachment() -> SubmittedAttachment {
    SubmittedAttachment {
        parameter: 0,
        content_part: 0,
        line_items: Vec::new(),
        code: Some((Some("http://loinc.org".to_owned()), "11506-3".to_owned())),
        resource_type: "DocumentReference".to_owned(),
    }
}

fn facts(upload_id: UploadId) -> PayloadFacts<'static> {
    PayloadFacts {
        interaction: "submit-attachment",
        upload_id,
        media_type: Some("application/pdf"),
        document_date: Some("2024-02-03T04:05:06Z"),
        title: Some("Jane Roe"),
    }
}

fn mapping(json: &serde_json::Value) -> FhirMapping {
    let config: FhirMappingConfig = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(config.problems(), [], "{json}");
    FhirMapping::new(&config)
}

fn bytes(fields: &ManifestFields) -> usize {
    fields.iter().map(|(key, value)| key.len() + value.len()).sum()
}

#[test]
fn the_default_table_makes_a_manifest_of_the_built_in_stream() {
    let id = UploadId::new();
    let mapping = FhirMapping::new(&FhirMappingConfig::default());
    let fields = mapping.wrap(Some("client-1"), &submission(), &attachment(), &facts(id));
    let received = format!("submit-attachment-{id}.pdf");
    let expected = [
        ("data_stream_id", "cdex"),
        ("data_stream_route", "attachment"),
        ("sender_id", "client-1"),
        ("data_producer_id", "org-1"),
        ("jurisdiction", "null"),
        ("received_filename", &received),
        ("version", "2.0"),
        ("meta_ext_objectkey", "tracking-1"),
        ("meta_ext_file_timestamp", "2024-02-03T04:05:06Z"),
        ("cdex_attach_to", "claim"),
        ("cdex_attachment_code", "11506-3"),
    ];
    assert_eq!(fields.iter().collect::<Vec<_>>(), expected);
    assert!(verify(&StreamConfigs::built_in(), fields).is_ok());
}

#[test]
fn the_first_source_that_gives_a_value_counts_and_none_leaves_the_key_out() {
    let mapping = FhirMapping::new(&FhirMappingConfig::default());
    let mut submission = submission();
    let sender = |submission: &Submission| {
        let fields = mapping.wrap(None, submission, &attachment(), &facts(UploadId::new()));
        (fields.get("sender_id").map(str::to_owned), fields.get("data_producer_id").map(str::to_owned))
    };
    assert_eq!(sender(&submission), (Some("org-1".to_owned()), Some("org-1".to_owned())));
    submission.organization_id = None;
    assert_eq!(sender(&submission), (Some("npi-1".to_owned()), Some("npi-1".to_owned())));
    submission.provider_id = None;
    assert_eq!(sender(&submission), (None, None));
}

#[test]
fn settings_replace_add_and_remove_fields_per_stream() {
    let mapping = mapping(&serde_json::json!({
        "fields": {"jurisdiction": "literal:GA", "version": [], "meta_ext_payer": ["admin-ref-number", "payer-id"]},
        "streams": [
            {"data_stream_id": "eicr", "data_stream_route": "fhir", "attachment_codes": ["55751-2"]},
            {"data_stream_id": "auth", "data_stream_route": "doc", "attach_to": "preauthorization",
             "fields": {"received_filename": "title", "jurisdiction": "literal:FL"}},
        ],
    }));
    let mut submission = submission();
    let wrap = |submission: &Submission, code: &str| {
        let attachment = SubmittedAttachment { code: Some((None, code.to_owned())), ..attachment() };
        mapping.wrap(None, submission, &attachment, &facts(UploadId::new()))
    };
    let fields = wrap(&submission, "11506-3");
    assert_eq!(fields.get("data_stream_id"), Some("cdex"));
    assert_eq!(fields.get("jurisdiction"), Some("GA"));
    assert_eq!(fields.get("version"), None);
    assert_eq!(fields.get("meta_ext_payer"), Some("admin-1"));
    assert_eq!(wrap(&submission, "55751-2").get("data_stream_route"), Some("fhir"));
    submission.attach_to = AttachTo::Preauthorization;
    let fields = wrap(&submission, "11506-3");
    assert_eq!(fields.get("data_stream_id"), Some("auth"));
    assert_eq!(fields.get("received_filename"), Some("Jane Roe"));
    assert_eq!(fields.get("jurisdiction"), Some("FL"));
    assert_eq!(fields.get("meta_ext_payer"), Some("admin-1"));
}

#[test]
fn settings_that_cannot_work_are_refused_with_their_path() {
    for json in [
        serde_json::json!({"fields": {"a": "member-id"}}),
        serde_json::json!({"fields": {"a": 5}}),
        serde_json::json!({"field": {}}),
        serde_json::json!({"streams": [{"data_stream_id": "a"}]}),
    ] {
        assert!(serde_json::from_value::<FhirMappingConfig>(json.clone()).is_err(), "{json}");
    }
    let config: FhirMappingConfig = serde_json::from_value(serde_json::json!({
        "data_stream_id": "a/b",
        "fields": {"upload_id": "client", "x-y": "client"},
        "streams": [{"data_stream_id": "a", "data_stream_route": "", "attach_to": "Claim"}],
    }))
    .unwrap();
    let places: Vec<String> = config.problems().into_iter().map(|(place, _)| place).collect();
    let expected = [
        "data_stream_id",
        "fields.upload_id",
        "fields.x-y",
        "streams[0].data_stream_route",
        "streams[0].attach_to",
    ];
    assert_eq!(places, expected);
}

#[test]
fn media_types_have_the_extensions_people_expect() {
    let cases = [
        (None, ".bin"),
        (Some(""), ".bin"),
        (Some("application/octet-stream"), ".bin"),
        (Some("application/pdf"), ".pdf"),
        (Some("Application/PDF; version=1.7"), ".pdf"),
        (Some("application/fhir+json"), ".json"),
        (Some("application/fhir+xml"), ".xml"),
        (Some("application/hl7-cda+xml"), ".xml"),
        (Some("text/plain;charset=utf-8"), ".txt"),
        (Some("text/html"), ".html"),
        (Some("text/rtf"), ".rtf"),
        (Some("image/tiff"), ".tif"),
        (Some("../../x"), ".bin"),
    ];
    for (media_type, expected) in cases {
        assert_eq!(extension_for(media_type), expected, "{media_type:?}");
    }
}

#[test]
fn values_become_ascii_and_are_cut_between_characters() {
    assert_eq!(ascii("a", "50% é/\n"), "50% %C3%A9/%0A");
    assert_eq!(ascii("received_filename", "a/b"), "a_b");
    for (limit, expected) in [(2, "ab"), (3, "ab"), (4, "ab"), (5, "ab%C3"), (8, "ab%C3%A9")] {
        let mut value = "ab%C3%A9".to_owned();
        cut(&mut value, limit);
        assert_eq!(value, expected, "{limit}");
    }
}

#[test]
fn the_largest_mapping_with_the_longest_values_still_fits() {
    let literal = format!("literal:{}", "é".repeat(2000));
    let keys = (0..19).map(|n| (format!("{n:a>40}"), literal.clone().into()));
    let fields: serde_json::Map<String, serde_json::Value> = keys.collect();
    let word = "x".repeat(64);
    let mapping =
        mapping(&serde_json::json!({"data_stream_id": word, "data_stream_route": word, "fields": fields}));
    let mut submission = submission();
    submission.organization_id = Some(identifier(&"o".repeat(5000)));
    let fields = mapping.wrap(None, &submission, &attachment(), &facts(UploadId::new()));
    let now = Timestamp::parse_rfc3339("2025-05-05T14:03:22.123456789Z").unwrap();
    assert!(bytes(&fields.ingested(UploadId::new(), now)) <= MANIFEST_LIMIT_BYTES);
}

proptest! {
    #[test]
    fn whatever_is_submitted_the_manifest_is_small_ascii_and_without_the_member(
        texts in prop::array::uniform5(".{0,400}"),
    ) {
        let [client, tracking, organization, code, date] = texts;
        let mut submission = submission();
        submission.tracking_id.value = tracking;
        submission.organization_id = Some(identifier(&organization));
        let attachment = SubmittedAttachment { code: Some((None, code)), ..attachment() };
        let facts = PayloadFacts { document_date: Some(&date), ..facts(UploadId::new()) };
        let fields = FhirMapping::new(&FhirMappingConfig::default())
            .wrap(Some(&client), &submission, &attachment, &facts);
        prop_assert!(bytes(&fields) + SERVER_FIELDS_BYTES <= MANIFEST_LIMIT_BYTES);
        prop_assert!(fields.iter().all(|(_, value)| value.bytes().all(|byte| (b' '..=b'~').contains(&byte))));
        prop_assert!(fields.iter().all(|(_, value)| !value.contains("MEMBER") && !value.contains("Jane")));
        prop_assert!(verify(&StreamConfigs::built_in(), fields).is_ok());
    }
}

#[test]
fn a_push_fills_the_same_fields_and_may_have_a_stream_of_its_own() {
    let mapping = mapping(&serde_json::json!({"streams": [
        {"data_stream_id": "own", "data_stream_route": "notes", "fields": {"jurisdiction": "literal:here"}},
    ]}));
    let push = PushFacts {
        organization: Some("1407071236"),
        tracking: Some("m1"),
        attach_to: Some("claim"),
        code: Some("18842-5"),
        query_type: Some("Condition"),
        communication_id: Some("c1"),
    };
    let id = UploadId::new();
    for (stream, jurisdiction) in
        [(None, "null"), (Some(("own", "notes")), "here"), (Some(("own", "x")), "null")]
    {
        let fields = mapping.wrap_push(stream, None, &push, &facts(id));
        let (name, route) = stream.unwrap_or(("cdex", "attachment"));
        for (key, value) in [
            ("data_stream_id", name),
            ("data_stream_route", route),
            ("sender_id", "1407071236"),
            ("data_producer_id", "1407071236"),
            ("jurisdiction", jurisdiction),
            ("meta_ext_objectkey", "m1"),
            ("cdex_attach_to", "claim"),
            ("cdex_attachment_code", "18842-5"),
            ("cdex_query_type", "Condition"),
            ("cdex_communication_id", "c1"),
        ] {
            assert_eq!(fields.get(key), Some(value), "{key} {stream:?}");
        }
    }
}

#[test]
fn the_extension_of_a_file_tells_its_type() {
    for (name, expected) in [
        ("scan.PDF", Some("application/pdf")),
        ("a.b.jpeg", Some("image/jpeg")),
        ("note.txt", Some("text/plain")),
        ("bundle.json", Some("application/json")),
        ("none", None),
        ("none.", None),
        ("x.own", None),
    ] {
        assert_eq!(media_type_for(name), expected, "{name}");
    }
}
