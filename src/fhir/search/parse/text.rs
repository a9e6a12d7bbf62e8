//! The separators of FHIR R4 search values and their escapes: `\,` `\|` `\$` `\\` (search, Escaping Search Parameters).

use std::borrow::Cow;

/// Parts of a text between separators that no backslash precedes, still escaped.
pub(super) fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut is_escaped = false;
    text.split(move |character: char| {
        let separates = character == separator && !is_escaped;
        is_escaped = character == '\\' && !is_escaped;
        separates
    })
}

/// A text without its escapes; `None` if a backslash stands before anything that needs none.
pub(super) fn unescaped(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('\\') {
        return Some(Cow::Borrowed(text));
    }
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let kept = match character {
            '\\' => characters.next().filter(|escaped| matches!(escaped, ',' | '|' | '$' | '\\'))?,
            other => other,
        };
        plain.push(kept);
    }
    Some(Cow::Owned(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_escaped_separator_separates_nothing() {
        for (text, separator, parts) in [
            ("", ',', vec![""]),
            ("a,b", ',', vec!["a", "b"]),
            (r"a\,b,c", ',', vec![r"a\,b", "c"]),
            (r"a\\,b", ',', vec![r"a\\", "b"]),
            (r"a\|b|c\$d$e", '|', vec![r"a\|b", r"c\$d$e"]),
            (",a,", ',', vec!["", "a", ""]),
        ] {
            assert_eq!(split(text, separator).collect::<Vec<_>>(), parts, "{text}");
        }
    }

    #[test]
    fn only_what_needs_an_escape_may_have_one() {
        for (text, plain) in [
            ("plain", Some("plain")),
            (r"a\,b\|c\$d\\e", Some(r"a,b|c$d\e")),
            (r"\\\\", Some(r"\\")),
            (r"a\b", None),
            (r"end\", None),
        ] {
            assert_eq!(unescaped(text).as_deref(), plain, "{text}");
        }
    }
}
