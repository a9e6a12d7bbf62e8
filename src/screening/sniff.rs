//! What bytes look like, from how they begin, and whether that goes with what they are said to be. A type that has no
//! mark of its own is not recognised, and what is not recognised contradicts nothing. Pure.

/// How many bytes are looked at. Enough for the names of the first entries of an Office file.
pub(crate) const HEAD_BYTES: usize = 8 * 1024;

/// Whether bytes are what they are said to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Agreement {
    /// They look like it.
    Agrees,
    /// They look like something else.
    Differs,
    /// Nothing was said, or nothing can be seen.
    Unrecognised,
}

impl Agreement {
    const ALL: [Self; 3] = [Self::Agrees, Self::Differs, Self::Unrecognised];

    /// The word in the table and in answers.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Agrees => "agrees",
            Self::Differs => "differs",
            Self::Unrecognised => "unrecognised",
        }
    }

    /// The one of this word.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|agreement| agreement.as_str() == text)
    }
}

const TEXT: &str = "text/plain";
const XML: &str = "application/xml";
const HTML: &str = "text/html";
const JSON: &str = "application/json";
const ZIP: &str = "application/zip";
const GZIP: &str = "application/gzip";
const OFFICE: &str = "application/x-ole-storage";
const DOCX: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
const PPTX: &str = "application/vnd.openxmlformats-officedocument.presentationml.presentation";
const SCRIPT: &str = "text/x-script";

/// Marks at fixed places: where, which bytes, what that is.
const MARKS: &[(usize, &[u8], &str)] = &[
    (0, b"\xFF\xD8\xFF", "image/jpeg"),
    (0, b"\x89PNG\r\n\x1A\n", "image/png"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (0, b"II*\0", "image/tiff"),
    (0, b"MM\0*", "image/tiff"),
    (8, b"WEBP", "image/webp"),
    (8, b"WAVE", "audio/wav"),
    (4, b"ftyp", "video/mp4"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"OggS", "application/ogg"),
    (0, b"{\\rtf", "application/rtf"),
    (128, b"DICM", "application/dicom"),
    (0, b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", OFFICE),
    (0, b"PK\x03\x04", ZIP),
    (0, b"PK\x05\x06", ZIP),
    (0, b"\x1F\x8B\x08", GZIP),
    (0, b"BZh", "application/x-bzip2"),
    (0, b"\xFD7zXZ\0", "application/x-xz"),
    (0, b"7z\xBC\xAF\x27\x1C", "application/x-7z-compressed"),
    (0, b"Rar!\x1A\x07", "application/vnd.rar"),
    (0, b"SQLite format 3\0", "application/vnd.sqlite3"),
    (0, b"\x7FELF", "application/x-elf"),
    (0, b"\xCF\xFA\xED\xFE", "application/x-mach-binary"),
    (0, b"\xCA\xFE\xBA\xBE", "application/java-vm"),
    (0, b"\0asm", "application/wasm"),
    (0, b"#!", SCRIPT),
    (0, b"MSH|", "x-application/hl7-v2+er7"),
];

/// Names that one type goes by: the first is the one that is shown.
const NAMES: &[&[&str]] = &[
    &["application/pdf", "application/x-pdf"],
    &["image/jpeg", "image/jpg", "image/pjpeg"],
    &["image/png", "image/x-png"],
    &["image/gif"],
    &["image/tiff", "image/tif"],
    &["image/webp"],
    &["audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave"],
    &["video/mp4", "audio/mp4", "video/quicktime", "image/heic", "image/heif", "image/avif", "audio/x-m4a"],
    &["audio/mpeg", "audio/mp3"],
    &["application/ogg", "audio/ogg", "video/ogg"],
    &["application/rtf", "text/rtf", "text/richtext"],
    &["application/dicom"],
    &[
        OFFICE,
        "application/msword",
        "application/vnd.ms-excel",
        "application/vnd.ms-powerpoint",
        "application/vnd.ms-outlook",
    ],
    &[DOCX, ZIP],
    &[XLSX, ZIP],
    &[PPTX, ZIP],
    &[
        ZIP,
        "application/x-zip-compressed",
        "application/epub+zip",
        "application/java-archive",
        DOCX,
        XLSX,
        PPTX,
    ],
    &[GZIP, "application/x-gzip", "application/x-tar", "application/tar+gzip"],
    &["application/x-bzip2"],
    &["application/x-xz"],
    &["application/x-7z-compressed"],
    &["application/vnd.rar", "application/x-rar-compressed"],
    &["application/vnd.sqlite3", "application/x-sqlite3"],
    &["application/x-elf", "application/x-executable", "application/x-sharedlib"],
    &["application/vnd.microsoft.portable-executable", "application/x-msdownload", "application/x-dosexec"],
    &["application/x-mach-binary"],
    &["application/java-vm"],
    &["application/wasm"],
    &[SCRIPT, "text/x-shellscript", "application/x-sh", "text/x-python", "text/x-perl"],
    &["x-application/hl7-v2+er7", "application/hl7-v2", "application/edi-hl7v2"],
];

/// Where the second header of a Windows program may begin.
const FARTHEST_HEADER: u32 = 1 << 20;

/// What these bytes look like; they are the beginning of what is looked at, and all of it if they are fewer than
/// [`HEAD_BYTES`].
pub(crate) fn sniff(head: &[u8]) -> Option<&'static str> {
    // A PDF may have something before its header (ISO 32000, annex H).
    if memchr::memmem::find(&head[..head.len().min(1024)], b"%PDF-").is_some() {
        return Some("application/pdf");
    }
    if is_windows_program(head) {
        return Some("application/vnd.microsoft.portable-executable");
    }
    let has = |at: usize, mark: &[u8]| head.get(at..).is_some_and(|rest| rest.starts_with(mark));
    match MARKS.iter().find(|(at, mark, _)| has(*at, mark)) {
        Some((.., found)) if *found == ZIP => Some(zipped(head)),
        Some((.., found)) => Some(found),
        None => written(head),
    }
}

/// `MZ` alone begins many a text; the header of a program says where the other one is.
fn is_windows_program(head: &[u8]) -> bool {
    let Some(at) = head.get(0x3C..0x40).and_then(|at| at.try_into().ok()).map(u32::from_le_bytes) else {
        return false;
    };
    let second = usize::try_from(at).ok().and_then(|at| head.get(at..));
    // Where it lies beyond what is looked at, it is near all the same; four letters of a text are a large number.
    head.starts_with(b"MZ") && second.map_or(at < FARTHEST_HEADER, |second| second.starts_with(b"PE\0\0"))
}

/// What an archive is, by the names of its first entries.
fn zipped(head: &[u8]) -> &'static str {
    let names = |folder: &[u8]| memchr::memmem::find(head, folder).is_some();
    match () {
        () if !names(b"[Content_Types].xml") => ZIP,
        () if names(b"word/") => DOCX,
        () if names(b"xl/") => XLSX,
        () if names(b"ppt/") => PPTX,
        () => ZIP,
    }
}

