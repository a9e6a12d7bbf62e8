//! Values as searches write them: what separates alternatives and parts is escaped where it belongs to a value (FHIR
//! R4 search, Escaping Search Parameters).

use std::borrow::Cow;

/// A value with its separators escaped.
pub(crate) fn escaped(value: &str) -> Cow<'_, str> {
    if !value.contains(is_special) {
        return Cow::Borrowed(value);
    }
    let mut text = String::with_capacity(value.len() + 4);
    for character in value.chars() {
        if is_special(character) {
            text.push('\\');
        }
        text.push(character);
    }
    Cow::Owned(text)
}

fn is_special(character: char) -> bool {
    matches!(character, '\\' | '|' | ',' | '$')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_are_escaped_and_nothing_else() {
        for (value, expected) in
            [("Doe", "Doe"), ("a,b", "a\\,b"), ("a|b$c", "a\\|b\\$c"), ("a\\b", "a\\\\b"), ("é ", "é ")]
        {
            assert_eq!(escaped(value), expected);
        }
    }
}
