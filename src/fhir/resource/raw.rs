//! JSON text taken apart without a tree: the members of an object and the entries of an array as slices of the text,
//! and a value without the white space between its tokens. Strings and numbers are never decoded, so nothing of
//! them can change. It reads text that a scan or a parser has accepted: it finds the borders of values and does not
//! judge what is between them, and whatever it is given, it does not panic.

use std::borrow::Cow;

use memchr::memchr2;

/// The text is not JSON, or not the kind of value that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the text is not the JSON that was expected")]
pub(crate) struct Malformed;

/// One member of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member<'a> {
    /// Its name, without escapes.
    pub(crate) name: Cow<'a, str>,
    /// Its name as written, with quotes.
    pub(crate) raw_name: &'a [u8],
    /// Its value as written.
    pub(crate) value: &'a [u8],
}

/// The members of an object in order. After an error there are no more.
pub(crate) fn members(object: &[u8]) -> impl Iterator<Item = Result<Member<'_>, Malformed>> {
    let mut cursor = Cursor::new(object);
    items(move |is_first| {
        let Some((name, raw_name)) = cursor.member(is_first)? else { return Ok(None) };
        let value = cursor.skip_value()?;
        Ok(Some(Member { name, raw_name, value }))
    })
}

/// The entries of an array in order. After an error there are no more.
pub(crate) fn entries(array: &[u8]) -> impl Iterator<Item = Result<&[u8], Malformed>> {
    let mut cursor = Cursor::new(array);
    items(
        move |is_first| {
            if cursor.next_item(is_first, b'[', b']')? { cursor.skip_value().map(Some) } else { Ok(None) }
        },
    )
}

fn items<T>(
    mut next: impl FnMut(bool) -> Result<Option<T>, Malformed>,
) -> impl Iterator<Item = Result<T, Malformed>> {
    let mut is_first = true;
    let mut is_over = false;
    std::iter::from_fn(move || {
        if is_over {
            return None;
        }
        let item = next(std::mem::take(&mut is_first)).transpose();
        is_over = !matches!(item, Some(Ok(_)));
        item
    })
}

/// The name of a member, without escapes and as written.
pub(super) type Name<'a> = (Cow<'a, str>, &'a [u8]);

/// A place in a text.
pub(super) struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// The beginning of a value.
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// Goes to the value of the next member and gives its name, without escapes and as written; `None` behind the
    /// last.
    pub(super) fn member(&mut self, is_first: bool) -> Result<Option<Name<'a>>, Malformed> {
        if !self.next_item(is_first, b'{', b'}')? {
            return Ok(None);
        }
        let begin = self.at;
        if self.peek() != Some(b'"') {
            return Err(Malformed);
        }
        self.skip_string()?;
        let raw_name = &self.text[begin..self.at];
        self.skip_space();
        self.expect(b':')?;
        self.skip_space();
        Ok(Some((decode(raw_name)?, raw_name)))
    }

    /// Goes over a value and gives it as written.
    pub(super) fn skip_value(&mut self) -> Result<&'a [u8], Malformed> {
        let begin = self.at;
        self.value(|_| {})?;
        Ok(&self.text[begin..self.at])
    }

    /// Goes over a value and appends it without the white space between its tokens.
    pub(super) fn copy_value(&mut self, out: &mut Vec<u8>) -> Result<(), Malformed> {
        self.value(|run| out.extend_from_slice(run))
    }

    /// Goes to the next item of a container, and says whether there is one.
    fn next_item(&mut self, is_first: bool, open: u8, close: u8) -> Result<bool, Malformed> {
        self.skip_space();
        if is_first {
            self.expect(open)?;
            self.skip_space();
        }
        match self.peek() {
            Some(byte) if byte == close => {
                self.at += 1;
                return Ok(false);
            }
            Some(b',') if !is_first => self.at += 1,
            Some(_) if is_first => {}
            _ => return Err(Malformed),
        }
        self.skip_space();
        Ok(true)
    }

    /// Goes over a value and hands on its text in the runs between white space.
    fn value(&mut self, mut sink: impl FnMut(&'a [u8])) -> Result<(), Malformed> {
        let begin = self.at;
        let mut run = begin;
        let mut depth = 0_usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    self.skip_string()?;
                    if depth == 0 {
                        break;
                    }
                }
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' if depth > 0 => {
                    depth -= 1;
                    self.at += 1;
                    if depth == 0 {
                        break;
                    }
                }
                b',' | b'}' | b']' if depth == 0 => break,
                b' ' | b'\t' | b'\n' | b'\r' => {
                    if depth == 0 {
                        break;
                    }
                    sink(&self.text[run..self.at]);
                    self.skip_space();
                    run = self.at;
                }
                _ => self.at += 1,
            }
        }
        if depth > 0 || self.at == begin {
            return Err(Malformed);
        }
        sink(&self.text[run..self.at]);
        Ok(())
    }

    /// Goes over a string, from quote to quote.
    fn skip_string(&mut self) -> Result<(), Malformed> {
        self.at += 1;
        loop {
            let rest = self.text.get(self.at..).ok_or(Malformed)?;
            let found = memchr2(b'"', b'\\', rest).ok_or(Malformed)?;
            if rest[found] == b'"' {
                self.at += found + 1;
                return Ok(());
            }
            // The escaped character is passed over too: it may be a quote.
            self.at += found + 2;
        }
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.peek() != Some(byte) {
            return Err(Malformed);
        }
        self.at += 1;
        Ok(())
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }
}

/// What a string says. Names with escapes are as good as those without, so they must not hide an `id`.
fn decode(raw: &[u8]) -> Result<Cow<'_, str>, Malformed> {
    if raw.contains(&b'\\') {
        return serde_json::from_slice(raw).map(Cow::Owned).map_err(|_| Malformed);
    }
    let inner = raw.get(1..raw.len() - 1).ok_or(Malformed)?;
    std::str::from_utf8(inner).map(Cow::Borrowed).map_err(|_| Malformed)
}
