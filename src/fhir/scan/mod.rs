//! The first reader of every FHIR body: one pass over the JSON as it arrives, in constant stack and bounded
//! memory. It refuses what the readers behind it would accept or alter (duplicate keys, depth, lengths, control
//! characters), and takes payloads too large for memory out into a [`Spool`] (design 4.1).
//!
//! [`machine`] is the grammar, [`text`] the inside of strings, [`number`] that of numbers, [`frame`] the open
//! containers, [`keep`] what stays and what goes. What elements mean is for others to say.

mod error;
mod frame;
mod keep;
mod machine;
mod number;
#[cfg(test)]
mod tests;
mod text;

use bytes::Bytes;

use self::keep::{Sink, Step};
use self::machine::Machine;
use super::{Spool, SpoolError, Spooled};

pub(crate) use self::error::ScanError;
#[cfg(test)]
use self::error::{Refused, Rule};
#[cfg(test)]
use self::keep::ELIDED;
pub(crate) use self::keep::{KnownType, ScannedPayload, Taken};

/// How much is read at a time: large enough that the work per piece does not count, small enough to stay in a
/// processor's cache. It bounds what waits for the spool.
const PIECE_BYTES: usize = 64 * 1024;

/// How much raw text is read back at a time.
const BLOCK_BYTES: usize = 256 * 1024;

/// What a body may be at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ScanLimits {
    /// Containers inside each other.
    pub(crate) depth: usize,
    /// Values, containers included.
    pub(crate) nodes: usize,
    /// Characters of a number.
    pub(crate) number_chars: usize,
    /// Bytes of a string or property name, as written.
    pub(crate) string_bytes: usize,
    /// Bytes of the body without what is taken out.
    pub(crate) skeleton_bytes: usize,
    /// Bytes of a payload's `data` string, as written, that stay in the skeleton.
    pub(crate) inline_data_bytes: usize,
}

impl Default for ScanLimits {
    fn default() -> Self {
        Self {
            depth: 100,
            nodes: 1_000_000,
            number_chars: 40,
            string_bytes: 1 << 20,
            skeleton_bytes: 16 << 20,
            inline_data_bytes: 64 << 10,
        }
    }
}

/// Where a body has payloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// At `Parameters.parameter[i].part[j].resource`.
    Submission,
    /// The body is one payload, perhaps of a type that is known beforehand.
    Resource(Option<KnownType>),
    /// Nowhere: nothing is taken out, and a long string is refused.
    Plain,
}

/// A body after its first reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scanned {
    /// The body as received, but for [`keep::ELIDED`] in place of each string that was taken out.
    pub(crate) skeleton: Bytes,
    /// Its payload resources in document order.
    pub(crate) payloads: Vec<ScannedPayload>,
}

/// Reads one body, in whatever pieces it arrives. After an error it must not be used again.
///
/// *Cancellation:* a scanner that is dropped leaves its spool with what was given to it; whoever owns the
/// spool drops that too.
#[derive(Debug)]
pub(crate) struct Scanner {
    machine: Machine,
}

impl Scanner {
    /// Begins a body.
    pub(crate) fn new(limits: ScanLimits, shape: Shape) -> Self {
        Self { machine: Machine::new(limits, shape, None) }
    }

    /// Reads on. Nothing remains open in the spool after an error.
    ///
    /// # Errors
    /// The first rule that the body breaks, or what the spool could not do.
    pub(crate) async fn feed(&mut self, mut chunk: Bytes, spool: &mut dyn Spool) -> Result<(), ScanError> {
        while !chunk.is_empty() {
            let piece = chunk.split_to(chunk.len().min(PIECE_BYTES));
            let outcome = match self.machine.scan(&piece) {
                Ok(()) => self.take_steps(spool).await.map_err(ScanError::from),
                Err(refused) => Err(refused.into()),
            };
            if outcome.is_err() {
                spool.abort().await;
                return outcome;
            }
        }
        Ok(())
    }

    /// The body is over. Nothing remains open in the spool after an error.
    ///
    /// # Errors
    /// The body is empty or ends too early.
    pub(crate) async fn finish(self, spool: &mut dyn Spool) -> Result<Scanned, ScanError> {
        if let Err(refused) = self.machine.finish() {
            spool.abort().await;
            return Err(refused.into());
        }
        let (skeleton, payloads) = self.machine.keep.into_parts();
        Ok(Scanned { skeleton, payloads })
    }

    async fn take_steps(&mut self, spool: &mut dyn Spool) -> Result<(), SpoolError> {
        let keep = &mut self.machine.keep;
        for step in keep.steps.drain(..) {
            match step {
                Step::Begin => spool.begin().await?,
                Step::Write(bytes) => spool.write(bytes).await?,
                Step::End { payload, sink } => {
                    let spooled = spool.end().await?;
                    let Some(payload) = keep.payloads.get_mut(payload) else { continue };
                    match sink {
                        Sink::Taken(content) => payload.taken.push(Taken { content, spooled }),
                        Sink::Raw => payload.raw = Some(spooled),
                    }
                }
            }
        }
        Ok(())
    }
}

/// Reads the raw text of a payload again, now that its type is known: gives its skeleton and what was taken
/// out. `at` is the path of the payload. The caller discards `raw`; what was taken out is the caller's even then.
///
/// # Errors
/// As the scanner has them; offsets count from the beginning of the raw text.
pub(crate) async fn convert(
    limits: ScanLimits,
    raw: &Spooled,
    known: KnownType,
    at: &str,
    spool: &mut dyn Spool,
) -> Result<(Bytes, Vec<Taken>), ScanError> {
    let shape = Shape::Resource(Some(known));
    let mut reader = Scanner { machine: Machine::new(limits, shape, Some(at.to_owned())) };
    let mut offset = 0;
    loop {
        let block = match spool.read(raw, offset, BLOCK_BYTES).await {
            Ok(block) => block,
            Err(error) => {
                spool.abort().await;
                return Err(error.into());
            }
        };
        if block.is_empty() {
            break;
        }
        offset += block.len() as u64;
        reader.feed(block, spool).await?;
    }
    let scanned = reader.finish(spool).await?;
    let taken = scanned.payloads.into_iter().flat_map(|payload| payload.taken).collect();
    Ok((scanned.skeleton, taken))
}
