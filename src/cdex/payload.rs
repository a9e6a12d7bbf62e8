//! What an attachment's content carries: which bytes become uploads, and what is known about them.
//!
//! A DocumentReference and a Binary are wrappers, and the decoded bytes inside are the payload; any other
//! resource is itself the payload, exactly as received. Large bytes were taken out of the body while it was
//! read and come here as [`TakenData`]; nothing is read or stored here.

use serde_json::Value;
use sha1::{Digest as _, Sha1};

use super::signature::has_signature;
use crate::fhir::datatype::{self, date_time_precision, is_code};
use crate::fhir::{Issue, IssueType, Spooled, base64};
use crate::id::UploadId;

/// Payloads of one submission: the answer names an upload for each in one header field, and clients bound
/// what they read of headers.
pub(crate) const MOST_PAYLOADS: usize = 200;

/// More issues about one content than anybody reads are not collected.
const MOST_ISSUES: usize = 200;

/// The media type of a resource that is itself the payload.
const FHIR_JSON: &str = "application/fhir+json";

/// Bytes that were taken out of a content resource while its body was read.
#[derive(Debug, Clone)]
pub(crate) struct TakenData {
    /// Which `DocumentReference.content` they were the data of. `None` for a Binary's data, and for a
    /// resource that was taken as a whole.
    pub(crate) content: Option<usize>,
    /// The bytes: decoded, or the exact text of the resource.
    pub(crate) spooled: Spooled,
}

/// Where the bytes of a payload are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Carried {
    /// Here.
    Decoded(Vec<u8>),
    /// In the upload store, invisible until the submission is accepted.
    Spooled(Spooled),
    /// They are the exact text of the content resource.
    ResourceText,
    /// In an upload that was made before, if there is such a one.
    Upload(UploadId),
}

/// Bytes to carry, and what the resource says about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Payload {
    /// The bytes.
    pub(crate) carried: Carried,
    /// Their media type.
    pub(crate) media_type: Option<String>,
    /// The document's date: a FHIR `date`, `dateTime` or `instant`.
    pub(crate) date: Option<String>,
    /// The document's title, as somebody typed it.
    pub(crate) title: Option<String>,
    /// The element that carries them.
    pub(crate) expression: String,
    /// The SHA-1 that they must have. Checked already unless the bytes were uploaded before.
    pub(crate) claimed_sha1: Option<[u8; 20]>,
    /// The length that they must have. Checked already unless the bytes were uploaded before.
    pub(crate) claimed_length: Option<u64>,
    /// Whether there is a FHIR signature in it, which is kept as it is.
    pub(crate) signed: bool,
}

/// The addresses by which clients know this gateway.
#[derive(Debug, Clone)]
pub(crate) struct OwnUploads {
    /// Scheme, host and port, and a path where the gateway is behind one: `https://gateway.example`.
    pub(crate) origins: Vec<String>,
}

impl OwnUploads {
    /// The upload that a URL names; `None` if it is no URL of an upload of this gateway.
    pub(crate) fn upload(&self, url: &str) -> Option<UploadId> {
        let path = if url.starts_with('/') { url } else { self.path(url)? };
        let prefixes = ["/upload/files/", "/files/", "/upload/"];
        let id = prefixes.iter().find_map(|prefix| path.strip_prefix(prefix))?;
        id.parse().ok()
    }

    fn path<'u>(&self, url: &'u str) -> Option<&'u str> {
        self.origins.iter().find_map(|origin| {
            let (head, path) = url.split_at_checked(origin.trim_end_matches('/').len())?;
            // Scheme and host know no case (RFC 3986, 6.2.2.1).
            (head.eq_ignore_ascii_case(origin.trim_end_matches('/')) && path.starts_with('/')).then_some(path)
        })
    }
}

/// What the resource `content` at `at` carries, with warnings about it; or every reason why it cannot be
/// taken. A DocumentReference carries a payload for each `content`, in order, and anything else one.
pub(crate) fn payloads(
    content: &Value,
    at: &str,
    taken: Vec<TakenData>,
    own: &OwnUploads,
) -> Result<(Vec<Payload>, Vec<Issue>), Vec<Issue>> {
    let mut reading = Reading { content, taken, own, issues: Vec::new() };
    let payloads = match content.get("resourceType").and_then(Value::as_str) {
        Some("DocumentReference") => reading.document_reference(at),
        Some("Binary") => reading.binary(at).into_iter().collect(),
        _ => vec![reading.resource(at)],
    };
    if reading.issues.iter().any(Issue::is_error) {
        Err(reading.issues)
    } else {
        Ok((payloads, reading.issues))
    }
}

