//! The identifiers the gateway makes: one type per kind, so that an upload is never looked up by a
//! delivery's id. This is the only file that makes identifiers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A text was not a UUID in its lower-case, hyphenated form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a lower-case hyphenated UUID")]
pub struct InvalidId;

macro_rules! id {
    ($(#[$meta:meta])* $name:ident, $make:expr) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Makes a new one.
            #[expect(clippy::new_without_default, reason = "a default identifier would be a new one each time")]
            pub fn new() -> Self {
                Self($make)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let id = Uuid::try_parse(text).map_err(|_| InvalidId)?;
                // `Uuid` also reads braces, URNs and upper case; only one spelling may name a row.
                if id.as_hyphenated().to_string() == text { Ok(Self(id)) } else { Err(InvalidId) }
            }
        }
    };
}

id!(
    /// Names one upload, whichever door its bytes came through. Random, so that it cannot be guessed;
    /// a UUID because the DEX report schema demands one.
    UploadId,
    Uuid::new_v4()
);
id!(
    /// Names one upload on its way to one path at one target.
    DeliveryId,
    Uuid::now_v7()
);
id!(
    /// Names one try of a delivery.
    AttemptId,
    Uuid::now_v7()
);
id!(
    /// Names one accepted `$submit-attachment`.
    SubmissionId,
    Uuid::now_v7()
);
id!(
    /// Names a FHIR resource that came without an id of its own. In the order of creation, so that indexes grow at
    /// their end.
    ResourceId,
    Uuid::now_v7()
);
id!(
    /// Names one audit row.
    AuditId,
    Uuid::now_v7()
);
id!(
    /// Names one bulk export. Random: whoever may ask for it should not be able to guess others.
    ExportId,
    Uuid::new_v4()
);
id!(
    /// Names one file of a bulk export.
    ExportFileId,
    Uuid::now_v7()
);
id!(
    /// Names one request to a partner; also the identifier by which the partner knows its Task again.
    TaskRequestId,
    Uuid::now_v7()
);
id!(
    /// Names one statement of a subscription's status, in a notification or in an answer.
    NotificationId,
    Uuid::new_v4()
);
id!(
    /// Names one assertion by which the gateway proves who it is (RFC 7519 `jti`).
    AssertionId,
    Uuid::new_v4()
);
id!(
    /// Names one HTTP request in answers, logs and audit rows.
    RequestId,
    Uuid::now_v7()
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_lower_case_hyphenated_spelling_is_an_id() {
        let id = UploadId::new();
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in [
            "",
            "blah",
            "../x",
            &id.to_string().to_uppercase(),
            &format!("{{{id}}}"),
            &format!("urn:uuid:{id}"),
        ] {
            assert_eq!(text.parse::<UploadId>(), Err(InvalidId), "{text}");
        }
    }
}