/// What text it is, if it is text: UTF-8 without control characters, perhaps cut within a character.
fn written(head: &[u8]) -> Option<&'static str> {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return None,
    };
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let is_control = |c: char| c < ' ' && !matches!(c, '\t' | '\n' | '\r' | '\u{C}');
    if text.trim().is_empty() || text.contains(is_control) {
        return None;
    }
    let text = text.trim_start();
    let mut after = text.chars().skip(1).skip_while(|c| c.is_whitespace());
    Some(match text.as_bytes().first() {
        Some(b'<') if begins_html(text) => HTML,
        Some(b'<')
            if text.starts_with("<?xml") || after.next().is_some_and(|c| c.is_alphabetic() || c == '!') =>
        {
            XML
        }
        Some(b'{') if matches!(after.next(), Some('"' | '}')) => JSON,
        Some(b'[') if matches!(after.next(), Some('{' | '[' | '"' | ']' | '0'..='9' | '-')) => JSON,
        _ => TEXT,
    })
}

fn begins_html(text: &str) -> bool {
    ["<!doctype html", "<html"]
        .iter()
        .any(|start| text.get(..start.len()).is_some_and(|own| own.eq_ignore_ascii_case(start)))
}

/// Whether bytes that look like `found` may be called `declared`.
pub(crate) fn compare(declared: Option<&str>, found: Option<&str>) -> Agreement {
    let (Some(declared), Some(found)) = (declared, found) else { return Agreement::Unrecognised };
    let declared = bare(declared);
    // The name of no type in particular (RFC 2046, 4.5.1).
    if matches!(&*declared, "" | "application/octet-stream" | "binary/octet-stream") {
        return Agreement::Unrecognised;
    }
    if declared == found || is_another_name(&declared, found) {
        return Agreement::Agrees;
    }
    if has_a_mark(&declared) {
        return Agreement::Differs;
    }
    // Of a type that we know no mark of, all that can be said is what it surely is not made of.
    match found {
        TEXT | XML | HTML | JSON | ZIP | GZIP | OFFICE => Agreement::Unrecognised,
        _ => Agreement::Differs,
    }
}

fn is_another_name(declared: &str, found: &str) -> bool {
    let is_text = declared.starts_with("text/") && !has_names(declared);
    match found {
        TEXT => is_text,
        XML => is_text || is_xml(declared),
        HTML => is_text || declared == "application/xhtml+xml",
        JSON => is_text || is_json(declared),
        ZIP if declared.starts_with("application/vnd.oasis.") => true,
        _ => NAMES.iter().any(|names| names[0] == found && names.contains(&declared)),
    }
}

