//! The grammar: RFC 8259 as a state machine that can stop after any byte, on a heap of frames instead of a
//! stack. It decides which strings are taken out and applies the limits. It does no I/O: what the spool must do
//! is left in [`Keep::steps`].

use bytes::Bytes;

use super::error::{Refused, Rule};
use super::frame::Frames;
use super::keep::{Elision, Keep, KnownType, Sink};
use super::number::Number;
use super::text::{Fault, Lexer, Token, first_control};
use super::{ScanLimits, Shape};
use crate::fhir::r4;

/// From here on a body is long, and only short `data` strings still stay in memory: many attachments, each
/// too small to be taken out of a short body, must not fill the skeleton.
const LONG_BODY_BYTES: u64 = 1 << 20;

/// What may come next.
#[derive(Debug, Clone, Copy)]
enum State {
    /// The top-level object.
    Start,
    /// A value.
    Value,
    /// A value, or the end of an array.
    FirstValue,
    /// A property name.
    Name,
    /// A property name, or the end of an object.
    FirstName,
    /// The colon after a property name.
    Colon,
    /// A comma, or the end of the container.
    AfterValue,
    /// More of `true`, `false` or `null`.
    Literal(&'static [u8]),
    /// More of a number.
    Number,
    /// More of a string.
    String,
    /// Nothing.
    End,
}

/// The string that is being read.
#[derive(Debug)]
struct Text {
    purpose: Purpose,
    /// Where in the body its content begins.
    start: u64,
    /// Bytes of its content so far, as written.
    length: usize,
}

#[derive(Debug)]
enum Purpose {
    /// A property name.
    Name,
    /// The type of the body, of a payload, or of both.
    ResourceType,
    /// Nothing special.
    Ordinary,
    /// Content that is taken out when it turns out long; it begins here in the skeleton.
    Data { position: usize, sink: Sink },
    /// Content that is taken out.
    Elided(Elision),
}

/// The state of reading one body.
#[derive(Debug)]
pub(super) struct Machine {
    limits: ScanLimits,
    shape: Shape,
    /// What paths begin with, if the body is a part of something.
    root: Option<String>,
    /// The type of the top-level resource.
    root_type: Option<&'static str>,
    state: State,
    frames: Frames,
    nodes: usize,
    /// Bytes of the body before the present piece.
    offset: u64,
    text: Text,
    lexer: Lexer,
    /// The unescaped content of a name or type.
    captured: Vec<u8>,
    number: Number,
    pub(super) keep: Keep,
}

impl Machine {
    pub(super) fn new(limits: ScanLimits, shape: Shape, root: Option<String>) -> Self {
        Self {
            limits,
            shape,
            root,
            root_type: None,
            state: State::Start,
            frames: Frames::default(),
            nodes: 0,
            offset: 0,
            text: Text { purpose: Purpose::Ordinary, start: 0, length: 0 },
            lexer: Lexer::default(),
            captured: Vec::new(),
            number: Number::default(),
            keep: Keep::new(),
        }
    }

    /// Reads the next piece.
    pub(super) fn scan(&mut self, piece: &Bytes) -> Result<(), Refused> {
        let mut at = 0;
        let outcome = self.run(piece, &mut at);
        // The limit counts bytes of the body, not of pieces: if it was passed before the fault, it is the fault.
        // A character that is not complete may still turn out to be one.
        let undecided = self.lexer.undecided() as u64;
        let reached = outcome.as_ref().map_or_else(|f| f.offset, |()| self.offset + at as u64 - undecided);
        if let Some(offset) = self.passed_limit(reached, at) {
            return Err(Refused { rule: Rule::TooLarge, path: None, offset });
        }
        if let Err(Fault { rule, offset }) = outcome {
            let has_place = !matches!(self.state, State::Start) && rule != Rule::TooLarge;
            let path = has_place.then(|| self.path());
            return Err(Refused { rule, path, offset });
        }
        self.keep.end_piece(piece);
        self.offset += piece.len() as u64;
        Ok(())
    }

    /// The body is over.
    pub(super) fn finish(&self) -> Result<(), Refused> {
        let rule = match self.state {
            State::End => return Ok(()),
            State::Start => Rule::Empty,
            _ => Rule::UnexpectedEnd,
        };
        Err(Refused { rule, path: None, offset: self.offset })
    }

