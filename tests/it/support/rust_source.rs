//! Just enough of a reader of Rust to find paths in it: comments, literals and test modules are blanked, what is
//! left is cut into words. Positions stay, so that a finding has a line.

/// A source text with everything blanked in which a path means nothing.
pub(crate) struct Source {
    text: Vec<u8>,
    original: String,
}

/// An identifier or a punctuation character (`::` is one), and where it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    /// Its text.
    pub(crate) text: &'a str,
    /// Its first byte.
    pub(crate) at: usize,
}

impl Source {
    /// Blanks comments, strings, characters and modules under `#[cfg(test)]`.
    pub(crate) fn new(original: String) -> Self {
        let mut source = Self { text: original.clone().into_bytes(), original };
        source.blank_comments_and_literals();
        source.blank_test_modules();
        source
    }

    /// The number of the line that holds this byte.
    pub(crate) fn line(&self, at: usize) -> usize {
        1 + memchr::memchr_iter(b'\n', &self.text[..at]).count()
    }

    /// Each line, blanked and as it was.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (&str, &str)> {
        self.blanked().lines().zip(self.original.lines())
    }

    /// What is left, in words.
    pub(crate) fn tokens(&self) -> Vec<Token<'_>> {
        let text = self.blanked();
        let mut tokens = Vec::new();
        let mut rest = 0;
        while let Some(first) = text[rest..].chars().next() {
            let length = match first {
                _ if first.is_alphanumeric() || first == '_' => {
                    text[rest..].find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len() - rest)
                }
                ':' if text[rest..].starts_with("::") => 2,
                _ => first.len_utf8(),
            };
            if !first.is_whitespace() {
                tokens.push(Token { text: &text[rest..rest + length], at: rest });
            }
            rest += length;
        }
        tokens
    }

    fn blanked(&self) -> &str {
        std::str::from_utf8(&self.text).expect("only whole characters were blanked")
    }

    fn blank(&mut self, from: usize, to: usize) {
        for byte in &mut self.text[from..to] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
    }

    fn blank_comments_and_literals(&mut self) {
        let mut at = 0;
        while at < self.text.len() {
            let end = self.literal_end(at);
            if let Some(end) = end {
                self.blank(at, end);
            }
            at = end.unwrap_or(at + 1);
        }
    }

    /// Where the comment or literal that begins here ends, if one does.
    fn literal_end(&self, at: usize) -> Option<usize> {
        let rest = &self.text[at..];
        let boundary = at == 0 || !is_word(self.text[at - 1]);
        if rest.starts_with(b"//") {
            return Some(at + rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len()));
        }
        if rest.starts_with(b"/*") {
            return Some(at + block_comment(rest));
        }
        if boundary && let Some(length) = raw_string(rest) {
            return Some(at + length);
        }
        match rest[0] {
            b'"' => Some(at + quoted(rest)),
            b'\'' => character(rest).map(|length| at + length),
            _ => None,
        }
    }

    fn blank_test_modules(&mut self) {
        let marks: Vec<usize> = memchr::memmem::find_iter(&self.text, b"#[cfg(test)]").collect();
        for mark in marks {
            let rest = &self.text[mark..];
            let Some(open) = rest.iter().position(|byte| *byte == b'{' || *byte == b';') else { continue };
            let mut end = open + 1;
            let mut depth = usize::from(rest[open] == b'{');
            while depth > 0 && end < rest.len() {
                match rest[end] {
                    b'{' => depth += 1,
                    b'}' => depth -= 1,
                    _ => {}
                }
                end += 1;
            }
            self.blank(mark, mark + end);
        }
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn block_comment(text: &[u8]) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    at
}

fn quoted(text: &[u8]) -> usize {
    let mut at = 1;
    while at < text.len() {
        match text[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

fn raw_string(text: &[u8]) -> Option<usize> {
    let start = [b"r".as_slice(), b"br", b"cr"].into_iter().find(|prefix| text.starts_with(prefix))?.len();
    let hashes = text[start..].iter().take_while(|byte| **byte == b'#').count();
    if text.get(start + hashes) != Some(&b'"') {
        return None;
    }
    let close = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
    let body = start + hashes + 1;
    let end = memchr::memmem::find(&text[body..], &close)?;
    Some(body + end + close.len())
}

/// The length of a character literal; a lifetime is none.
fn character(text: &[u8]) -> Option<usize> {
    if text.get(1) == Some(&b'\\') {
        let close = text.iter().skip(3).position(|byte| *byte == b'\'')?;
        return Some(close + 4);
    }
    let text = std::str::from_utf8(&text[1..text.len().min(6)])
        .or_else(|error| std::str::from_utf8(&text[1..=error.valid_up_to()]))
        .ok()?;
    let length = text.chars().next()?.len_utf8();
    (text.as_bytes().get(length) == Some(&b'\'')).then_some(length + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> String {
        let source = Source::new(text.to_owned());
        source.tokens().iter().map(|token| token.text).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn comments_and_literals_are_blanked() {
        for (text, left) in [
            ("a // crate::b\nc", "a c"),
            ("a /* x /* y */ z */ b", "a b"),
            (r#"a("crate::b \" c") d"#, "a ( ) d"),
            (r##"a(r#"x " y"#) b"##, "a ( ) b"),
            ("a('x', '\\'', 'é', '\\u{1f600}') b", "a ( , , , ) b"),
            ("fn f<'a>(x: &'a str)", "fn f < ' a > ( x : & ' a str )"),
            ("b'x' c\"y\" br\"z\"", "b c"),
            ("error\"x\"", "error"),
        ] {
            assert_eq!(words(text), left, "{text}");
        }
    }

    #[test]
    fn test_modules_are_blanked() {
        assert_eq!(words("a\n#[cfg(test)]\nmod tests { use crate::b; fn c() { '}'; } }\nd"), "a d");
        assert_eq!(words("a #[cfg(test)] mod tests; b"), "a b");
    }

    #[test]
    fn lines_are_counted_from_one() {
        let source = Source::new("a\n/* b\n */ c".to_owned());
        let last = source.tokens()[1];
        assert_eq!((last.text, source.line(last.at)), ("c", 3));
    }
}
