//! Bundles as text. Resources go into them as the texts that they are stored as: nothing is parsed to be shown. What
//! belongs into a Bundle, and the statuses that it tells, are for others to say.

use bytes::Bytes;
use serde_json::Value;

use crate::clock::Timestamp;

/// The extension that grades a match (FHIR R4, Patient `$match`).
const MATCH_GRADE: &str = "http://hl7.org/fhir/StructureDefinition/match-grade";

/// What a Bundle is (FHIR R4 `bundle-type`, those that are answers).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BundleType {
    /// The answer to a search.
    Searchset,
    /// A history.
    History,
    /// The answer to a batch.
    BatchResponse,
    /// The answer to a transaction.
    TransactionResponse,
}

impl BundleType {
    fn as_code(self) -> &'static str {
        match self {
            Self::Searchset => "searchset",
            Self::History => "history",
            Self::BatchResponse => "batch-response",
            Self::TransactionResponse => "transaction-response",
        }
    }
}

/// Why an entry is in a searchset (FHIR R4 `search-entry-mode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SearchMode {
    /// It was searched for.
    Match,
    /// It came along.
    Include,
    /// It tells about the search.
    Outcome,
}

impl SearchMode {
    fn as_code(self) -> &'static str {
        match self {
            Self::Match => "match",
            Self::Include => "include",
            Self::Outcome => "outcome",
        }
    }
}

