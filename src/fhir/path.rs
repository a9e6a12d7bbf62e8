//! Element paths as issues show them: a simple FHIRPath such as `Parameters.parameter[3].part[1].resource`.
//! Property names come from the client and may be anything, a person's name or number too: a name that does not
//! have the form of an element's is never shown.

use std::fmt::Write;

/// Appends a property. The name is shown as `?` unless it could be the name of an element.
pub(crate) fn push_member(path: &mut String, name: &[u8]) {
    path.push('.');
    let shown = std::str::from_utf8(name).ok().filter(|name| is_element_name(name));
    path.push_str(shown.unwrap_or("?"));
}

/// Whether this has the form of every JSON property of FHIR R4: a small letter, then letters and no more digits than
/// `valueBase64Binary` has; before it an underscore, perhaps. Birth dates and member numbers do not have it.
fn is_element_name(name: &str) -> bool {
    let element = name.strip_prefix('_').unwrap_or(name);
    element.len() <= 64
        && element.starts_with(|first: char| first.is_ascii_lowercase())
        && element.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && element.bytes().filter(u8::is_ascii_digit).count() <= 2
}

/// Appends the position in a repeating element.
pub(crate) fn push_index(path: &mut String, index: usize) {
    // Writing to a String cannot fail.
    let _ = write!(path, "[{index}]");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_cannot_be_an_element_is_not_shown() {
        for (name, shown) in [
            ("valueString", "P.valueString"),
            ("_birthDate", "P._birthDate"),
            ("valueBase64Binary", "P.valueBase64Binary"),
            ("", "P.?"),
            ("_", "P.?"),
            ("Jane", "P.?"),
            ("jane-doe", "P.?"),
            ("mrn1234567", "P.?"),
            ("1969-04-12", "P.?"),
            ("Jane Doe", "P.?"),
            ("Jos\u{e9}", "P.?"),
            (&"a".repeat(65), "P.?"),
        ] {
            let mut path = "P".to_owned();
            push_member(&mut path, name.as_bytes());
            assert_eq!(path, shown);
        }
        let mut path = "P.x".to_owned();
        push_index(&mut path, 12);
        assert_eq!(path, "P.x[12]");
    }
}
