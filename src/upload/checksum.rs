//! `Upload-Checksum` of tus 1.0.0 (Checksum): the field, and the hashing of a body that is to agree with it. What it
//! means that a body does not agree is [`append`](super::append)'s business.

use std::sync::{Arc, OnceLock};

use md5::Md5;
use sha1::Sha1;
use sha2::Sha512;

use crate::digest::{Digest, Sha256};

/// The algorithms, as `Tus-Checksum-Algorithm` lists them.
pub(crate) const CHECKSUM_ALGORITHMS: &str = "sha1,sha256,sha512,md5,crc32";

/// How a checksum is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChecksumAlgorithm {
    /// `sha1`, which every server with this extension has.
    Sha1,
    /// `sha256`.
    Sha256,
    /// `sha512`.
    Sha512,
    /// `md5`.
    Md5,
    /// `crc32`: that of zlib, its four bytes from the highest down.
    Crc32,
}

impl ChecksumAlgorithm {
    const ALL: [Self; 5] = [Self::Sha1, Self::Sha256, Self::Sha512, Self::Md5, Self::Crc32];

    /// Its name in the field.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
            Self::Md5 => "md5",
            Self::Crc32 => "crc32",
        }
    }

    fn digest_bytes(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
            Self::Md5 => 16,
            Self::Crc32 => 4,
        }
    }
}

/// What the client says that the bytes of a body hash to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UploadChecksum {
    algorithm: ChecksumAlgorithm,
    digest: Vec<u8>,
}

/// An `Upload-Checksum` that says nothing (tus 1.0.0: 400).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ChecksumError {
    /// It is not an algorithm, one space, and a digest of that algorithm's length in base64; or it is there twice, or
    /// was announced as a trailer and never came.
    #[error("the checksum is malformed or missing")]
    Malformed,
    /// The algorithm is none of [`CHECKSUM_ALGORITHMS`].
    #[error("the checksum algorithm is not supported")]
    UnknownAlgorithm,
}

impl UploadChecksum {
    /// Reads the field.
    pub(crate) fn parse(field: &[u8]) -> Result<Self, ChecksumError> {
        let space = field.iter().position(|&byte| byte == b' ').ok_or(ChecksumError::Malformed)?;
        let (name, encoded) = (&field[..space], &field[space + 1..]);
        let known = ChecksumAlgorithm::ALL.into_iter().find(|known| known.as_str().as_bytes() == name);
        let algorithm = known.ok_or(ChecksumError::UnknownAlgorithm)?;
        let digest = base64_simd::STANDARD.decode_to_vec(encoded).map_err(|_| ChecksumError::Malformed)?;
        if digest.len() != algorithm.digest_bytes() {
            return Err(ChecksumError::Malformed);
        }
        Ok(Self { algorithm, digest })
    }

    /// The field that says this.
    #[cfg(any(test, fuzzing))]
    pub(super) fn to_field(&self) -> String {
        format!("{} {}", self.algorithm.as_str(), base64_simd::STANDARD.encode_to_string(&self.digest))
    }
}

/// What a trailer says (tus 1.0.0, checksum-trailer): the reader of a body puts it here before the body's end is seen.
/// If nothing is there then, none came.
pub(crate) type ChecksumTrailer = Arc<OnceLock<Result<UploadChecksum, ChecksumError>>>;

/// Where the checksum of a body is to be had.
#[derive(Debug, Clone)]
pub(crate) enum ExpectedChecksum {
    /// It came before the body. A trailer that comes all the same must say the same.
    Known(UploadChecksum, ChecksumTrailer),
    /// It comes after it, in a trailer.
    Trailer(ChecksumTrailer),
}

/// Hashes a body on its way in.
pub(super) struct Hashing {
    expected: ExpectedChecksum,
    /// The one algorithm that is known; all of them where it will be told only after the body.
    hashers: Vec<Hasher>,
}

impl Hashing {
    pub(super) fn new(expected: ExpectedChecksum) -> Self {
        let hashers = match &expected {
            ExpectedChecksum::Known(checksum, _) => vec![Hasher::new(checksum.algorithm)],
            ExpectedChecksum::Trailer(_) => ChecksumAlgorithm::ALL.map(Hasher::new).into(),
        };
        Self { expected, hashers }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        for hasher in &mut self.hashers {
            hasher.update(bytes);
        }
    }

    /// Whether the body agrees with its checksum; called when the body is over.
    pub(super) fn agrees(self) -> Result<bool, ChecksumError> {
        let checksum = match &self.expected {
            ExpectedChecksum::Known(checksum, trailer) => match trailer.get() {
                Some(Ok(other)) if other != checksum => return Ok(false),
                Some(Err(error)) => return Err(*error),
                Some(Ok(_)) | None => checksum,
            },
            ExpectedChecksum::Trailer(told) => match told.get() {
                Some(Ok(checksum)) => checksum,
                Some(Err(error)) => return Err(*error),
                None => return Err(ChecksumError::Malformed),
            },
        };
        let hasher = self.hashers.into_iter().find(|hasher| hasher.algorithm() == checksum.algorithm);
        Ok(hasher.is_some_and(|hasher| hasher.finish() == checksum.digest))
    }
}

enum Hasher {
    Sha1(Sha1),
    Sha256(Sha256),
    Sha512(Box<Sha512>),
    Md5(Md5),
    Crc32(crc32fast::Hasher),
}

impl Hasher {
    fn new(algorithm: ChecksumAlgorithm) -> Self {
        match algorithm {
            ChecksumAlgorithm::Sha1 => Self::Sha1(Sha1::new()),
            ChecksumAlgorithm::Sha256 => Self::Sha256(Sha256::new()),
            ChecksumAlgorithm::Sha512 => Self::Sha512(Box::default()),
            ChecksumAlgorithm::Md5 => Self::Md5(Md5::new()),
            ChecksumAlgorithm::Crc32 => Self::Crc32(crc32fast::Hasher::new()),
        }
    }

