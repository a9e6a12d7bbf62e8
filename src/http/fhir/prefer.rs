//! `Prefer` (RFC 7240, FHIR R4 http): what the client wants back, and whether it minds what is ignored.

use axum::http::HeaderMap;

/// What the client wants back of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Return {
    /// Headers alone.
    Minimal,
    /// The outcome in full.
    Representation,
    /// An OperationOutcome about it.
    OperationOutcome,
}

/// The preferences of a request. What is not known is ignored, as RFC 7240 has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Preferences {
    /// `return=…`, if there is one; the last one counts.
    pub(super) returns: Option<Return>,
    /// `handling=strict`
    pub(super) strict: bool,
    /// `handling=lenient`
    pub(super) lenient: bool,
    /// `respond-async`
    pub(super) respond_async: bool,
}

impl Preferences {
    /// Reads the header fields.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let fields = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
        let mut preferences = Self::default();
        for preference in fields.flat_map(|value| value.split([',', ';'])) {
            // RFC 7240: names know no case, and a value may be quoted.
            match preference.trim().to_ascii_lowercase().replace('"', "").as_str() {
                "return=minimal" => preferences.returns = Some(Return::Minimal),
                "return=representation" => preferences.returns = Some(Return::Representation),
                "return=operationoutcome" => preferences.returns = Some(Return::OperationOutcome),
                "respond-async" => preferences.respond_async = true,
                "handling=strict" => (preferences.strict, preferences.lenient) = (true, false),
                "handling=lenient" => (preferences.strict, preferences.lenient) = (false, true),
                _ => {}
            }
        }
        preferences
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_known_preference_of_each_kind_counts() {
        use Return::{Minimal, OperationOutcome, Representation};
        for (text, returns, strict) in [
            ("", None, false),
            ("return=minimal", Some(Minimal), false),
            ("handling=strict; return=minimal", Some(Minimal), true),
            ("return=minimal, return=OperationOutcome", Some(OperationOutcome), false),
            ("respond-async", None, false),
            ("RETURN=\"Minimal\"", Some(Minimal), false),
            ("handling=strict, handling=lenient, return=representation", Some(Representation), false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("prefer", text.parse().expect("a header value"));
            let preferences = Preferences::of(&headers);
            assert_eq!((preferences.returns, preferences.strict), (returns, strict), "{text}");
            assert_eq!(preferences.respond_async, text.contains("async"), "{text}");
            assert_eq!(preferences.lenient, text.contains("lenient"), "{text}");
        }
        assert_eq!(Preferences::of(&HeaderMap::new()), Preferences::default());
    }
}
