//! What is kept of a body while it is read: the skeleton in memory, and the steps that the spool has to take
//! for the rest. Input comes in pieces; what is kept verbatim is copied once per piece, not per byte.

use std::ops::Range;

use bytes::Bytes;

use crate::fhir::Spooled;
use crate::fhir::base64::{Decoder, InvalidBase64};

/// What stands in the skeleton for the content of a string that was taken out: constant and valid base64.
pub(crate) const ELIDED: &str = "AAAA";

/// A payload resource of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScannedPayload {
    /// Index in `Parameters.parameter`, or in `Bundle.entry`.
    pub(crate) parameter: usize,
    /// Index in `Parameters.parameter[parameter].part`; 0 elsewhere.
    pub(crate) part: usize,
    /// Its `resourceType`, where that is a string of a possible length. Not checked.
    pub(crate) resource_type: Option<String>,
    /// Its text in the skeleton; exactly as received if nothing was taken out of it.
    pub(crate) text: Range<usize>,
    /// Its whole text as received, if that could not stay in the skeleton.
    pub(crate) raw: Option<Spooled>,
    /// What was taken out of it, decoded, in document order.
    pub(crate) taken: Vec<Taken>,
}

/// The decoded bytes of one attachment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Index in `DocumentReference.content` or `Communication.payload`; none for `Binary.data`.
    pub(crate) content: Option<usize>,
    /// The bytes.
    pub(crate) spooled: Spooled,
}

/// A type of resource whose attachments are taken out decoded (design 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KnownType {
    /// DocumentReference, at `content.attachment.data`.
    DocumentReference,
    /// Binary, at `data`.
    Binary,
    /// Communication, at `payload.contentAttachment.data`. Only where resources are kept: as the content of a
    /// submission it is itself the payload.
    Communication,
}

impl KnownType {
    /// The one that is called so, where it is the content of a submission.
    pub(crate) fn of_content(resource_type: &str) -> Option<Self> {
        match resource_type {
            "DocumentReference" => Some(Self::DocumentReference),
            "Binary" => Some(Self::Binary),
            _ => None,
        }
    }

    /// The one that is called so, where it is to be kept.
    pub(crate) fn of_resource(resource_type: &str) -> Option<Self> {
        match resource_type {
            "Communication" => Some(Self::Communication),
            other => Self::of_content(other),
        }
    }
}

/// Something for the spool to do.
#[derive(Debug)]
pub(super) enum Step {
    Begin,
    Write(Bytes),
    End { payload: usize, sink: Sink },
}

/// What becomes of a long `data` string.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sink {
    /// Its decoded bytes are taken out: of this content or payload, or of a Binary.
    Taken(Option<usize>),
    /// It is part of the raw text of its resource, and only checked.
    Raw,
}

/// The payload resource that is being read.
#[derive(Debug)]
pub(super) struct OpenPayload {
    /// How many containers are open around it.
    pub(super) depth: usize,
    /// Its type, once it is known to be one of these.
    pub(super) known: Option<KnownType>,
    /// Its raw text goes to the spool.
    pub(super) raw: bool,
}

/// A `data` string that is being taken out of the skeleton.
#[derive(Debug)]
pub(super) struct Elision {
    decoder: Decoder,
    sink: Sink,
}

#[derive(Debug, Default)]
pub(super) struct Keep {
    skeleton: Vec<u8>,
    /// From here on the piece belongs to the skeleton; none while a string is left out.
    verbatim: Option<usize>,
    /// From here on the piece belongs to the raw text.
    raw: Option<usize>,
    /// Bytes of the open elision that the spool has not been given.
    decoded: Vec<u8>,
    /// The payload that is being read; its entry is the last of `payloads`.
    pub(super) open: Option<OpenPayload>,
    pub(super) payloads: Vec<ScannedPayload>,
    pub(super) steps: Vec<Step>,
}

impl Keep {
    pub(super) fn new() -> Self {
        Self { verbatim: Some(0), ..Self::default() }
    }

    /// How long the skeleton is if everything before `at` is counted.
    pub(super) fn position(&self, at: usize) -> usize {
        self.skeleton.len() + self.verbatim.map_or(0, |from| at - from)
    }

