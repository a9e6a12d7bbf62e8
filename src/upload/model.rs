//! An upload as the database knows it, and the states it goes through.

use super::blob::{Segment, StorageKey};
use crate::clock::Timestamp;
use crate::digest::ContentHash;
use crate::id::UploadId;
use crate::manifest::{ManifestFields, SenderManifest};
use crate::report::StreamFields;

/// Which front door the bytes came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// The FHIR door.
    Fhir,
    /// The tus door.
    Tus,
}

impl Door {
    /// As the database keeps it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Fhir => "fhir",
            Self::Tus => "tus",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::Fhir, Self::Tus].into_iter().find(|door| door.as_str() == text)
    }
}

/// Where an upload stands. It only moves forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UploadState {
    /// It takes bytes.
    Open,
    /// A partial upload with all its bytes: it can be concatenated, and is never delivered by itself.
    Ready,
    /// All bytes are in; its deliveries exist.
    Complete,
    /// Acknowledged bytes are gone, its own or those of a part: it takes no more and is never complete. It expires like
    /// an open one.
    Damaged,
    /// It was not completed in time; the row alone is left.
    Expired,
    /// Its sender has removed it; the row alone is left.
    Terminated,
    /// It was complete and has been kept for its time; the row alone is left.
    Retired,
}

impl UploadState {
    const ALL: [Self; 7] = [
        Self::Open,
        Self::Ready,
        Self::Complete,
        Self::Damaged,
        Self::Expired,
        Self::Terminated,
        Self::Retired,
    ];

    /// As the database keeps it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Ready => "ready",
            Self::Complete => "complete",
            Self::Damaged => "damaged",
            Self::Expired => "expired",
            Self::Terminated => "terminated",
            Self::Retired => "retired",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether the bytes are gone because somebody, or the clock, wanted it so.
    pub(crate) fn is_gone(self) -> bool {
        matches!(self, Self::Expired | Self::Terminated | Self::Retired)
    }
}

/// The part that an upload plays in a concatenation (tus 1.0.0, Concatenation).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Concat {
    /// One that others are made of.
    Partial,
    /// One that is made of others: the field as it was received, `final;` included.
    Final(String),
}

impl Concat {
    /// `Upload-Concat`, as HEAD repeats it and the database keeps it.
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Partial => "partial",
            Self::Final(field) => field,
        }
    }

    pub(super) fn from_stored(text: String) -> Self {
        if text == "partial" { Self::Partial } else { Self::Final(text) }
    }
}

/// One upload.
#[derive(Debug, Clone)]
pub(crate) struct Upload {
    /// Its identifier, also in its URL.
    pub(crate) id: UploadId,
    /// Whose data it is.
    pub(crate) tenant: String,
    /// Who created it.
    pub(crate) owner: String,
    /// How it came in.
    pub(crate) door: Door,
    /// Where it stands.
    pub(crate) state: UploadState,
    /// Upload-Length in bytes; `None` while it is deferred.
    pub(crate) length: Option<u64>,
    /// Upload-Offset in bytes: what is durable and acknowledged.
    pub(crate) offset: u64,
    /// The verified manifest, with what the server added.
    pub(crate) manifest: SenderManifest,
    /// The media type, where the sender told it.
    pub(crate) media_type: Option<String>,
    /// Its part in a concatenation, if it has one.
    pub(crate) concat: Option<Concat>,
    /// Where its bytes are.
    pub(crate) key: StorageKey,
    /// SHA-256 of all bytes, where it is known.
    pub(crate) sha256: Option<[u8; 32]>,
    /// Fences writers of several gateways; every move of the offset repeats it.
    pub(crate) lock_epoch: i64,
    /// When it was created.
    pub(crate) created_at: Timestamp,
    /// When its bytes last changed.
    pub(crate) changed_at: Timestamp,
    /// When the last byte was acknowledged.
    pub(crate) completed_at: Option<Timestamp>,
    /// When it expires, unless it goes on before.
    pub(crate) expires_at: Option<Timestamp>,
}

impl Upload {
    /// An upload that has no bytes yet.
    pub(crate) fn new(
        (tenant, owner): (&str, &str),
        id: UploadId,
        door: Door,
        length: Option<u64>,
        manifest: SenderManifest,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            tenant: tenant.to_owned(),
            owner: owner.to_owned(),
            door,
            state: UploadState::Open,
            length,
            offset: 0,
            manifest,
            media_type: None,
            concat: None,
            key: StorageKey::new(tenant, owner, id),
            sha256: None,
            lock_epoch: 0,
            created_at: now,
            changed_at: now,
            completed_at: None,
            expires_at: None,
        }
    }

    /// The same upload, complete at `now`: `length` bytes with this SHA-256, stored in one go.
    pub(crate) fn completed(self, length: u64, sha256: [u8; 32], now: Timestamp) -> Self {
        Self {
            state: UploadState::Complete,
            length: Some(length),
            offset: length,
            sha256: Some(sha256),
            changed_at: now,
            completed_at: Some(now),
            expires_at: None,
            ..self
        }
    }

    /// The one segment that all its bytes are, if they were stored in one go.
    pub(super) fn whole(&self) -> Option<Segment> {
        let sha256 = self.sha256.filter(|_| self.offset > 0)?;
        Some(Segment { first_byte: 0, length: self.offset, hash: ContentHash::Sha256(sha256) })
    }

    /// Whether it is there to be concatenated.
    pub(crate) fn is_partial(&self) -> bool {
        self.concat == Some(Concat::Partial)
    }

    /// Whether it is made of partial uploads, and takes no bytes from anybody.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self.concat, Some(Concat::Final(_)))
    }

    /// Whether there is nothing left but its row, or will be as soon as somebody tidies up.
    pub(crate) fn is_gone(&self, now: Timestamp) -> bool {
        let can_expire = matches!(self.state, UploadState::Open | UploadState::Ready | UploadState::Damaged);
        self.state.is_gone() || (can_expire && self.expires_at.is_some_and(|at| at <= now))
    }

    /// What every report about this upload repeats.
    pub(crate) fn stream(&self) -> StreamFields {
        stream_fields((&self.tenant, &self.owner), self.id, self.manifest.fields())
    }
}

/// What every report about an upload repeats, also where the upload came to nothing.
pub(crate) fn stream_fields(
    (tenant, owner): (&str, &str),
    upload_id: UploadId,
    fields: &ManifestFields,
) -> StreamFields {
    let field = |name| fields.get(name).unwrap_or_default().to_owned();
    StreamFields {
        tenant: tenant.to_owned(),
        owner: owner.to_owned(),
        upload_id,
        sender_id: field("sender_id"),
        data_stream_id: field("data_stream_id"),
        data_stream_route: field("data_stream_route"),
        jurisdiction: field("jurisdiction"),
        dex_ingest_datetime: field("dex_ingest_datetime"),
    }
}