    /// Where the skeleton became too long, if it did before byte `reached` of the body.
    fn passed_limit(&self, reached: u64, at: usize) -> Option<u64> {
        let (length, offset) = match self.text.purpose {
            // It does not count while it may still be taken out.
            Purpose::Data { position, .. } => (position as u64, self.text.start),
            // Looked at when the elision began.
            Purpose::Elided(_) => return None,
            _ => ((self.keep.position(at) as u64 + reached).saturating_sub(self.offset + at as u64), reached),
        };
        let excess = length.saturating_sub(self.limits.skeleton_bytes as u64);
        (excess > 0).then(|| offset.saturating_sub(excess))
    }

    fn path(&self) -> String {
        let root = self.root.as_deref().or(self.root_type).unwrap_or(match self.shape {
            Shape::Submission => "Parameters",
            Shape::Bundle => "Bundle",
            Shape::Resource(_) | Shape::Plain => "Resource",
        });
        self.frames.path(root)
    }

    fn run(&mut self, piece: &Bytes, at: &mut usize) -> Result<(), Fault> {
        while let Some(&byte) = piece.get(*at) {
            match self.state {
                State::String => self.string(piece, at)?,
                State::Number => {
                    if self.number.push(byte) {
                        *at += 1;
                    } else {
                        self.number.finish().map_err(|rule| self.fault(rule, *at))?;
                        self.state = State::AfterValue;
                    }
                    if self.number.len() > self.limits.number_chars {
                        return Err(self.fault(Rule::NumberTooLong, *at));
                    }
                }
                State::Literal(rest) => {
                    if rest.first() != Some(&byte) {
                        return Err(self.fault(Rule::Grammar, *at));
                    }
                    self.state = if rest.len() == 1 { State::AfterValue } else { State::Literal(&rest[1..]) };
                    *at += 1;
                }
                _ if matches!(byte, b' ' | b'\n' | b'\r' | b'\t') => *at += 1,
                _ => {
                    self.mark(byte, piece, *at).map_err(|rule| self.fault(rule, *at))?;
                    *at += 1;
                }
            }
        }
        Ok(())
    }

    fn fault(&self, rule: Rule, at: usize) -> Fault {
        Fault { rule, offset: self.offset + at as u64 }
    }

