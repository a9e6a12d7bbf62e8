//! Every stage on the wire: the exact documents, and the rules of the published schemas where they are at
//! hand.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::tests::stream;
use super::{Report, Stage, StreamFields};
use crate::clock::Timestamp;

fn stages() -> Vec<Stage> {
    let filename = "dex-smoke-test".to_owned();
    vec![
        Stage::MetadataTransform,
        Stage::MetadataVerify {
            filename: filename.clone(),
            metadata: BTreeMap::from([("data_stream_id".to_owned(), "dextesting".to_owned())]),
        },
        Stage::UploadStarted,
        Stage::UploadStatus { filename: filename.clone(), offset: 5120, size: Some(10240) },
        Stage::UploadStatus { filename, offset: 0, size: None },
        Stage::UploadCompleted,
        Stage::BlobFileCopy {
            file_destination_blob_url: "uploads/edav/x".to_owned(),
            destination_name: "edav".to_owned(),
        },
    ]
}

/// What the stage's content holds beyond the two schema keys.
fn expected_content(stage: &Stage, stream: &StreamFields) -> Value {
    let id = stream.upload_id.to_string();
    match stage {
        Stage::MetadataTransform => json!({ "transforms": [
            { "action": "update", "field": "ID", "value": id },
            { "action": "append", "field": "dex_ingest_datetime", "value": stream.dex_ingest_datetime },
            { "action": "append", "field": "upload_id", "value": id },
        ] }),
        Stage::MetadataVerify { .. } => {
            json!({ "filename": "dex-smoke-test", "metadata": { "data_stream_id": "dextesting" } })
        }
        Stage::UploadStarted | Stage::UploadCompleted => json!({ "status": "SUCCESS" }),
        Stage::UploadStatus { offset, size, .. } => {
            json!({ "filename": "dex-smoke-test", "tguid": id, "offset": offset, "size": size.unwrap_or(0) })
        }
        Stage::BlobFileCopy { .. } => json!({
            "file_source_blob_url": "",
            "file_destination_blob_url": "uploads/edav/x",
            "destination_name": "edav",
        }),
    }
}

fn wire(report: &Report, stream: &StreamFields) -> Value {
    serde_json::from_slice(&report.to_wire(stream)).expect("a report is JSON")
}

#[test]
fn every_stage_looks_as_documented() {
    let stream = stream();
    let (from, to) = (Timestamp::from_nanos(1_500_000_000), Timestamp::from_nanos(2_000_000_000));
    for stage in stages() {
        let mut content = expected_content(&stage, &stream);
        content["content_schema_name"] = stage.name().into();
        content["content_schema_version"] = "1.0.0".into();
        let disposition = if stage.name() == "upload-status" { "replace" } else { "add" };
        let mut expected = json!({
            "report_schema_version": "1.0.0",
            "upload_id": stream.upload_id,
            "sender_id": "test sender",
            "data_stream_id": "dextesting",
            "data_stream_route": "testevent1",
            "jurisdiction": "test-jurisdiction",
            "dex_ingest_datetime": "2025-05-05T14:03:22.1234567Z",
            "content_type": "application/json",
            "disposition_type": disposition,
            "stage_info": {
                "service": "UPLOAD API",
                "action": stage.name(),
                "version": super::model::version(),
                "status": "SUCCESS",
                "issues": null,
                "start_processing_time": "1970-01-01T00:00:01.5Z",
                "end_processing_time": "1970-01-01T00:00:02Z",
            },
            "content": content,
        });
        assert_eq!(wire(&Report::success(stage.clone(), from, to), &stream), expected);
        expected["stage_info"]["status"] = "FAILURE".into();
        expected["stage_info"]["issues"] = json!([{ "level": "ERROR", "message": "why" }]);
        assert_eq!(wire(&Report::failure(stage, "why", from, to), &stream), expected);
    }
}

/// The folder with the published schemas, if it is at hand.
fn schemas() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "tests are steered by the environment")]
    let shared = std::env::var("CDEX_SHARED_DIR").map(PathBuf::from);
    let shared = shared.unwrap_or_else(|_| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared")));
    let folder = shared.join("dex/processing-status/schemas");
    if folder.is_dir() {
        return Some(folder);
    }
    let _ = std::io::stderr().write_all(b"\nSKIPPED: the published report schemas are not at hand\n");
    None
}

/// Checks the part of JSON Schema that those schemas use: `required`, `type`, `enum`, and `$defs` by
/// `$ref` with the formats `uuid` and `date-time`.
fn check(value: &Value, schema: &Value, root: &Value, at: &str) {
    if let Some(name) = schema["$ref"].as_str() {
        let pointer = name.strip_prefix('#').expect("a reference within the schema");
        return check(value, root.pointer(pointer).expect("the definition exists"), root, at);
    }
    let types = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        other => other.as_str().map_or(Vec::new(), |one| vec![one]),
    };
    let fits = types.iter().any(|one| match *one {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "null" => value.is_null(),
        other => panic!("{at}: a type this check does not know: {other}"),
    });
    assert!(types.is_empty() || fits, "{at}: {value} is none of {types:?}");
    if let Some(allowed) = schema["enum"].as_array() {
        assert!(allowed.contains(value), "{at}: {value} is none of {allowed:?}");
    }
    match (schema["format"].as_str(), value.as_str()) {
        (Some("uuid"), Some(text)) => assert!(text.parse::<crate::id::UploadId>().is_ok(), "{at}"),
        (Some("date-time"), Some(text)) => assert!(Timestamp::parse_rfc3339(text).is_some(), "{at}"),
        _ => {}
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        assert!(value.get(name).is_some(), "{at}.{name} is missing");
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        if let Some(value) = value.get(name) {
            check(value, property, root, &format!("{at}.{name}"));
        }
    }
}

/// W-17
#[test]
fn every_stage_satisfies_the_published_schemas_on_success_and_on_failure() {
    let Some(folder) = schemas() else { return };
    let read = |name: &str| -> Value {
        let text = std::fs::read_to_string(folder.join(format!("{name}.1.0.0.schema.json")));
        serde_json::from_str(&text.expect("the schema is there")).expect("the schema is JSON")
    };
    let (base, stream, now) = (read("base"), stream(), Timestamp::from_nanos(1));
    for stage in stages() {
        let content = read(stage.name());
        for report in [Report::success(stage.clone(), now, now), Report::failure(stage, "why", now, now)] {
            let report = wire(&report, &stream);
            check(&report, &base, &base, "report");
            check(&report["content"], &content, &content, "content");
        }
    }
}
