//! Where in a target a file goes: DEX's path templates, `{{.Name}}` substitutions in a relative path. What
//! is substituted comes from outside, so whatever it says, the result names one file below the target's
//! root.

use crate::clock::Timestamp;
use crate::manifest::SenderManifest;

/// What an empty template means.
const DEFAULT_TEMPLATE: &str = "{{.Year}}/{{.Month}}/{{.Day}}/{{.Filename}}";
/// The longest that one substituted value may be.
const VALUE_LIMIT_BYTES: usize = 150;
/// The longest segment: file systems take 255 bytes, and a clash may add an upload id, a sidecar a suffix.
const SEGMENT_LIMIT_BYTES: usize = 205;
/// How much of the end of a segment survives when it is shortened: an upload id and an extension.
const SEGMENT_TAIL_BYTES: usize = 60;

/// A template that cannot be used, or a manifest it cannot be used with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PathTemplateError {
    /// `{{` without `}}`.
    #[error("a substitution is not closed: `{{{{` without `}}}}`")]
    Unclosed,
    /// Something else than `.Name` stands between the braces.
    #[error("`{{{{{0}}}}}` is not supported; only plain substitutions like `{{{{.Filename}}}}` are")]
    NotASubstitution(String),
    /// There is no such variable.
    #[error("there is no variable .{0}")]
    UnknownVariable(String),
    /// The path would leave the target, or is no path.
    #[error("the path must be relative, without `.` or `..` segments, backslashes and control characters")]
    UnsafePath,
    /// The manifest does not say when the upload was taken.
    #[error("bad ingest timestamp")]
    IngestTimestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variable {
    Year,
    Month,
    Day,
    Hour,
    UploadId,
    Filename,
    DataStreamId,
    DataStreamRoute,
    /// `.Prefix` and `.Suffix`, which have always been empty.
    Empty,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Variable(Variable),
}

/// A template that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PathTemplate {
    parts: Vec<Part>,
}

impl PathTemplate {
    /// Reads a template; the empty one is `{{.Year}}/{{.Month}}/{{.Day}}/{{.Filename}}`.
    pub(crate) fn parse(text: &str) -> Result<Self, PathTemplateError> {
        let mut rest = if text.is_empty() { DEFAULT_TEMPLATE } else { text };
        let mut parts = Vec::new();
        while let Some((literal, after)) = rest.split_once("{{") {
            let (action, behind) = after.split_once("}}").ok_or(PathTemplateError::Unclosed)?;
            parts.push(Part::Literal(literal.to_owned()));
            parts.push(Part::Variable(parse_action(action)?));
            rest = behind;
        }
        parts.push(Part::Literal(rest.to_owned()));
        parts.retain(|part| *part != Part::Literal(String::new()));
        let template = Self { parts };
        template.check_literals()?;
        Ok(template)
    }

    /// The path for the upload of this manifest, relative to the target's root, `/` between segments.
    ///
    /// Substituted values lose what could move the file elsewhere or hide its name: separators, control and
    /// text direction characters become `_`, and so do two dots in a row. Spaces, parentheses, `+` and
    /// letters of any script stay. The extension of the file name goes to the end of the path.
    pub(crate) fn render(&self, manifest: &SenderManifest) -> Result<String, PathTemplateError> {
        let ingested = Timestamp::parse_rfc3339(manifest.dex_ingest_datetime())
            .ok_or(PathTemplateError::IngestTimestamp)?
            .to_civil();
        let upload_id = safe_value(manifest.fields().get("upload_id").unwrap_or_default());
        let (stem, extension) = split_extension(manifest.filename());
        let mut path = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => path.push_str(text),
                Part::Variable(Variable::Year) => path.push_str(&ingested.year().to_string()),
                Part::Variable(Variable::Month) => push_two_digits(&mut path, ingested.month()),
                Part::Variable(Variable::Day) => push_two_digits(&mut path, ingested.day()),
                Part::Variable(Variable::Hour) => push_two_digits(&mut path, ingested.hour()),
                Part::Variable(Variable::UploadId) => path.push_str(&upload_id),
                Part::Variable(Variable::Filename) => path.push_str(&safe_value(stem)),
                Part::Variable(Variable::DataStreamId) => {
                    path.push_str(&safe_value(manifest.data_stream_id()));
                }
                Part::Variable(Variable::DataStreamRoute) => {
                    path.push_str(&safe_value(manifest.data_stream_route()));
                }
                Part::Variable(Variable::Empty) => {}
            }
        }
        path.push_str(&safe_value(extension));
        Ok(safe_path(&path, &upload_id))
    }

    /// The text between substitutions is the operator's, so it is refused rather than changed.
    fn check_literals(&self) -> Result<(), PathTemplateError> {
        let mut outline = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => outline.push_str(text),
                Part::Variable(_) => outline.push('x'),
            }
        }
        let is_unsafe = outline.starts_with('/')
            || outline.contains('\\')
            || outline.chars().any(char::is_control)
            || outline.split('/').any(|segment| segment == "." || segment == "..");
        if is_unsafe { Err(PathTemplateError::UnsafePath) } else { Ok(()) }
    }
}

