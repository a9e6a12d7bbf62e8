//! Typed views of the FHIR R4 datatypes that the gateway reads, and the lexical forms of its primitives.
//! A view takes what is there and leaves judgement to [`mod@super::validate`]: what has the wrong form reads
//! as absent. It never changes the JSON it looks at.

use serde_json::Value;

/// An Identifier: who or what is meant, and in whose numbering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identifier<'a> {
    /// `Identifier.system`.
    pub(crate) system: Option<&'a str>,
    /// `Identifier.value`.
    pub(crate) value: Option<&'a str>,
}

impl<'a> Identifier<'a> {
    /// Reads the Identifier in `json`.
    pub(crate) fn of(json: &'a Value) -> Self {
        Self { system: text(json, "system"), value: text(json, "value") }
    }
}

/// A Coding: one code of one code system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Coding<'a> {
    /// `Coding.system`.
    pub(crate) system: Option<&'a str>,
    /// `Coding.code`.
    pub(crate) code: Option<&'a str>,
}

impl<'a> Coding<'a> {
    /// Reads the Coding in `json`.
    pub(crate) fn of(json: &'a Value) -> Self {
        Self { system: text(json, "system"), code: text(json, "code") }
    }
}

/// The codings of a CodeableConcept, in order; they all mean the same.
pub(crate) fn codings(concept: &Value) -> impl Iterator<Item = Coding<'_>> {
    concept.get("coding").and_then(Value::as_array).into_iter().flatten().map(Coding::of)
}

/// An Attachment: bytes, or where they are, and what is claimed about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attachment<'a> {
    /// `Attachment.contentType`.
    pub(crate) content_type: Option<&'a str>,
    /// `Attachment.data`, still base64.
    pub(crate) data: Option<&'a str>,
    /// `Attachment.url`.
    pub(crate) url: Option<&'a str>,
    /// `Attachment.size`: the number of bytes before they became base64.
    pub(crate) size: Option<u64>,
    /// `Attachment.hash`: base64 of the SHA-1 of the bytes before they became base64.
    pub(crate) hash: Option<&'a str>,
    /// `Attachment.title`.
    pub(crate) title: Option<&'a str>,
}

impl<'a> Attachment<'a> {
    /// Reads the Attachment in `json`.
    pub(crate) fn of(json: &'a Value) -> Self {
        Self {
            content_type: text(json, "contentType"),
            data: text(json, "data"),
            url: text(json, "url"),
            size: json.get("size").and_then(Value::as_u64),
            hash: text(json, "hash"),
            title: text(json, "title"),
        }
    }
}

/// How much of a moment a `date`, `dateTime` or `instant` tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Precision {
    /// `2022`
    Year,
    /// `2022-06`
    Month,
    /// `2022-06-16`
    Day,
    /// `2022-06-16T10:30:00Z`, perhaps with a fraction of the second.
    Second,
}

/// How precise a FHIR `dateTime` is; `None` if the text is none, or names a day that no calendar has.
pub(crate) fn date_time_precision(text: &str) -> Option<Precision> {
    let (date, time) = match text.split_once('T') {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let precision = date_precision(date)?;
    match time {
        None => Some(precision),
        Some(time) if precision == Precision::Day && is_time_with_offset(time) => Some(Precision::Second),
        Some(_) => None,
    }
}

/// Whether a text is a FHIR `dateTime` that names the day, as CDex demands of a claim's ServiceDate.
pub(crate) fn is_precise_to_the_day(text: &str) -> bool {
    date_time_precision(text).is_some_and(|precision| precision >= Precision::Day)
}

/// Whether a text is a FHIR `date`.
pub(crate) fn is_date(text: &str) -> bool {
    date_precision(text).is_some()
}

/// Whether a text is a FHIR `instant`: a `dateTime` with everything.
pub(crate) fn is_instant(text: &str) -> bool {
    date_time_precision(text) == Some(Precision::Second)
}

/// Whether a text is a FHIR `code`: no space at its ends, and no more than one between its words.
pub(crate) fn is_code(text: &str) -> bool {
    !text.is_empty()
        && text.split(' ').all(|word| !word.is_empty() && !word.contains(|c: char| c.is_whitespace()))
}

/// Whether a text is a FHIR `string`: something to read, and no control character but tab and line ends.
pub(crate) fn is_string(text: &str) -> bool {
    text.contains(|c: char| !c.is_whitespace())
        && !text.contains(|c: char| c < ' ' && !matches!(c, '\t' | '\n' | '\r'))
}

/// Whether a text is a FHIR `uri`, `url` or `canonical` as far as the lexical form goes.
pub(crate) fn is_uri(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace())
}

