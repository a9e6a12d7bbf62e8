//! A request body as the use cases see it: blocks of bytes, or the reason why no more come.

use bytes::Bytes;
use futures_util::stream::BoxStream;

/// Why a body ended before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    /// It is longer than this endpoint takes.
    #[error("the body is longer than this endpoint takes")]
    TooLarge,
    /// Nothing arrived for too long.
    #[error("nothing arrived for too long")]
    Idle,
    /// It arrives too slowly.
    #[error("the body arrives too slowly")]
    TooSlow,
    /// The connection broke.
    #[error("the connection broke")]
    Broken,
}

/// The bytes of a request as they arrive.
pub(crate) type Body = BoxStream<'static, Result<Bytes, BodyError>>;