fn parse_action(action: &str) -> Result<Variable, PathTemplateError> {
    let name = action
        .trim()
        .strip_prefix('.')
        .filter(|name| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_'))
        .ok_or_else(|| PathTemplateError::NotASubstitution(action.to_owned()))?;
    Ok(match name {
        "Year" => Variable::Year,
        "Month" => Variable::Month,
        "Day" => Variable::Day,
        "Hour" => Variable::Hour,
        "UploadId" => Variable::UploadId,
        "Filename" => Variable::Filename,
        "DataStreamID" => Variable::DataStreamId,
        "DataStreamRoute" => Variable::DataStreamRoute,
        "Prefix" | "Suffix" => Variable::Empty,
        _ => return Err(PathTemplateError::UnknownVariable(name.to_owned())),
    })
}

/// `number` is never negative: a month, day or hour.
fn push_two_digits(path: &mut String, number: i8) {
    if number < 10 {
        path.push('0');
    }
    path.push_str(&number.to_string());
}

/// Splits before the last dot of the last segment, as Go's `filepath.Ext` does: `.hidden` is all extension.
fn split_extension(filename: &str) -> (&str, &str) {
    let dot = filename.rfind(['.', '/']).filter(|&at| filename[at..].starts_with('.'));
    filename.split_at(dot.unwrap_or(filename.len()))
}

/// A value that cannot add, end or climb a segment, of at most [`VALUE_LIMIT_BYTES`].
fn safe_value(value: &str) -> String {
    let replaced: String = value.chars().map(|c| if is_harmful(c) { '_' } else { c }).collect();
    let mut safe = replaced.replace("..", "__");
    safe.truncate(safe.floor_char_boundary(VALUE_LIMIT_BYTES));
    safe
}

/// Separators; control characters; and the invisible characters that reorder or split what a person reads,
/// such as the right-to-left override that makes `gpj.exe` look like `exe.jpg`.
fn is_harmful(c: char) -> bool {
    matches!(
        c,
        '/' | '\\' | '\u{061c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' | '\u{feff}'
    ) || c.is_control()
}

/// The rendered path as one that names a file below the root: empty values leave no empty segments, no
/// segment is `.` or `..` or looks like one of our own files, and the last one is never missing.
fn safe_path(rendered: &str, upload_id: &str) -> String {
    let mut segments: Vec<String> = rendered.split('/').map(safe_segment).collect();
    // Without this a file with an empty name would take the place of its own folder.
    if let Some(last) = segments.last_mut()
        && last.is_empty()
    {
        *last = safe_segment(upload_id);
    }
    segments.retain(|segment| !segment.is_empty());
    if segments.is_empty() { "_".to_owned() } else { segments.join("/") }
}

fn safe_segment(segment: &str) -> String {
    let mut segment = shortened(segment);
    if segment == "." || segment == ".." {
        return "_".repeat(segment.len());
    }
    // A dot in front hides a file, and is how unfinished ones begin; dots and spaces at the end are dropped by
    // some file systems.
    if segment.starts_with('.') {
        segment.replace_range(..1, "_");
    }
    let kept = segment.trim_end_matches(['.', ' ']).len();
    let dropped = segment.len() - kept;
    segment.replace_range(kept.., &"_".repeat(dropped));
    // `*.meta.json` are sidecars; a file system may ignore letter case.
    let folded = segment.to_ascii_lowercase();
    if folded.ends_with(".meta.json") {
        segment.insert(segment.len() - ".json".len(), '_');
    }
    segment
}

/// A segment of at most [`SEGMENT_LIMIT_BYTES`], cut in the middle: the upload id and the extension stand
/// at the end.
fn shortened(segment: &str) -> String {
    if segment.len() <= SEGMENT_LIMIT_BYTES {
        return segment.to_owned();
    }
    let head = segment.floor_char_boundary(SEGMENT_LIMIT_BYTES - SEGMENT_TAIL_BYTES);
    let tail = segment.ceil_char_boundary(segment.len() - SEGMENT_TAIL_BYTES);
    format!("{}{}", &segment[..head], &segment[tail..])
}

#[cfg(test)]
#[path = "path_template_tests.rs"]
mod tests;
