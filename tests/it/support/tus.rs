//! tus 1.0.0 requests as a test needs them: correct by default, every header replaceable.

use super::content::base64;
use super::gateway::Gateway;
use super::http::{Answer, Request};

/// A manifest that the built-in data stream accepts.
pub(crate) const MANIFEST: &[(&str, &str)] = &[
    ("data_stream_id", "cdex"),
    ("data_stream_route", "attachment"),
    ("sender_id", "outside-test"),
    ("data_producer_id", "outside-test"),
    ("jurisdiction", "null"),
    ("received_filename", "note.txt"),
];

/// The built-in manifest with some values replaced or added.
pub(crate) fn manifest_with<'a>(changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut manifest: Vec<(&str, &str)> = MANIFEST.to_vec();
    for (name, value) in changes {
        match manifest.iter_mut().find(|(known, _)| known == name) {
            Some(entry) => entry.1 = value,
            None => manifest.push((name, value)),
        }
    }
    manifest
}

/// `Upload-Metadata` of a manifest.
pub(crate) fn metadata<N: AsRef<str>, V: AsRef<str>>(manifest: &[(N, V)]) -> String {
    let entries: Vec<String> = manifest
        .iter()
        .map(|(name, value)| format!("{} {}", name.as_ref(), base64(value.as_ref())))
        .collect();
    entries.join(",")
}

/// A request that speaks tus 1.0.0.
pub(crate) fn request(method: &str, path: &str) -> Request {
    Request::new(method, path).header("Tus-Resumable", "1.0.0")
}

/// A creation at `path` without body.
pub(crate) fn creation(path: &str, length: u64, metadata: &str) -> Request {
    request("POST", path)
        .header("Upload-Length", &length.to_string())
        .header("Upload-Metadata", metadata)
        .header("Content-Length", "0")
}

/// A PATCH head; the body or its length is the test's.
pub(crate) fn patch(path: &str, offset: u64) -> Request {
    request("PATCH", path)
        .header("Upload-Offset", &offset.to_string())
        .header("Content-Type", "application/offset+octet-stream")
}

/// An upload that was created.
#[derive(Debug, Clone)]
pub(crate) struct Created {
    /// Its id.
    pub(crate) id: String,
    /// The path of its `Location`.
    pub(crate) path: String,
}

/// What a `201` names.
#[track_caller]
pub(crate) fn created(answer: &Answer) -> Created {
    assert_eq!(answer.status, 201, "{}", answer.text());
    let location = answer.header("Location").expect("a creation has a Location");
    let path = match location.split_once("://") {
        Some((_, rest)) => &rest[rest.find('/').expect("an absolute Location has a path")..],
        None => location,
    };
    let id = path.rsplit('/').next().unwrap_or_default();
    assert!(uuid::Uuid::try_parse(id).is_ok(), "the id in {location} is a UUID");
    Created { id: id.to_owned(), path: path.to_owned() }
}

/// Creates an upload on the built-in data stream.
#[track_caller]
pub(crate) fn create(gateway: &Gateway, length: u64) -> Created {
    created(&gateway.ask(&creation("/upload/files", length, &metadata(MANIFEST))))
}

/// Creates an upload and sends all of it in one PATCH.
#[track_caller]
pub(crate) fn upload(gateway: &Gateway, manifest: &[(&str, &str)], content: &[u8]) -> Created {
    let length = content.len() as u64;
    let created = created(&gateway.ask(&creation("/upload/files", length, &metadata(manifest))));
    append(gateway, &created.path, 0, content);
    created
}

/// Sends bytes from an offset on and expects all of them to be acknowledged.
#[track_caller]
pub(crate) fn append(gateway: &Gateway, path: &str, offset: u64, bytes: &[u8]) {
    let answer = gateway.ask(&patch(path, offset).body(bytes)).expect(204);
    assert_eq!(offset_of(&answer), offset + bytes.len() as u64);
}

/// `Upload-Offset` of an answer.
#[track_caller]
pub(crate) fn offset_of(answer: &Answer) -> u64 {
    let offset = answer.header("Upload-Offset").expect("the answer has an Upload-Offset");
    offset.parse().expect("an Upload-Offset is a number")
}

/// The offset that HEAD tells.
#[track_caller]
pub(crate) fn head(gateway: &Gateway, path: &str) -> u64 {
    let answer = gateway.ask(&request("HEAD", path));
    assert!(matches!(answer.status, 200 | 204), "HEAD answered {}", answer.status);
    assert_eq!(answer.header("Cache-Control"), Some("no-store"), "tus 1.0.0, HEAD");
    offset_of(&answer)
}