struct Reading<'a> {
    content: &'a Value,
    taken: Vec<TakenData>,
    own: &'a OwnUploads,
    issues: Vec<Issue>,
}

impl Reading<'_> {
    fn document_reference(&mut self, at: &str) -> Vec<Payload> {
        let date = self.date("date", at);
        let content = self.content;
        let contents = content.get("content").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        if contents.is_empty() {
            self.error(IssueType::Required, format!("{at}.content"), "A DocumentReference needs a content");
        }
        let mut payloads = Vec::new();
        for (index, content) in contents.iter().enumerate() {
            let at = format!("{at}.content[{index}].attachment");
            match content.get("attachment") {
                Some(attachment) => payloads.extend(self.attachment(attachment, index, &at, date.as_deref())),
                None => self.error(IssueType::Required, at, "A content needs an attachment"),
            }
        }
        payloads
    }

    fn attachment(&mut self, json: &Value, index: usize, at: &str, date: Option<&str>) -> Option<Payload> {
        let attachment = datatype::Attachment::of(json);
        let spooled = self.take(Some(index));
        let (carried, element) = match (spooled, json.get("data"), attachment.url) {
            (Some(spooled), ..) => (self.not_empty(spooled, format!("{at}.data")), "data"),
            (None, Some(base64), _) => (self.decoded(base64, format!("{at}.data")), "data"),
            (None, None, Some(url)) => (self.uploaded(url, format!("{at}.url")), "url"),
            (None, None, None) => {
                let text = "An attachment needs data or the url of an upload";
                self.error(IssueType::Required, at.to_owned(), text);
                (None, "data")
            }
        };
        if element == "data" && attachment.url.is_some() {
            let text = "The attachment has data as well as a url; the data was taken and the url left alone";
            self.warn(IssueType::BusinessRule, format!("{at}.url"), text);
        }
        let media_type = self.media_type(json, at);
        if media_type.is_none() && element == "data" && json.get("contentType").is_none() {
            let text = "An attachment with data should say its contentType";
            self.warn(IssueType::Required, format!("{at}.contentType"), text);
        }
        let claimed_sha1 = json.get("hash").and_then(|hash| self.claimed_sha1(hash, at));
        if json.get("size").is_some() && attachment.size.is_none() {
            self.error(IssueType::Value, format!("{at}.size"), "The size is no number of bytes");
        }
        let carried = carried?;
        self.check_claims(&carried, claimed_sha1, attachment.size, at);
        Some(Payload {
            carried,
            media_type,
            date: date.map(str::to_owned),
            title: attachment.title.map(str::to_owned),
            expression: format!("{at}.{element}"),
            claimed_sha1,
            claimed_length: attachment.size,
            signed: false,
        })
    }

    fn binary(&mut self, at: &str) -> Option<Payload> {
        let content = self.content;
        let media_type = self.media_type(content, at);
        if content.get("contentType").is_none() {
            self.error(IssueType::Required, format!("{at}.contentType"), "A Binary needs a contentType");
        }
        let expression = format!("{at}.data");
        let carried = match (self.take(None), content.get("data")) {
            (Some(spooled), _) => self.not_empty(spooled, expression.clone()),
            (None, Some(data)) => self.decoded(data, expression.clone()),
            (None, None) => {
                self.error(
                    IssueType::Required,
                    expression.clone(),
                    "A Binary needs data to be an attachment",
                );
                None
            }
        };
        let date = self.last_updated(at);
        Some(Payload {
            carried: carried?,
            media_type,
            date,
            title: None,
            expression,
            claimed_sha1: None,
            claimed_length: None,
            signed: false,
        })
    }

    fn resource(&mut self, at: &str) -> Payload {
        let date = match self.content.get("resourceType").and_then(Value::as_str) {
            Some("Bundle") => self.date("timestamp", at),
            Some("QuestionnaireResponse") => self.date("authored", at),
            _ => self.last_updated(at),
        };
        Payload {
            carried: self.take(None).map_or(Carried::ResourceText, Carried::Spooled),
            media_type: Some(FHIR_JSON.to_owned()),
            date,
            title: None,
            expression: at.to_owned(),
            claimed_sha1: None,
            claimed_length: None,
            signed: has_signature(self.content),
        }
    }

    fn take(&mut self, content: Option<usize>) -> Option<Spooled> {
        let index = self.taken.iter().position(|taken| taken.content == content)?;
        Some(self.taken.swap_remove(index).spooled)
    }

    /// Bytes in the store, if there are any.
    fn not_empty(&mut self, spooled: Spooled, at: String) -> Option<Carried> {
        if spooled.length == 0 {
            self.error(IssueType::Value, at, "The data is empty");
            return None;
        }
        Some(Carried::Spooled(spooled))
    }

    fn decoded(&mut self, data: &Value, at: String) -> Option<Carried> {
        let bytes = data.as_str().and_then(|text| base64::decode(text).ok());
        match bytes {
            Some(bytes) if !bytes.is_empty() => return Some(Carried::Decoded(bytes)),
            Some(_) => self.error(IssueType::Value, at, "The data is empty"),
            None => self.error(IssueType::Value, at, "The data is not base64"),
        }
        None
    }

    fn uploaded(&mut self, url: &str, at: String) -> Option<Carried> {
        let upload = self.own.upload(url);
        if upload.is_none() {
            let text = "Only an upload of this gateway can be referenced; nothing is fetched from elsewhere";
            let advice = "Send the document as attachment.data, or upload it over tus at /upload/files and put \
                          the URL of the complete upload here";
            self.issues.push(Issue::error(IssueType::NotSupported, at, text).advising(advice));
        }
        upload.map(Carried::Upload)
    }

    fn media_type(&mut self, json: &Value, at: &str) -> Option<String> {
        let given = json.get("contentType")?;
        let media_type = given.as_str().filter(|text| is_code(text));
        if media_type.is_none() {
            self.error(IssueType::Value, format!("{at}.contentType"), "The contentType is no FHIR code");
        }
        if media_type.is_some_and(|text| !is_media_type(text)) {
            let text = "The contentType is no media type, such as application/pdf";
            self.warn(IssueType::CodeInvalid, format!("{at}.contentType"), text);
        }
        media_type.map(str::to_owned)
    }

    /// FHIR R4 `Attachment.hash`: SHA-1, in base64.
    fn claimed_sha1(&mut self, hash: &Value, at: &str) -> Option<[u8; 20]> {
        let sha1 =
            hash.as_str().and_then(|text| base64::decode(text).ok()).and_then(|bytes| bytes.try_into().ok());
        if sha1.is_none() {
            self.error(IssueType::Value, format!("{at}.hash"), "The hash is no SHA-1 in base64");
        }
        sha1
    }

    fn check_claims(&mut self, carried: &Carried, sha1: Option<[u8; 20]>, length: Option<u64>, at: &str) {
        let (actual_sha1, actual_length) = match carried {
            Carried::Decoded(bytes) => (sha1.map(|_| Sha1::digest(bytes).into()), bytes.len() as u64),
            Carried::Spooled(spooled) => (Some(spooled.sha1), spooled.length),
            Carried::ResourceText | Carried::Upload(_) => return,
        };
        if sha1.is_some() && sha1 != actual_sha1 {
            self.error(IssueType::Value, format!("{at}.hash"), "The data does not have this SHA-1");
        }
        if length.is_some_and(|length| length != actual_length) {
            self.error(IssueType::Value, format!("{at}.size"), "The data does not have this size");
        }
    }

    /// The content's date at one of its elements, else the one of its last change.
    fn date(&mut self, element: &str, at: &str) -> Option<String> {
        match self.content.get(element) {
            Some(date) => self.checked_date(date, format!("{at}.{element}")),
            None => self.last_updated(at),
        }
    }

    fn last_updated(&mut self, at: &str) -> Option<String> {
        let date = self.content.get("meta")?.get("lastUpdated")?;
        self.checked_date(date, format!("{at}.meta.lastUpdated"))
    }

    fn checked_date(&mut self, date: &Value, at: String) -> Option<String> {
        let text = date.as_str().filter(|text| date_time_precision(text).is_some());
        if text.is_none() {
            self.error(IssueType::Value, at, "This is no date of FHIR's form");
        }
        text.map(str::to_owned)
    }

    fn error(&mut self, code: IssueType, at: String, text: &str) {
        self.add(Issue::error(code, at, text));
    }

    fn warn(&mut self, code: IssueType, at: String, text: &str) {
        self.add(Issue::error(code, at, text).into_warning());
    }

    /// A hostile body must not make the answer huge; an error is never left out for a warning.
    fn add(&mut self, issue: Issue) {
        if self.issues.len() < MOST_ISSUES || (issue.is_error() && !self.issues.iter().any(Issue::is_error)) {
            self.issues.push(issue);
        }
    }
}

/// Whether a text is `type/subtype`, perhaps with parameters (RFC 6838, 4.2).
fn is_media_type(text: &str) -> bool {
    let essence = text.split(';').next().unwrap_or_default().trim_end();
    let is_name = |name: &str| {
        let may_stand = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
        name.starts_with(|first: char| first.is_ascii_alphanumeric()) && name.bytes().all(may_stand)
    };
    essence.split_once('/').is_some_and(|(family, name)| is_name(family) && is_name(name))
}