    fn algorithm(&self) -> ChecksumAlgorithm {
        match self {
            Self::Sha1(_) => ChecksumAlgorithm::Sha1,
            Self::Sha256(_) => ChecksumAlgorithm::Sha256,
            Self::Sha512(_) => ChecksumAlgorithm::Sha512,
            Self::Md5(_) => ChecksumAlgorithm::Md5,
            Self::Crc32(_) => ChecksumAlgorithm::Crc32,
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(hasher) => hasher.update(bytes),
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
            Self::Md5(hasher) => hasher.update(bytes),
            Self::Crc32(hasher) => hasher.update(bytes),
        }
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Self::Sha1(hasher) => hasher.finalize().to_vec(),
            Self::Sha256(hasher) => hasher.finalize().to_vec(),
            Self::Sha512(hasher) => hasher.finalize().to_vec(),
            Self::Md5(hasher) => hasher.finalize().to_vec(),
            Self::Crc32(hasher) => hasher.finalize().to_be_bytes().to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The checksums of `abc`, as published with each algorithm.
    const OF_ABC: [&str; 5] = [
        "sha1 qZk+NkcGgWq6PiVxeFDCbJzQ2J0=",
        "sha256 ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=",
        "sha512 3a81oZNherrMQXNJriBBMRLm+k6JqX6iCp7u5ktV05ohkpkqJ0/BqDa6PCOj/uu9RU1EI2Q86A4qmslPpUyknw==",
        "md5 kAFQmDzST7DWlj99KOF/cg==",
        "crc32 NSRBwg==",
    ];

    fn agrees(expected: ExpectedChecksum, body: &[u8]) -> Result<bool, ChecksumError> {
        let mut hashing = Hashing::new(expected);
        for piece in body.chunks(2) {
            hashing.update(piece);
        }
        hashing.agrees()
    }

    /// T-25
    #[test]
    fn every_algorithm_that_is_listed_recognises_its_own_checksum_and_no_other() {
        assert_eq!(CHECKSUM_ALGORITHMS.split(',').count(), OF_ABC.len());
        for (listed, field) in CHECKSUM_ALGORITHMS.split(',').zip(OF_ABC) {
            assert_eq!(field.split(' ').next(), Some(listed));
            let checksum = UploadChecksum::parse(field.as_bytes()).expect(field);
            assert_eq!(checksum.to_field(), field);
            for expected in [
                ExpectedChecksum::Known(checksum.clone(), Arc::default()),
                ExpectedChecksum::Known(checksum.clone(), Arc::new(OnceLock::from(Ok(checksum.clone())))),
                ExpectedChecksum::Trailer(Arc::new(OnceLock::from(Ok(checksum)))),
            ] {
                assert_eq!(agrees(expected.clone(), b"abc"), Ok(true), "{field}");
                assert_eq!(agrees(expected.clone(), b"abd"), Ok(false), "{field}");
                assert_eq!(agrees(expected, b""), Ok(false), "{field}");
            }
        }
    }

    /// T-26
    #[test]
    fn what_is_no_checksum_is_told_apart_from_an_unknown_algorithm() {
        use ChecksumError::{Malformed, UnknownAlgorithm};
        let cases = [
            ("", Malformed),
            ("sha1", Malformed),
            ("sha1 ", Malformed),
            ("sha1 qZk+NkcGgWq6PiVxeFDCbJzQ2J0", Malformed),
            ("sha1 qZk+NkcGgWq6PiVxeFDCbJzQ2A==", Malformed),
            ("sha1  qZk+NkcGgWq6PiVxeFDCbJzQ2J0=", Malformed),
            ("sha1 a9993e364706816aba3e25717850c26c9cd0d89d", Malformed),
            ("sha256 qZk+NkcGgWq6PiVxeFDCbJzQ2J0=", Malformed),
            (" qZk+NkcGgWq6PiVxeFDCbJzQ2J0=", UnknownAlgorithm),
            ("SHA1 qZk+NkcGgWq6PiVxeFDCbJzQ2J0=", UnknownAlgorithm),
            ("sha3 qZk+NkcGgWq6PiVxeFDCbJzQ2J0=", UnknownAlgorithm),
        ];
        for (field, expected) in cases {
            assert_eq!(UploadChecksum::parse(field.as_bytes()), Err(expected), "{field:?}");
        }
    }

    /// T-27
    #[test]
    fn a_trailer_that_never_came_or_is_malformed_agrees_with_nothing() {
        let never = ExpectedChecksum::Trailer(Arc::default());
        assert_eq!(agrees(never, b"abc"), Err(ChecksumError::Malformed));
        let wrong = OnceLock::from(Err(ChecksumError::UnknownAlgorithm));
        let wrong = Arc::new(wrong);
        assert_eq!(
            agrees(ExpectedChecksum::Trailer(wrong.clone()), b"abc"),
            Err(ChecksumError::UnknownAlgorithm)
        );
        let checksum = |field: &str| UploadChecksum::parse(field.as_bytes()).expect("a checksum");
        let known = |trailer| ExpectedChecksum::Known(checksum(OF_ABC[0]), trailer);
        assert_eq!(agrees(known(wrong), b"abc"), Err(ChecksumError::UnknownAlgorithm));
        let other = OnceLock::from(Ok(checksum("sha1 AAAAAAAAAAAAAAAAAAAAAAAAAAA=")));
        assert_eq!(agrees(known(Arc::new(other)), b"abc"), Ok(false), "header and trailer disagree");
    }
}
