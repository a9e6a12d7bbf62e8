//! Element paths as issues show them: a simple FHIRPath such as `Parameters.parameter[3].part[1].resource`.
//! Property names come from the client and may be anything, a person's name too: a name that does not look
//! like an element's is never shown.

use std::fmt::Write;

/// Appends a property. The name is shown as `?` unless it could be the name of an element.
pub(crate) fn push_member(path: &mut String, name: &[u8]) {
    path.push('.');
    let shown = std::str::from_utf8(name).ok().filter(|name| {
        (1..=64).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'-'))
    });
    path.push_str(shown.unwrap_or("?"));
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
            ("", "P.?"),
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