/// Whether a text is a FHIR `oid`: `urn:oid:` and numbers without leading zeros, the first of them 0, 1 or 2.
pub(crate) fn is_oid(text: &str) -> bool {
    let Some(numbers) = text.strip_prefix("urn:oid:") else { return false };
    let mut numbers = numbers.split('.');
    let is_number = |number: &str| {
        number == "0"
            || (!number.starts_with('0') && !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
    };
    let root_is_right = matches!(numbers.next(), Some("0" | "1" | "2"));
    let mut rest = numbers.peekable();
    root_is_right && rest.peek().is_some() && rest.all(is_number)
}

/// Whether a text is a FHIR `uuid`: `urn:uuid:` and a UUID in small letters.
pub(crate) fn is_uuid(text: &str) -> bool {
    let Some(uuid) = text.strip_prefix("urn:uuid:") else { return false };
    let groups = uuid.split('-').map(str::len);
    groups.eq([8, 4, 4, 4, 12]) && uuid.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b'-'))
}

/// Whether a text is a FHIR `time`: a time of day to the second, without a zone.
pub(crate) fn is_time(text: &str) -> bool {
    let (clock, fraction) = text.split_once('.').map_or((text, None), |(clock, rest)| (clock, Some(rest)));
    let mut parts = clock.split(':');
    // 60 is the leap second, which FHIR allows.
    let clock_is_right =
        [24, 60, 61].into_iter().all(|limit| parts.next().is_some_and(|part| is_below(part, limit)))
            && parts.next().is_none();
    clock_is_right
        && fraction.is_none_or(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// The elements of XHTML that a Narrative may have (FHIR R4, Narrative, `txt-1`).
#[rustfmt::skip]
const NARRATIVE: [&str; 50] = [
    "a", "abbr", "acronym", "b", "big", "blockquote", "br", "caption", "cite", "code", "col", "colgroup", "dd",
    "dfn", "div", "dl", "dt", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "img", "li", "ol", "p", "pre",
    "q", "samp", "small", "span", "strong", "sub", "sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr",
    "tt", "ul", "var", "map", "area",
];

/// Whether a text looks like the `div` of a Narrative, with none but the elements that it may have: no script, no
/// form, nothing from elsewhere. What is inside of tags is not read.
pub(crate) fn is_narrative(text: &str) -> bool {
    let text = text.trim();
    let mut elements = text.split('<').skip(1).filter_map(|tag| {
        let name = tag.strip_prefix('/').unwrap_or(tag);
        let end = name.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(name.len());
        // A comment, a declaration, or a lone sign.
        (end > 0).then(|| &name[..end])
    });
    if !elements.all(|name| NARRATIVE.contains(&name)) {
        return false;
    }
    text.strip_prefix("<div")
        .is_some_and(|rest| rest.starts_with(|c: char| c == '>' || c == '/' || c.is_whitespace()))
        && (text.ends_with("</div>") || text.ends_with("/>"))
}

/// Whether a text is a FHIR `id`.
pub(crate) fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
}

fn text<'a>(json: &'a Value, element: &str) -> Option<&'a str> {
    json.get(element).and_then(Value::as_str)
}

fn date_precision(text: &str) -> Option<Precision> {
    let mut parts = text.split('-');
    let year: i16 = parts.next().and_then(|part| number(part, 4))?;
    let month: Option<i8> = parts.next().map(|part| number(part, 2).ok_or(())).transpose().ok()?;
    let day: Option<i8> = parts.next().map(|part| number(part, 2).ok_or(())).transpose().ok()?;
    // FHIR counts from the year 0001; the calendar rules out the rest, 30 February for one.
    if parts.next().is_some() || year == 0 {
        return None;
    }
    jiff::civil::Date::new(year, month.unwrap_or(1), day.unwrap_or(1)).ok()?;
    Some(match (month, day) {
        (None, _) => Precision::Year,
        (Some(_), None) => Precision::Month,
        (Some(_), Some(_)) => Precision::Day,
    })
}

/// `hh:mm:ss`, an optional fraction, and `Z` or an offset of at most 14 hours.
fn is_time_with_offset(text: &str) -> bool {
    let Some(zone_at) = text.find(['Z', '+', '-']) else { return false };
    let (time, zone) = text.split_at(zone_at);
    let zone_is_right = zone == "Z"
        || zone[1..].split_once(':').is_some_and(|(hour, minute)| {
            (is_below(hour, 14) && is_below(minute, 60)) || (hour == "14" && minute == "00")
        }) && !zone.starts_with('Z');
    zone_is_right && is_time(time)
}

fn is_below(text: &str, limit: u8) -> bool {
    number::<u8>(text, 2).is_some_and(|value| value < limit)
}