/// Whether bytes of this type are recognised, so that others cannot be of it.
fn has_a_mark(declared: &str) -> bool {
    has_names(declared) || declared.starts_with("text/") || is_xml(declared) || is_json(declared)
}

fn has_names(declared: &str) -> bool {
    NAMES.iter().any(|names| names.contains(&declared))
}

fn is_xml(declared: &str) -> bool {
    declared == XML || declared == "text/xml" || declared.ends_with("+xml")
}

fn is_json(declared: &str) -> bool {
    declared == JSON || declared.ends_with("+json") || declared.ends_with("ndjson")
}

/// The type alone, without parameters, in small letters.
pub(crate) fn bare(media_type: &str) -> String {
    media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_recognised_by_their_marks() {
        let dicom = [&[0; 128][..], b"DICM"].concat();
        let program = [&b"MZ"[..], &[0; 0x3A], &0x40_u32.to_le_bytes(), b"PE\0\0"].concat();
        let cases: &[(&[u8], Option<&str>)] = &[
            (b"%PDF-1.7\n", Some("application/pdf")),
            (b"\r\n%PDF-1.4", Some("application/pdf")),
            (b"\xFF\xD8\xFF\xE0", Some("image/jpeg")),
            (b"\x89PNG\r\n\x1A\n", Some("image/png")),
            (b"GIF89a", Some("image/gif")),
            (b"RIFF\x01\x02\x03\x04WAVEfmt ", Some("audio/wav")),
            (&dicom, Some("application/dicom")),
            (&program, Some("application/vnd.microsoft.portable-executable")),
            (
                b"MZ is how this note begins, and a note it is, long enough to have a header in it.",
                Some("text/plain"),
            ),
            (b"\x7FELF\x02", Some("application/x-elf")),
            (b"#!/bin/sh\n", Some("text/x-script")),
            (b"PK\x03\x04\x14\0[Content_Types].xml word/document.xml", Some(DOCX)),
            (b"PK\x03\x04\x14\0notes.txt", Some(ZIP)),
            (b"{\\rtf1", Some("application/rtf")),
            (b"MSH|^~\\&|", Some("x-application/hl7-v2+er7")),
            (b"<?xml version=\"1.0\"?><ClinicalDocument/>", Some(XML)),
            (b"\xEF\xBB\xBF<Bundle xmlns=\"x\"/>", Some(XML)),
            (b"<!DOCTYPE HTML><p>", Some(HTML)),
            (b" {\"resourceType\":\"Bundle\"}", Some(JSON)),
            (b"[1, 2]", Some(JSON)),
            (b"{braces} in words", Some(TEXT)),
            ("Grüße".as_bytes(), Some(TEXT)),
            (&"Grüße".as_bytes()[..3], Some(TEXT)),
            (b"", None),
            (b"  \n", None),
            (b"\x01\x02\x03", None),
            (b"Gr\xFC\xDFe", None),
        ];
        for (head, expected) in cases {
            assert_eq!(sniff(head), *expected, "{}", String::from_utf8_lossy(head));
        }
    }

    #[test]
    fn only_what_is_seen_to_be_another_type_differs() {
        use Agreement::{Agrees, Differs, Unrecognised};
        for (declared, found, expected) in [
            ("application/pdf", "application/pdf", Agrees),
            ("Application/PDF; version=1.7", "application/pdf", Agrees),
            ("image/jpg", "image/jpeg", Agrees),
            ("application/msword", OFFICE, Agrees),
            (DOCX, ZIP, Agrees),
            (ZIP, DOCX, Agrees),
            ("application/vnd.oasis.opendocument.text", ZIP, Agrees),
            ("text/markdown", TEXT, Agrees),
            ("text/plain", JSON, Agrees),
            ("text/plain", HTML, Agrees),
            ("text/xml", XML, Agrees),
            ("image/svg+xml", XML, Agrees),
            ("application/fhir+json", JSON, Agrees),
            ("application/fhir+ndjson", JSON, Agrees),
            ("application/pdf", TEXT, Differs),
            ("image/png", "image/jpeg", Differs),
            ("text/plain", "application/pdf", Differs),
            ("text/plain", SCRIPT, Differs),
            ("application/fhir+json", XML, Differs),
            ("application/fhir+xml", JSON, Differs),
            ("application/dicom", "application/x-elf", Differs),
            ("application/x-own", "application/x-elf", Differs),
            ("application/x-own", TEXT, Unrecognised),
            ("application/x-own", ZIP, Unrecognised),
            ("application/octet-stream", "application/x-elf", Unrecognised),
        ] {
            assert_eq!(compare(Some(declared), Some(found)), expected, "{declared} {found}");
        }
        assert_eq!(compare(None, Some(TEXT)), Unrecognised);
        assert_eq!(compare(Some("application/pdf"), None), Unrecognised);
    }
}
