//! HRex endpoint discovery: what an organisation publishes as `.well-known/davinci-configuration`, ours and that of
//! partners. CDex has one kind of endpoint there: the base of `$submit-attachment` for unsolicited attachments.

use serde_json::{Map, Value, json};

/// The path of the document, from a base on.
pub(crate) const DAVINCI_CONFIGURATION: &str = "/.well-known/davinci-configuration";

/// The key of the endpoint, without the version of the guide.
const ATTACH_SUBMIT: &str = "davinci_cdex_attachsubmit_endpoint";

/// The versions of the guide whose `$submit-attachment` is taken here.
const VERSIONS: [&str; 2] = ["2.1", "2.0"];

/// The name of the operation, as URLs end with it.
const OPERATION: &str = "/$submit-attachment";

/// What we publish.
pub(crate) fn configuration(identifier: Option<(&str, &str)>, fhir_base: &str) -> Value {
    let endpoints: Map<String, Value> =
        VERSIONS.iter().map(|version| (format!("{ATTACH_SUBMIT}#{version}"), fhir_base.into())).collect();
    let mut written = json!({ "endpoints": endpoints });
    if let Some((system, value)) = identifier {
        written["identifier"] = match system {
            "" => json!({ "value": value }),
            system => json!({ "system": system, "value": value }),
        };
    }
    written
}

/// Where a partner takes `$submit-attachment`, as its document says: of several versions of the guide the highest, and
/// the key without a version, which is deprecated, last. Versions that nobody has heard of count.
pub(crate) fn submit_url(configuration: &Value) -> Option<String> {
    let endpoints = configuration.get("endpoints")?.as_object()?;
    let of_ours = endpoints.iter().filter_map(|(key, url)| {
        let version = match key.strip_prefix(ATTACH_SUBMIT)? {
            "" => (0, 0),
            suffix => parse(suffix.strip_prefix('#')?)?,
        };
        Some((version, url.as_str().filter(|url| !url.is_empty())?))
    });
    let (_, base) = of_ours.max_by_key(|(version, _)| *version)?;
    Some(operation_url(base))
}

/// The URL of the operation at a base that may be the URL of the operation already (cdex §10, 27).
fn operation_url(base: &str) -> String {
    let base = base.trim_end_matches('/');
    if base.ends_with(OPERATION) { base.to_owned() } else { format!("{base}{OPERATION}") }
}

/// `x.y`
fn parse(version: &str) -> Option<(u32, u32)> {
    let (major, minor) = version.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_publish_is_found_by_whoever_reads_it_as_we_do() {
        let written = configuration(Some(("http://example.org/payers", "p1")), "https://payer.example/fhir");
        assert_eq!(written["identifier"]["value"], "p1");
        let url = "https://payer.example/fhir/$submit-attachment";
        assert_eq!(submit_url(&written).as_deref(), Some(url));
        assert!(configuration(None, "b").get("identifier").is_none());
    }

    #[test]
    fn the_highest_version_counts_and_what_is_no_version_does_not() {
        let key = |suffix: &str| format!("{ATTACH_SUBMIT}{suffix}");
        let cases = [
            (json!({}), None),
            (json!({ "endpoints": { "davinci_crd_hook_endpoint#1.1": "https://a" } }), None),
            (json!({ "endpoints": { key(""): "https://a" } }), Some("https://a/$submit-attachment")),
            (
                json!({ "endpoints": { key(""): "https://a", key("#1.0"): "https://b/" } }),
                Some("https://b/$submit-attachment"),
            ),
            (
                json!({ "endpoints": { key("#10.0"): "https://c", key("#9.7"): "https://b" } }),
                Some("https://c/$submit-attachment"),
            ),
            (
                json!({ "endpoints": { key("#2.1"): "https://c/$submit-attachment", key("#x"): "https://b" } }),
                Some("https://c/$submit-attachment"),
            ),
            (json!({ "endpoints": { key("#2.1"): 7, key("#2.0"): "" } }), None),
        ];
        for (configuration, expected) in cases {
            assert_eq!(submit_url(&configuration).as_deref(), expected, "{configuration}");
        }
    }
}
