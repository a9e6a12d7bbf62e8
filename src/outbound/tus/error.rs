//! What a tus server can answer instead of what was asked of it, and what helps. What it says in words is kept beside
//! the error and is never part of its text.

use std::error::Error;
use std::time::Duration;

use serde_json::Value;

use crate::outbound::{Answer, OutboundError};

/// The most lines of a refusal that are kept, and the most characters of each.
const MESSAGES: (usize, usize) = (32, 300);

/// The marker that DEX repeats before each of its messages.
const MARKER: &str = "validation failure";

/// A request to a tus server did not do what it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RemoteError {
    /// There was no answer.
    #[error("{0}")]
    Call(#[from] OutboundError),
    /// There is no token to call it with.
    #[error("there is no token for the server: {0}")]
    Token(#[source] Box<dyn Error + Send + Sync>),
    /// It does not do what was asked.
    #[error("the server answered with status {}{}", .0.status, .0.count())]
    Refused(Refusal),
    /// The upload is not there, or not for us, any more.
    #[error("the upload is gone at the server: status {status}")]
    Gone {
        /// Its status.
        status: u16,
    },
    /// It was begun at another server than the one that is set now.
    #[error("the upload was begun at another server")]
    OtherServer,
    /// The upload there is another than the one that was begun.
    #[error("the upload at the server has another length")]
    OtherLength,
    /// The answer is not one of tus.
    #[error("the answer of the server {0}")]
    Protocol(&'static str),
}

/// An answer that refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Its status.
    pub(crate) status: u16,
    /// When the server wants to be asked again.
    pub(crate) retry_after: Option<Duration>,
    /// What it says, for whoever sent the upload: DEX's validation errors, or its one line of text. Never for logs.
    pub(crate) messages: Vec<String>,
}

/// What helps after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Asking again, not before the server said.
    Wait(Option<Duration>),
    /// Somebody who lets us in.
    Permission,
    /// Another upload.
    NewUpload,
    /// Nothing: it would fail the same way.
    Nothing,
}

impl RemoteError {
    /// What helps (dex-upload F-05, F-07, F-08).
    pub(crate) fn remedy(&self) -> Remedy {
        match self {
            // Where the answer is not one of tus it may be a proxy that spoke instead of the server.
            Self::Call(OutboundError::Connect | OutboundError::Timeout | OutboundError::Broken)
            | Self::Protocol(_) => Remedy::Wait(None),
            Self::Call(_) => Remedy::Nothing,
            Self::Token(_) => Remedy::Permission,
            Self::Gone { .. } | Self::OtherServer | Self::OtherLength => Remedy::NewUpload,
            Self::Refused(refusal) => match refusal.status {
                401 => Remedy::Permission,
                // What a server does not implement (501, 505) it does not implement later either.
                408 | 409 | 423 | 425 | 429 | 460 | 500 | 502..=504 | 506.. => {
                    Remedy::Wait(refusal.retry_after)
                }
                _ => Remedy::Nothing,
            },
        }
    }
}

impl Refusal {
    /// What an answer that refuses says.
    pub(super) fn of(answer: &Answer) -> Self {
        Self { status: answer.status, retry_after: answer.retry_after(), messages: messages(&answer.body) }
    }

    /// How much it says, for a text that does not repeat it.
    fn count(&self) -> String {
        match self.messages.len() {
            0 => String::new(),
            1 => " and a reason".to_owned(),
            more => format!(" and {more} reasons"),
        }
    }
}

/// The lines of a body that refuses: DEX sends JSON and calls it text (dex-upload F-07); tusd sends a line.
fn messages(body: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(body).unwrap_or_default().trim();
    let json: Option<Value> = serde_json::from_str(text).ok();
    let errors = json.as_ref().and_then(|json| json.get("validation_errors")?.as_array());
    let mut told: Vec<String> = Vec::new();
    match errors {
        Some(errors) => {
            for error in errors.iter().filter_map(Value::as_str).filter(|error| *error != MARKER) {
                told.push(bounded(error));
            }
        }
        // A page of a proxy between says nothing to anybody.
        None if !text.is_empty() && !text.starts_with('<') && text.lines().count() == 1 => {
            told.push(bounded(text));
        }
        None => {}
    }
    let mut seen = std::collections::BTreeSet::new();
    told.retain(|line| seen.insert(line.clone()));
    told.truncate(MESSAGES.0);
    told
}

fn bounded(line: &str) -> String {
    line.chars().filter(|character| !character.is_control()).take(MESSAGES.1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// F-07
    #[test]
    fn f_07_what_dex_says_of_a_manifest_is_read_whatever_its_content_type_and_the_marker_left_out() {
        let dex = br#"{"upload_id":"x","validation_errors":["validation failure","sender_id had disallowed value Q",
            "validation failure","field jurisdiction was missing","field jurisdiction was missing"]}"#;
        assert_eq!(messages(dex), ["sender_id had disallowed value Q", "field jurisdiction was missing"]);
        assert_eq!(messages(b"ERR_INVALID_OFFSET: missing\n"), ["ERR_INVALID_OFFSET: missing"]);
        for nothing in [&b""[..], b"<html>", b"two\nlines", b"\xff", br#"{"validation_errors":7}"#] {
            let told = messages(nothing);
            assert!(told.is_empty() || told == [r#"{"validation_errors":7}"#], "{told:?}");
        }
        let endless = serde_json::json!({ "validation_errors": vec!["x".repeat(1000); 1] }).to_string();
        assert_eq!(messages(endless.as_bytes())[0].len(), MESSAGES.1);
    }

    #[test]
    fn the_text_of_an_error_repeats_nothing_that_the_server_said() {
        let refusal =
            Refusal { status: 400, retry_after: None, messages: vec!["ZZ".to_owned(), "SECRET".to_owned()] };
        assert_eq!(
            RemoteError::Refused(refusal).to_string(),
            "the server answered with status 400 and 2 reasons"
        );
    }

    /// F-05, F-07, F-08
    #[test]
    fn f_08_each_status_has_its_remedy() {
        let of = |status| {
            RemoteError::Refused(Refusal { status, retry_after: None, messages: Vec::new() }).remedy()
        };
        for status in [408, 409, 423, 425, 429, 460, 500, 502, 503, 504, 507] {
            assert_eq!(of(status), Remedy::Wait(None), "{status}");
        }
        for status in [301, 400, 403, 404, 411, 412, 413, 415, 501, 505] {
            assert_eq!(of(status), Remedy::Nothing, "{status}");
        }
        assert_eq!(of(401), Remedy::Permission);
        assert_eq!(RemoteError::Gone { status: 410 }.remedy(), Remedy::NewUpload);
        assert_eq!(RemoteError::Call(OutboundError::Broken).remedy(), Remedy::Wait(None));
        assert_eq!(RemoteError::Call(OutboundError::Forbidden).remedy(), Remedy::Nothing);
    }
}
