//! What a resource carries: its payloads, what is said of each, and where its bytes are to be had. Pure.

use bytes::Bytes;
use serde_json::Value;

use crate::cdex::communication::{self, PushedContent};
use crate::fhir::datatype::{Attachment, codings};
use crate::fhir::{FHIR_JSON, base64};
use crate::id::UploadId;

/// One payload of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    /// Its place in the resource: `0`, or `0.1` for the second attachment of what the first payload refers to.
    pub(super) key: String,
    /// What is said of it.
    pub(super) said: Said,
    /// Where its bytes are.
    pub(super) place: Place,
}

/// What is said of a payload.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) media_type: Option<String>,
    pub(super) date: Option<String>,
    pub(super) title: Option<String>,
    pub(super) code: Option<String>,
    pub(super) query_type: Option<&'static str>,
}

impl Said {
    /// What is said here, and where nothing is, what `other` says.
    fn or(self, other: &Self) -> Self {
        Self {
            media_type: self.media_type.or_else(|| other.media_type.clone()),
            date: self.date.or_else(|| other.date.clone()),
            title: self.title.or_else(|| other.title.clone()),
            code: self.code.or_else(|| other.code.clone()),
            query_type: self.query_type.or(other.query_type),
        }
    }
}

/// Where bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// Here.
    Here(Bytes),
    /// In the upload store, as the content of a Binary.
    Stored(UploadId),
    /// At this URL.
    Url(String),
    /// In the resource that this names; once that is there, [`of_resource`] tells more.
    Reference(String),
    /// Nowhere, for this reason.
    Nowhere(&'static str),
}

/// What a Communication carries.
pub(super) fn of_communication(communication: &Value) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for payload in communication::pushed(communication) {
        let said = Said {
            code: payload.note_type.map(str::to_owned),
            query_type: payload.query.and_then(communication::type_asked_for),
            date: text(communication, "sent"),
            ..Said::default()
        };
        let key = payload.index.to_string();
        match payload.content {
            PushedContent::Attachment(json) => pieces.push(of_attachment(json, key, said)),
            PushedContent::Reference(reference) => match reference.strip_prefix('#') {
                Some(id) => {
                    let contained = communication::contained(communication, id).unwrap_or(&Value::Null);
                    let written = contained.to_string().into();
                    pieces.extend(of_resource(contained, &written, None, &key, &said));
                }
                None => pieces.push(Piece { key, said, place: Place::Reference(reference.to_owned()) }),
            },
        }
    }
    pieces
}

/// What a resource carries that is no Communication, or that one refers to; `said` goes before what it says itself.
/// `bytes` are those of a Binary that are not in its text.
pub(super) fn of_resource(
    resource: &Value,
    written: &Bytes,
    bytes: Option<UploadId>,
    key: &str,
    said: &Said,
) -> Vec<Piece> {
    let key = key.to_owned();
    match text(resource, "resourceType").as_deref() {
        Some("DocumentReference") => {
            let own = Said {
                date: text(resource, "date"),
                code: resource
                    .get("type")
                    .and_then(|kind| codings(kind).find_map(|c| c.code.map(str::to_owned))),
                ..Said::default()
            };
            let said = said.clone().or(&own);
            let contents = resource.get("content").and_then(Value::as_array).into_iter().flatten();
            let attachments = contents.map(|content| content.get("attachment").unwrap_or(&Value::Null));
            attachments
                .enumerate()
                .map(|(index, json)| of_attachment(json, format!("{key}.{index}"), said.clone()))
                .collect()
        }
        Some("Binary") => {
            let own = Said { media_type: text(resource, "contentType"), ..Said::default() };
            let place = match bytes {
                Some(id) => Place::Stored(id),
                None => here(resource.get("data").and_then(Value::as_str)),
            };
            vec![Piece { key, said: said.clone().or(&own), place }]
        }
        Some(_) => {
            let date = ["authored", "timestamp", "sent", "date"].iter().find_map(|name| text(resource, name));
            let own = Said { media_type: Some(FHIR_JSON.to_owned()), date, ..Said::default() };
            vec![Piece { key, said: said.clone().or(&own), place: Place::Here(written.clone()) }]
        }
        None => vec![Piece {
            key,
            said: said.clone(),
            place: Place::Nowhere("what is referred to is no resource"),
        }],
    }
}