/// A number of exactly `digits` decimal digits; `parse` alone would also take a sign.
fn number<N: std::str::FromStr>(text: &str, digits: usize) -> Option<N> {
    (text.len() == digits && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_date_time_is_as_precise_as_its_form() {
        let cases = [
            ("2022", Some(Precision::Year)),
            ("2022-06", Some(Precision::Month)),
            ("2022-06-16", Some(Precision::Day)),
            ("2024-02-29", Some(Precision::Day)),
            ("2022-06-16T10:30:00Z", Some(Precision::Second)),
            ("2022-06-16T10:30:00.123456789-05:00", Some(Precision::Second)),
            ("2016-12-31T23:59:60Z", Some(Precision::Second)),
            ("2022-06-16T10:30:00+14:00", Some(Precision::Second)),
            ("", None),
            ("0000", None),
            ("22", None),
            ("+022", None),
            ("2022-6", None),
            ("2022-13", None),
            ("2022-00", None),
            ("2023-02-29", None),
            ("2022-06-16-01", None),
            ("2022-06-16T", None),
            ("2022-06T10:30:00Z", None),
            ("2022-06-16T10:30Z", None),
            ("2022-06-16T10:30:00", None),
            ("2022-06-16T24:00:00Z", None),
            ("2022-06-16T10:30:00.Z", None),
            ("2022-06-16T10:30:00+14:30", None),
            ("2022-06-16T10:30:00Z05:00", None),
            ("2022-06-16 10:30:00Z", None),
            ("2022-06-16T10:30:00Zé", None),
            ("２０２２", None),
        ];
        for (text, expected) in cases {
            assert_eq!(date_time_precision(text), expected, "{text}");
            assert_eq!(is_instant(text), expected == Some(Precision::Second), "{text}");
            assert_eq!(is_date(text), expected.is_some_and(|p| p <= Precision::Day), "{text}");
            assert_eq!(is_precise_to_the_day(text), expected.is_some_and(|p| p >= Precision::Day), "{text}");
        }
    }

    #[test]
    fn primitives_have_their_lexical_form() {
        for (text, code, string, uri, id) in [
            ("claim", true, true, true, true),
            ("two words", true, true, false, false),
            ("two  spaces", false, true, false, false),
            (" ahead", false, true, false, false),
            ("after ", false, true, false, false),
            ("line\nend", false, true, false, false),
            ("bell\u{7}", true, false, true, false),
            ("http://loinc.org", true, true, true, false),
            (" \t", false, false, false, false),
            ("", false, false, false, false),
        ] {
            let found = (is_code(text), is_string(text), is_uri(text), is_id(text));
            assert_eq!(found, (code, string, uri, id), "{text:?}");
        }
        assert!(is_id(&"x".repeat(64)) && !is_id(&"x".repeat(65)));
    }

    #[test]
    fn an_oid_a_uuid_a_time_and_a_narrative_have_theirs() {
        for (is_one, right, wrong) in [
            (
                is_oid as fn(&str) -> bool,
                &["urn:oid:1.2", "urn:oid:2.16.0.840"][..],
                &[
                    "",
                    "1.2",
                    "urn:oid:1",
                    "urn:oid:3.1",
                    "urn:oid:1.02",
                    "urn:oid:1.",
                    "urn:oid:1.a",
                    "URN:OID:1.2",
                ][..],
            ),
            (
                is_uuid,
                &["urn:uuid:c757873d-ec9a-4326-a141-556f43239520"],
                &[
                    "c757873d-ec9a-4326-a141-556f43239520",
                    "urn:uuid:C757873D-ec9a-4326-a141-556f43239520",
                    "urn:uuid:c757873dec9a-4326-a141-556f43239520",
                    "urn:uuid:g757873d-ec9a-4326-a141-556f43239520",
                ],
            ),
            (
                is_time,
                &["00:00:00", "23:59:60", "10:00:00.25"],
                &["10:00", "24:00:00", "10:60:00", "10:00:00.", "10:00:00Z", "1:00:00", "10:00:00:00"],
            ),
            (
                is_narrative,
                &["<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>", " <div>x</div>\n", "<div/>"],
                &["x", "<p>x</p>", "<div>x", "<divx></divx>"],
            ),
        ] {
            assert!(right.iter().all(|text| is_one(text)), "{right:?}");
            assert!(!wrong.iter().any(|text| is_one(text)), "{wrong:?}");
        }
    }

    #[test]
    fn views_take_what_has_the_right_form_and_leave_the_rest() {
        let attachment =
            json!({ "contentType": "text/plain", "size": 5120, "hash": 7, "data": null, "title": "t" });
        assert_eq!(
            Attachment::of(&attachment),
            Attachment {
                content_type: Some("text/plain"),
                data: None,
                url: None,
                size: Some(5120),
                hash: None,
                title: Some("t")
            }
        );
        assert_eq!(Attachment::of(&json!({ "size": 2.5 })).size, None);
        assert_eq!(Identifier::of(&json!("text")), Identifier { system: None, value: None });
        let concept = json!({ "coding": [{ "system": "s", "code": "c" }, { "display": "d" }] });
        assert_eq!(
            codings(&concept).collect::<Vec<_>>(),
            [Coding { system: Some("s"), code: Some("c") }, Coding { system: None, code: None }]
        );
    }
}