    /// A byte outside strings, numbers and literals, or the first one of such.
    fn mark(&mut self, byte: u8, piece: &Bytes, at: usize) -> Result<(), Rule> {
        match (self.state, byte) {
            (State::FirstValue, b']') | (State::FirstName, b'}') => self.close(piece, at),
            (State::Start, b'{') | (State::Value | State::FirstValue, _) => self.value(byte, at)?,
            (State::Start, 0xEF | 0xFE | 0xFF) => return Err(Rule::ByteOrderMark),
            (State::Start, b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => {
                return Err(Rule::NotAnObject);
            }
            (State::Name | State::FirstName, b'"') => self.begin_string(Purpose::Name, at),
            (State::Colon, b':') => self.state = State::Value,
            (State::AfterValue, b',') if self.frames.in_array() => {
                self.frames.next_value();
                self.state = State::Value;
            }
            (State::AfterValue, b',') => self.state = State::Name,
            (State::AfterValue, b']') if self.frames.in_array() => self.close(piece, at),
            (State::AfterValue, b'}') if !self.frames.in_array() => self.close(piece, at),
            // UTF-16 shows as zero bytes.
            (_, 0 | 0x80..) => return Err(Rule::Encoding),
            _ => return Err(Rule::Grammar),
        }
        Ok(())
    }

    fn value(&mut self, byte: u8, at: usize) -> Result<(), Rule> {
        self.nodes += 1;
        if self.nodes > self.limits.nodes {
            return Err(Rule::TooManyNodes);
        }
        self.state = match byte {
            b'{' | b'[' if self.frames.len() == self.limits.depth => return Err(Rule::TooDeep),
            b'{' => {
                if let Some(place) = self.payload_place() {
                    let known = if let Shape::Resource(known) = self.shape { known } else { None };
                    self.keep.open_payload(at, self.frames.len(), place, known);
                }
                self.frames.open_object();
                State::FirstName
            }
            b'[' => {
                self.frames.open_array();
                State::FirstValue
            }
            b'"' => {
                let purpose = self.purpose(at + 1);
                self.begin_string(purpose, at);
                State::String
            }
            b't' => State::Literal(b"rue"),
            b'f' => State::Literal(b"alse"),
            b'n' => State::Literal(b"ull"),
            b'-' | b'0'..=b'9' => {
                self.number.begin(byte);
                State::Number
            }
            0 | 0x80.. => return Err(Rule::Encoding),
            _ => return Err(Rule::Grammar),
        };
        Ok(())
    }

    /// The container that ends with the byte at `at`.
    fn close(&mut self, piece: &Bytes, at: usize) {
        self.frames.close();
        let depth = self.frames.len();
        if self.keep.open.as_ref().is_some_and(|payload| payload.depth == depth) {
            self.keep.close_payload(piece, at + 1);
        }
        self.state = if depth == 0 { State::End } else { State::AfterValue };
    }

    /// Where the object that begins here stands as a payload, if it is one.
    fn payload_place(&self) -> Option<(usize, usize)> {
        match self.shape {
            Shape::Plain => None,
            Shape::Resource(_) => (self.frames.len() == 0).then_some((0, 0)),
            Shape::Bundle => {
                let is_payload = self.frames.len() == 3
                    && self.frames.property(0) == Some(b"entry")
                    && self.frames.property(2) == Some(b"resource");
                is_payload.then_some((self.frames.index(1)?, 0))
            }
            Shape::Submission => {
                let is_payload = self.frames.len() == 5
                    && self.frames.property(0) == Some(b"parameter")
                    && self.frames.property(2) == Some(b"part")
                    && self.frames.property(4) == Some(b"resource");
                is_payload.then_some((self.frames.index(1)?, self.frames.index(3)?))
            }
        }
    }

    /// What the string that begins here is for; its content begins at `at`.
    fn purpose(&self, at: usize) -> Purpose {
        let depth = self.frames.len();
        let payload = self.keep.open.as_ref();
        match (self.frames.property(depth - 1), payload) {
            (Some(b"resourceType"), _)
                if depth == 1 || payload.is_some_and(|payload| payload.depth + 1 == depth) =>
            {
                Purpose::ResourceType
            }
            (Some(b"data"), Some(payload)) => {
                let sink = match payload.known {
                    Some(known) if !payload.raw => self.taken_from(known, payload.depth),
                    _ => (!self.in_sampled_data()).then_some(Sink::Raw),
                };
                let position = self.keep.position(at);
                sink.map_or(Purpose::Ordinary, |sink| Purpose::Data { position, sink })
            }
            _ => Purpose::Ordinary,
        }
    }

    /// Where the present `data` belongs in a payload of this type, if it is the one to take out.
    fn taken_from(&self, known: KnownType, payload: usize) -> Option<Sink> {
        let below = self.frames.len() - payload;
        match known {
            KnownType::Binary => (below == 1).then_some(Sink::Taken(None)),
            KnownType::DocumentReference => self.taken_at(below, payload, (b"content", b"attachment")),
            KnownType::Communication => self.taken_at(below, payload, (b"payload", b"contentAttachment")),
        }
    }

    /// The same where it stands in an element of a list of the payload.
    fn taken_at(&self, below: usize, payload: usize, (list, element): (&[u8], &[u8])) -> Option<Sink> {
        let is_there = below == 4
            && self.frames.property(payload) == Some(list)
            && self.frames.property(payload + 2) == Some(element);
        is_there.then(|| self.frames.index(payload + 1)).flatten().map(|index| Sink::Taken(Some(index)))
    }

    /// Whether the present `data` is that of a SampledData, which is text and not base64: the parent is a
    /// choice element such as `valueSampledData`.
    fn in_sampled_data(&self) -> bool {
        let parent = (0..self.frames.len() - 1).rev().find_map(|depth| self.frames.property(depth));
        parent.is_some_and(|name| name.ends_with(b"SampledData"))
    }

    /// The string whose opening quotation mark stands at `at`.
    fn begin_string(&mut self, purpose: Purpose, at: usize) {
        self.captured.clear();
        self.text = Text { purpose, start: self.offset + at as u64 + 1, length: 0 };
        self.state = State::String;
    }

    fn string(&mut self, piece: &Bytes, at: &mut usize) -> Result<(), Fault> {
        loop {
            let limit = match self.text.purpose {
                Purpose::Data { .. } if self.text.start > LONG_BODY_BYTES => {
                    self.limits.inline_data_bytes.min(self.limits.late_data_bytes)
                }
                Purpose::Data { .. } => self.limits.inline_data_bytes,
                Purpose::Elided(_) => usize::MAX,
                _ => self.limits.string_bytes,
            };
            // A run stops with the byte that passes the limit, so that pieces make no difference.
            let room = limit.saturating_sub(self.text.length).saturating_add(1);
            let checked = !matches!(self.text.purpose, Purpose::Elided(_));
            let mut buffer = [0; 4];
            let (text, written): (&[u8], usize) =
                match self.lexer.next(piece, at, self.offset, room, checked)? {
                    Token::Run(run) => {
                        if !checked {
                            let offset = self.offset + (*at - run.len()) as u64;
                            refuse_control(run, offset, |run| self.decode(run, offset))?;
                        }
                        (run, run.len())
                    }
                    Token::Escaped { character, written } => {
                        let text = character.encode_utf8(&mut buffer).as_bytes();
                        if !checked {
                            // It may have begun in an earlier piece.
                            self.decode(text, self.offset + *at as u64 - written as u64)?;
                        }
                        (text, written)
                    }
                    Token::End => return self.end_string(*at - 1),
                    Token::Pause => return Ok(()),
                };
            match self.text.purpose {
                Purpose::Name | Purpose::ResourceType => self.captured.extend_from_slice(text),
                Purpose::Ordinary | Purpose::Data { .. } => {}
                Purpose::Elided(_) => continue,
            }
            self.text.length += written;
            if self.text.length > limit {
                let Purpose::Data { position, sink } = self.text.purpose else {
                    let offset = self.text.start + limit as u64;
                    return Err(Fault { rule: Rule::StringTooLong, offset });
                };
                self.elide(piece, *at, position, sink)?;
            }
        }
    }

    /// A `data` string has become too long to stay; `at` is after what has been read of it.
    fn elide(&mut self, piece: &Bytes, at: usize, position: usize, sink: Sink) -> Result<(), Fault> {
        if let Some(offset) = self.passed_limit(self.text.start, at) {
            return Err(Fault { rule: Rule::TooLarge, offset });
        }
        let (elision, content) = self.keep.begin_elision(piece, at, position, sink);
        self.text.purpose = Purpose::Elided(elision);
        let (mut lexer, mut read) = (Lexer::default(), 0);
        loop {
            // Control characters and the like have been looked for when it was read first.
            match lexer.next(&content, &mut read, self.text.start, usize::MAX, false)? {
                Token::Run(run) => self.decode(run, self.text.start + (read - run.len()) as u64)?,
                Token::Escaped { character, written } => {
                    let offset = self.text.start + (read - written) as u64;
                    self.decode(character.encode_utf8(&mut [0; 4]).as_bytes(), offset)?;
                }
                Token::End | Token::Pause => return Ok(()),
            }
        }
    }

    /// Decodes content of the elided string that begins at byte `offset` of the body.
    fn decode(&mut self, content: &[u8], offset: u64) -> Result<(), Fault> {
        let Purpose::Elided(elision) = &mut self.text.purpose else { return Ok(()) };
        self.keep
            .decode(elision, content)
            .map_err(|invalid| Fault { rule: Rule::NotBase64, offset: offset + invalid.at as u64 })
    }

    /// The present string ends with the quotation mark at `at`.
    fn end_string(&mut self, at: usize) -> Result<(), Fault> {
        self.state = State::AfterValue;
        match std::mem::replace(&mut self.text.purpose, Purpose::Ordinary) {
            Purpose::Name => {
                self.state = State::Colon;
                if !self.frames.next_property(&self.captured) {
                    return Err(Fault { rule: Rule::DuplicateKey, offset: self.text.start });
                }
            }
            Purpose::ResourceType => {
                let name = std::str::from_utf8(&self.captured).ok().filter(|name| name.len() <= 64);
                if self.frames.len() == 1 {
                    self.root_type = name.and_then(r4::resource_type);
                }
                if self.keep.open.as_ref().is_some_and(|payload| payload.depth + 1 == self.frames.len()) {
                    let known = name.and_then(match self.shape {
                        Shape::Submission => KnownType::of_content,
                        Shape::Resource(_) | Shape::Bundle | Shape::Plain => KnownType::of_resource,
                    });
                    self.keep.name_payload(name, known);
                }
            }
            Purpose::Elided(elision) => {
                if !self.keep.end_elision(&elision, at) {
                    return Err(self.fault(Rule::NotBase64, at));
                }
            }
            Purpose::Ordinary | Purpose::Data { .. } => {}
        }
        Ok(())
    }
}

/// Hands an unchecked run on, but not beyond a control character, which a decoder would take for white space.
fn refuse_control(
    run: &[u8],
    offset: u64,
    hand_on: impl FnOnce(&[u8]) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let Some(at) = first_control(run) else { return hand_on(run) };
    hand_on(&run[..at])?;
    Err(Fault { rule: Rule::ControlCharacter, offset: offset + at as u64 })
}