fn of_attachment(json: &Value, key: String, said: Said) -> Piece {
    let attachment = Attachment::of(json);
    let own = Said {
        media_type: attachment.content_type.map(str::to_owned),
        title: attachment.title.map(str::to_owned),
        date: text(json, "creation"),
        ..Said::default()
    };
    let place = match (attachment.data, attachment.url) {
        (None, Some(url)) => Place::Url(url.to_owned()),
        (data, _) => here(data),
    };
    Piece { key, said: said.or(&own), place }
}

fn here(data: Option<&str>) -> Place {
    match data.map(base64::decode) {
        Some(Ok(bytes)) if !bytes.is_empty() => Place::Here(bytes.into()),
        Some(Ok(_)) => Place::Nowhere("the data is empty"),
        Some(Err(_)) => Place::Nowhere("the data is not base64"),
        None => Place::Nowhere("there is neither data nor a url"),
    }
}

fn text(value: &Value, element: &str) -> Option<String> {
    value.get(element).and_then(Value::as_str).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_payload_has_a_place_and_what_is_said_of_it() {
        let document = json!({
            "resourceType": "DocumentReference", "id": "d", "date": "2026-01-01T00:00:00Z",
            "type": {"coding": [{"code": "34117-2"}]},
            "content": [
                {"attachment": {"contentType": "text/plain", "data": "eA==", "title": "t"}},
                {"attachment": {"url": "Binary/b"}},
                {"attachment": {"contentType": "text/plain"}},
            ],
        });
        let extension = "http://hl7.org/fhir/us/davinci-cdex/StructureDefinition/cdex-payload-query-string";
        let communication = json!({
            "resourceType": "Communication", "status": "completed", "sent": "2026-02-02",
            "contained": [document, {"resourceType": "Bundle", "id": "b", "type": "collection"}],
            "payload": [
                {"contentString": "x"},
                {"contentReference": {"reference": "#d"}},
                {"contentReference": {"reference": "Binary/1"}},
                {
                    "extension": [{"url": extension, "valueString": "Condition?patient=p"}],
                    "contentReference": {"reference": "#b"},
                },
                {"contentAttachment": {"data": "!"}},
            ],
        });
        let found: Vec<(String, Place)> =
            of_communication(&communication).into_iter().map(|piece| (piece.key, piece.place)).collect();
        let bundle = communication["contained"][1].to_string();
        let expected = [
            ("1.0", Place::Here(Bytes::from_static(b"x"))),
            ("1.1", Place::Url("Binary/b".to_owned())),
            ("1.2", Place::Nowhere("there is neither data nor a url")),
            ("2", Place::Reference("Binary/1".to_owned())),
            ("3", Place::Here(Bytes::from(bundle))),
            ("4", Place::Nowhere("the data is not base64")),
        ];
        assert_eq!(found, expected.map(|(key, place)| (key.to_owned(), place)));
        let pieces = of_communication(&communication);
        assert_eq!(
            pieces[0].said,
            Said {
                media_type: Some("text/plain".to_owned()),
                date: Some("2026-02-02".to_owned()),
                title: Some("t".to_owned()),
                code: Some("34117-2".to_owned()),
                query_type: None,
            }
        );
        assert_eq!(
            (pieces[4].said.query_type, pieces[4].said.media_type.as_deref()),
            (Some("Condition"), Some(FHIR_JSON))
        );
    }

    #[test]
    fn a_binary_is_its_bytes_wherever_they_are() {
        let binary = json!({"resourceType": "Binary", "contentType": "image/png", "data": "eA=="});
        let id = UploadId::new();
        for (bytes, place) in [(None, Place::Here(Bytes::from_static(b"x"))), (Some(id), Place::Stored(id))] {
            let pieces = of_resource(&binary, &Bytes::new(), bytes, "0", &Said::default());
            assert_eq!((&*pieces[0].key, &pieces[0].place), ("0", &place));
            assert_eq!(pieces[0].said.media_type.as_deref(), Some("image/png"));
        }
    }
}