/// A Bundle to write.
#[derive(Debug)]
pub(crate) struct Bundle {
    /// Its type.
    pub(crate) bundle_type: BundleType,
    /// When it was put together.
    pub(crate) at: Timestamp,
    /// How many matches there are.
    pub(crate) total: Option<u64>,
    /// Relations and URLs.
    pub(crate) links: Vec<(&'static str, String)>,
    /// Its entries.
    pub(crate) entries: Vec<BundleEntry>,
}

/// An entry of a Bundle.
#[derive(Debug, Default)]
pub(crate) struct BundleEntry {
    /// The absolute URL of the resource.
    pub(crate) full_url: Option<String>,
    /// The resource as text.
    pub(crate) resource: Option<Bytes>,
    /// In a searchset, why it is there.
    pub(crate) search: Option<SearchMode>,
    /// How surely it is what was looked for: the probability in ten-thousandths, and its `match-grade`.
    pub(crate) score: Option<(u16, &'static str)>,
    /// In a history, method and URL of what was done.
    pub(crate) request: Option<(&'static str, String)>,
    /// In a history, or in the answer to a batch, what came of it.
    pub(crate) response: Option<EntryResponse>,
}

/// What came of an entry.
#[derive(Debug, Default)]
pub(crate) struct EntryResponse {
    /// Status code and phrase.
    pub(crate) status: String,
    /// Where the resource is now.
    pub(crate) location: Option<String>,
    /// Its entity tag.
    pub(crate) etag: Option<String>,
    /// When it was changed.
    pub(crate) last_modified: Option<Timestamp>,
    /// Hints and warnings, or what went wrong.
    pub(crate) outcome: Option<Value>,
}

impl Bundle {
    /// The Bundle as JSON text.
    pub(crate) fn into_text(self) -> Vec<u8> {
        self.written(None)
    }

    /// The Bundle as JSON text that claims a profile.
    pub(crate) fn into_text_of(self, profile: &str) -> Vec<u8> {
        self.written(Some(profile))
    }

    fn written(self, profile: Option<&str>) -> Vec<u8> {
        let resources: usize =
            self.entries.iter().filter_map(|entry| entry.resource.as_ref()).map(Bytes::len).sum();
        let mut text = Writer(Vec::with_capacity(resources + 256 * (self.entries.len() + 1)));
        text.raw(r#"{"resourceType":"Bundle","#);
        if let Some(profile) = profile {
            text.raw("\"meta\":{\"profile\":[");
            text.string(profile);
            text.raw("]},");
        }
        text.raw(r#""type":""#);
        text.raw(self.bundle_type.as_code());
        text.raw(r#"","timestamp":""#);
        text.raw(&self.at.to_string());
        text.raw("\"");
        if let Some(total) = self.total {
            text.raw(",\"total\":");
            text.raw(&total.to_string());
        }
        text.list("link", &self.links, |text, (relation, url)| {
            text.raw("{\"relation\":");
            text.string(relation);
            text.raw(",\"url\":");
            text.string(url);
            text.raw("}");
        });
        text.list("entry", &self.entries, Writer::entry);
        text.raw("}");
        text.0
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn raw(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    fn string(&mut self, text: &str) {
        // Writing to a vector cannot fail, nor can a string.
        let _ = serde_json::to_writer(&mut self.0, text);
    }

    /// A member that is an array, unless it were empty (FHIR R4, JSON: arrays are never empty).
    fn list<T>(&mut self, name: &str, items: &[T], mut write: impl FnMut(&mut Self, &T)) {
        for (index, item) in items.iter().enumerate() {
            match index {
                0 => {
                    self.raw(",\"");
                    self.raw(name);
                    self.raw("\":[");
                }
                _ => self.raw(","),
            }
            write(self, item);
        }
        if !items.is_empty() {
            self.raw("]");
        }
    }

    /// A member of an entry; `is_first` until one is written.
    fn member(&mut self, name: &str, is_first: &mut bool) {
        if !std::mem::take(is_first) {
            self.raw(",");
        }
        self.raw("\"");
        self.raw(name);
        self.raw("\":");
    }

    fn text_member(&mut self, name: &str, value: Option<&str>, is_first: &mut bool) {
        if let Some(value) = value {
            self.member(name, is_first);
            self.string(value);
        }
    }

    fn entry(&mut self, entry: &BundleEntry) {
        let mut is_first = true;
        self.raw("{");
        self.text_member("fullUrl", entry.full_url.as_deref(), &mut is_first);
        if let Some(resource) = &entry.resource {
            self.member("resource", &mut is_first);
            self.0.extend_from_slice(resource);
        }
        if let Some(mode) = entry.search {
            self.member("search", &mut is_first);
            self.raw("{\"mode\":\"");
            self.raw(mode.as_code());
            self.raw("\"");
            if let Some((score, grade)) = entry.score {
                self.score(score, grade);
            }
            self.raw("}");
        }
        if let Some((method, url)) = &entry.request {
            self.member("request", &mut is_first);
            self.raw("{\"method\":");
            self.string(method);
            self.raw(",\"url\":");
            self.string(url);
            self.raw("}");
        }
        if let Some(response) = &entry.response {
            self.member("response", &mut is_first);
            self.response(response);
        }
        self.raw("}");
    }

    fn score(&mut self, score: u16, grade: &str) {
        self.raw(&format!(",\"score\":{}.{:04},\"extension\":[{{\"url\":\"", score / 10_000, score % 10_000));
        self.raw(MATCH_GRADE);
        self.raw("\",\"valueCode\":\"");
        self.raw(grade);
        self.raw("\"}]");
    }

    fn response(&mut self, response: &EntryResponse) {
        let mut is_first = true;
        self.raw("{");
        self.text_member("status", Some(&response.status), &mut is_first);
        self.text_member("location", response.location.as_deref(), &mut is_first);
        self.text_member("etag", response.etag.as_deref(), &mut is_first);
        let last_modified = response.last_modified.map(|at| at.to_string());
        self.text_member("lastModified", last_modified.as_deref(), &mut is_first);
        if let Some(outcome) = &response.outcome {
            self.member("outcome", &mut is_first);
            self.raw(&outcome.to_string());
        }
        self.raw("}");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_bundle_holds_the_texts_of_its_resources_untouched() {
        let resource = Bytes::from_static(br#"{"resourceType":"Basic","n":1.00}"#);
        let bundle = Bundle {
            bundle_type: BundleType::Searchset,
            at: Timestamp::from_nanos(0),
            total: Some(1),
            links: vec![("self", "http://h/Basic?a=\"b\"".to_owned())],
            entries: vec![
                BundleEntry {
                    full_url: Some("http://h/Basic/1".to_owned()),
                    resource: Some(resource.clone()),
                    search: Some(SearchMode::Match),
                    score: Some((9_980, "probable")),
                    ..BundleEntry::default()
                },
                BundleEntry {
                    request: Some(("DELETE", "Basic/1".to_owned())),
                    response: Some(EntryResponse { status: "204".to_owned(), ..EntryResponse::default() }),
                    ..BundleEntry::default()
                },
            ],
        };
        let text = String::from_utf8(bundle.into_text()).expect("it is UTF-8");
        assert!(text.contains("\"resource\":{\"resourceType\":\"Basic\",\"n\":1.00},"), "{text}");
        let tree: Value = serde_json::from_str(&text).expect("it is JSON");
        assert_eq!(tree["link"], json!([{"relation": "self", "url": "http://h/Basic?a=\"b\""}]));
        assert_eq!(tree["entry"][1]["request"], json!({"method": "DELETE", "url": "Basic/1"}));
        assert_eq!(tree["total"], json!(1));
        assert!(text.contains("\"search\":{\"mode\":\"match\",\"score\":0.9980,\"extension\":["), "{text}");
        assert_eq!(tree["entry"][0]["search"]["extension"][0]["valueCode"], "probable");
    }

    #[test]
    fn an_empty_bundle_has_no_empty_arrays() {
        let empty = || Bundle {
            bundle_type: BundleType::History,
            at: Timestamp::from_nanos(0),
            total: None,
            links: Vec::new(),
            entries: Vec::new(),
        };
        let tree: Value = serde_json::from_slice(&empty().into_text()).expect("it is JSON");
        let mut expected =
            json!({"resourceType": "Bundle", "type": "history", "timestamp": "1970-01-01T00:00:00Z"});
        assert_eq!(tree, expected);
        let tree: Value = serde_json::from_slice(&empty().into_text_of("http://p")).expect("it is JSON");
        expected["meta"] = json!({"profile": ["http://p"]});
        assert_eq!(tree, expected);
    }
}
