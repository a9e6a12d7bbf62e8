//! The inside of a JSON string, from any point to any point: runs of plain text, escapes, the end. It checks
//! UTF-8, control characters and surrogates; what a string means is not its business.

use std::str;

use memchr::memchr2;

use super::error::Rule;

/// A rule broken, and at which byte of the body.
pub(super) struct Fault {
    pub(super) rule: Rule,
    pub(super) offset: u64,
}

/// What the inside of a string is made of.
pub(super) enum Token<'a> {
    /// Text that stands for itself. It may begin or end inside a character.
    Run(&'a [u8]),
    /// An escaped character, and how many bytes of the body wrote it.
    Escaped { character: char, written: usize },
    /// The closing quotation mark.
    End,
    /// The input is used up.
    Pause,
}

/// Where in a string the input was cut.
#[derive(Debug, Default)]
pub(super) struct Lexer {
    escape: Escape,
    /// The bytes of a character whose end has not arrived.
    partial: [u8; 4],
    partial_len: usize,
}

#[derive(Debug, Default, Clone, Copy)]
enum Escape {
    /// Not in an escape.
    #[default]
    None,
    /// After `\`.
    Begun,
    /// After `\u` and some hexadecimal digits; `high` is the surrogate before it.
    Unicode { value: u32, digits: usize, high: Option<u32> },
    /// After a high surrogate.
    High(u32),
    /// After a high surrogate and `\`.
    HighBegun(u32),
}

impl Lexer {
    /// Reads the next token of `input` from `at` on; `base` is the place of `input` in the body. A run is
    /// at most `room` bytes (at least one), and is only `checked` where nobody else checks it more strictly.
    pub(super) fn next<'a>(
        &mut self,
        input: &'a [u8],
        at: &mut usize,
        base: u64,
        room: usize,
        checked: bool,
    ) -> Result<Token<'a>, Fault> {
        while let Some(&byte) = input.get(*at) {
            let offset = base + *at as u64;
            if let Escape::None = self.escape {
                let rest = &input[*at..];
                let rest = &rest[..rest.len().min(room.max(1))];
                let run = &rest[..memchr2(b'"', b'\\', rest).unwrap_or(rest.len())];
                if !run.is_empty() {
                    if checked {
                        self.check(run, offset)?;
                    }
                    *at += run.len();
                    return Ok(Token::Run(run));
                }
                if self.partial_len > 0 {
                    return Err(Fault { rule: Rule::Encoding, offset: offset - self.partial_len as u64 });
                }
                *at += 1;
                if byte == b'"' {
                    return Ok(Token::End);
                }
                self.escape = Escape::Begun;
            } else {
                let token = self.escaped(byte).map_err(|rule| Fault { rule, offset })?;
                *at += 1;
                if let Some(token) = token {
                    self.escape = Escape::None;
                    return Ok(token);
                }
            }
        }
        Ok(Token::Pause)
    }

    /// How many bytes at the end of what was read are the beginning of a character.
    pub(super) fn undecided(&self) -> usize {
        self.partial_len
    }

    fn escaped(&mut self, byte: u8) -> Result<Option<Token<'static>>, Rule> {
        self.escape = match self.escape {
            Escape::Begun if byte == b'u' => Escape::Unicode { value: 0, digits: 0, high: None },
            Escape::Begun | Escape::None => {
                let character = match byte {
                    b'"' | b'\\' | b'/' => char::from(byte),
                    b'n' => '\n',
                    b'r' => '\r',
                    b't' => '\t',
                    b'b' | b'f' => return Err(Rule::ControlCharacter),
                    _ => return Err(Rule::Grammar),
                };
                return Ok(Some(Token::Escaped { character, written: 2 }));
            }
            Escape::High(high) if byte == b'\\' => Escape::HighBegun(high),
            Escape::HighBegun(high) if byte == b'u' => {
                Escape::Unicode { value: 0, digits: 0, high: Some(high) }
            }
            Escape::High(_) | Escape::HighBegun(_) => return Err(Rule::LoneSurrogate),
            Escape::Unicode { value, digits, high } => {
                let digit = char::from(byte).to_digit(16).ok_or(Rule::Grammar)?;
                let value = value << 4 | digit;
                match (digits, high, value) {
                    (0..=2, ..) => Escape::Unicode { value, digits: digits + 1, high },
                    (_, None, 0xD800..=0xDBFF) => Escape::High(value),
                    (_, None, _) => return Self::unescaped(value, 6),
                    (_, Some(high), 0xDC00..=0xDFFF) => {
                        return Self::unescaped(0x1_0000 + ((high - 0xD800) << 10) + (value - 0xDC00), 12);
                    }
                    (_, Some(_), _) => return Err(Rule::LoneSurrogate),
                }
            }
        };
        Ok(None)
    }

    fn unescaped(value: u32, written: usize) -> Result<Option<Token<'static>>, Rule> {
        // Only a low surrogate without its twin is no character here.
        let character = char::from_u32(value).ok_or(Rule::LoneSurrogate)?;
        if character < ' ' && !matches!(character, '\t' | '\r' | '\n') {
            return Err(Rule::ControlCharacter);
        }
        Ok(Some(Token::Escaped { character, written }))
    }

    /// Checks a run that begins at byte `offset` of the body. The first offence wins, so that where the
    /// input was cut makes no difference.
    fn check(&mut self, run: &[u8], offset: u64) -> Result<(), Fault> {
        let mut rest = run;
        while self.partial_len > 0 {
            let Some((&byte, tail)) = rest.split_first() else { return Ok(()) };
            let begun = offset + (run.len() - rest.len()) as u64 - self.partial_len as u64;
            self.partial[self.partial_len] = byte;
            self.partial_len += 1;
            rest = tail;
            match str::from_utf8(&self.partial[..self.partial_len]) {
                Ok(_) => self.partial_len = 0,
                // Four bytes are a character or an error, so `partial` cannot overflow.
                Err(error) if error.error_len().is_none() => {}
                Err(_) => return Err(Fault { rule: Rule::Encoding, offset: begun }),
            }
        }
        let offset = offset + (run.len() - rest.len()) as u64;
        let valid = match str::from_utf8(rest) {
            Ok(_) => rest.len(),
            Err(error) => error.valid_up_to(),
        };
        // No early exit: this form becomes SIMD code.
        if rest[..valid].iter().fold(false, |found, &byte| found | (byte < b' ')) {
            let at = rest.iter().position(|&byte| byte < b' ').unwrap_or(0);
            return Err(Fault { rule: Rule::ControlCharacter, offset: offset + at as u64 });
        }
        let tail = &rest[valid..];
        if let Err(error) = str::from_utf8(tail) {
            if error.error_len().is_some() {
                return Err(Fault { rule: Rule::Encoding, offset: offset + valid as u64 });
            }
            self.partial[..tail.len()].copy_from_slice(tail);
            self.partial_len = tail.len();
        }
        Ok(())
    }
}
