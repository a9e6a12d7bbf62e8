//! What the fuzz targets in `tests/fuzz` call of this stage; compiled for them only. It panics when a path could
//! leave its target, never on bad input.

use super::path_template::PathTemplate;
use crate::manifest::SenderManifest;

/// Renders a template with a hostile manifest, all cut from `input` at its line ends: template, upload id, file
/// name, data stream and route. Whatever they say, the path names one file below the root.
pub fn path_template(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut lines = text.splitn(5, '\n');
    let Ok(template) = PathTemplate::parse(lines.next().unwrap_or_default()) else { return };
    let mut fields = serde_json::json!({ "dex_ingest_datetime": "2020-04-11T05:12:30Z" });
    for key in ["upload_id", "received_filename", "data_stream_id", "data_stream_route"] {
        fields[key] = lines.next().unwrap_or("x").into();
    }
    let Ok(manifest) = SenderManifest::from_json(fields.to_string().as_bytes()) else { return };
    let path = template.render(&manifest).expect("the manifest says when the upload was taken");
    assert!(!path.contains('\\') && !path.contains(char::is_control), "{path:?}");
    for segment in path.split('/') {
        let folded = segment.to_ascii_lowercase();
        assert!(!segment.is_empty() && segment != "." && segment != ".." && segment.len() <= 255, "{path:?}");
        assert!(!folded.starts_with(".part-") && !folded.ends_with(".meta.json"), "{path:?}");
    }
}
