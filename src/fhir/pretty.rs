//! JSON for eyes (`_pretty=true`): the same tokens on lines of their own. It works on the text, so that numbers and
//! escapes stay as they are.

/// The text of a JSON document, indented by two spaces for each level.
pub(crate) fn pretty(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() * 2);
    let mut depth = 0_usize;
    let mut rest = text.iter().copied().filter_outside_strings().peekable();
    while let Some((byte, in_string)) = rest.next() {
        match byte {
            _ if in_string => out.push(byte),
            b'{' | b'[' => {
                out.push(byte);
                let is_empty = rest.peek().is_some_and(|(next, _)| matches!(next, b'}' | b']'));
                if !is_empty {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            b'}' | b']' => {
                if !matches!(out.last(), Some(b'{' | b'[')) {
                    depth = depth.saturating_sub(1);
                    line(&mut out, depth);
                }
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                line(&mut out, depth);
            }
            b':' => out.extend_from_slice(b": "),
            _ => out.push(byte),
        }
    }
    out.push(b'\n');
    out
}

fn line(out: &mut Vec<u8>, depth: usize) {
    out.push(b'\n');
    out.extend(std::iter::repeat_n(b' ', 2 * depth));
}

/// Walks JSON text byte by byte, without its white space, and tells which bytes belong to strings.
trait FilterOutsideStrings: Iterator<Item = u8> + Sized {
    fn filter_outside_strings(self) -> impl Iterator<Item = (u8, bool)> {
        let (mut in_string, mut escaped) = (false, false);
        self.filter_map(move |byte| {
            if in_string {
                in_string = escaped || byte != b'"';
                escaped = byte == b'\\' && !escaped;
                return Some((byte, true));
            }
            in_string = byte == b'"';
            (!byte.is_ascii_whitespace()).then_some((byte, in_string))
        })
    }
}

impl<I: Iterator<Item = u8>> FilterOutsideStrings for I {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_stay_and_lines_come() {
        for (text, expected) in [
            ("{}", "{}\n"),
            ("[ ]", "[]\n"),
            (
                r#"{"a":1.00,"b":[{},"x\"{,"]}"#,
                "{\n  \"a\": 1.00,\n  \"b\": [\n    {},\n    \"x\\\"{,\"\n  ]\n}\n",
            ),
            (r#"{ "a" : "\\" , "b" : null }"#, "{\n  \"a\": \"\\\\\",\n  \"b\": null\n}\n"),
            (r#"[["["],[]]"#, "[\n  [\n    \"[\"\n  ],\n  []\n]\n"),
        ] {
            assert_eq!(String::from_utf8_lossy(&pretty(text.as_bytes())), expected, "{text}");
        }
    }
}