    /// Puts away what the piece holds before the next one comes.
    pub(super) fn end_piece(&mut self, piece: &Bytes) {
        self.copy_verbatim(piece, piece.len());
        self.verbatim = self.verbatim.map(|_| 0);
        if let Some(from) = self.raw {
            self.write(piece.slice(from..));
            self.raw = Some(0);
        }
        self.write_decoded();
    }

    /// A payload begins at `at`, inside of `depth` containers.
    pub(super) fn open_payload(
        &mut self,
        at: usize,
        depth: usize,
        (parameter, part): (usize, usize),
        known: Option<KnownType>,
    ) {
        let start = self.position(at);
        self.payloads.push(ScannedPayload {
            parameter,
            part,
            resource_type: None,
            text: start..start,
            raw: None,
            taken: Vec::new(),
        });
        self.open = Some(OpenPayload { depth, known, raw: false });
    }

    /// The payload says which type it is, and whether that is one of `known`.
    pub(super) fn name_payload(&mut self, resource_type: Option<&str>, known: Option<KnownType>) {
        let (Some(open), Some(payload)) = (&mut self.open, self.payloads.last_mut()) else { return };
        open.known = open.known.or(known);
        payload.resource_type = resource_type.map(str::to_owned);
    }

    /// The payload ends before `at`.
    pub(super) fn close_payload(&mut self, piece: &Bytes, at: usize) {
        let end = self.position(at);
        if let Some(payload) = self.payloads.last_mut() {
            payload.text.end = end;
        }
        if let Some(from) = self.raw.take() {
            self.write(piece.slice(from..at));
            self.end(Sink::Raw);
        }
        self.open = None;
    }

    /// Takes the string whose content begins at `position` of the skeleton out of it. Gives the content
    /// that was already there, which the caller has to decode first.
    pub(super) fn begin_elision(
        &mut self,
        piece: &Bytes,
        at: usize,
        position: usize,
        sink: Sink,
    ) -> (Elision, Vec<u8>) {
        self.copy_verbatim(piece, at);
        self.verbatim = None;
        match (sink, &mut self.open, self.payloads.last()) {
            (Sink::Taken(_), ..) => self.steps.push(Step::Begin),
            (Sink::Raw, Some(open), Some(payload)) if !open.raw => {
                open.raw = true;
                let begun = Bytes::copy_from_slice(&self.skeleton[payload.text.start..]);
                self.steps.push(Step::Begin);
                self.write(begun);
                self.raw = Some(at);
            }
            (Sink::Raw, ..) => {}
        }
        let content = self.skeleton.split_off(position);
        self.skeleton.extend_from_slice(ELIDED.as_bytes());
        (Elision { decoder: Decoder::default(), sink }, content)
    }

    /// Goes on with the content of the string.
    pub(super) fn decode(&mut self, elision: &mut Elision, text: &[u8]) -> Result<(), InvalidBase64> {
        let out = match elision.sink {
            Sink::Taken(_) => Some(&mut self.decoded),
            Sink::Raw => None,
        };
        elision.decoder.decode(text, out)
    }

    /// The string's closing quotation mark stands at `at`; `false` if its content is not complete.
    pub(super) fn end_elision(&mut self, elision: &Elision, at: usize) -> bool {
        self.verbatim = Some(at);
        if let Sink::Taken(_) = elision.sink {
            self.write_decoded();
            self.end(elision.sink);
        }
        elision.decoder.is_complete()
    }

    /// The whole skeleton.
    pub(super) fn into_parts(self) -> (Bytes, Vec<ScannedPayload>) {
        (self.skeleton.into(), self.payloads)
    }

    fn copy_verbatim(&mut self, piece: &Bytes, at: usize) {
        if let Some(from) = self.verbatim {
            self.skeleton.extend_from_slice(&piece[from..at]);
            self.verbatim = Some(at);
        }
    }

    fn write_decoded(&mut self) {
        let decoded = std::mem::take(&mut self.decoded);
        self.write(decoded.into());
    }

    fn write(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.steps.push(Step::Write(bytes));
        }
    }

    fn end(&mut self, sink: Sink) {
        // Only called while a payload is open, so there is a last one.
        self.steps.push(Step::End { payload: self.payloads.len().saturating_sub(1), sink });
    }
}
