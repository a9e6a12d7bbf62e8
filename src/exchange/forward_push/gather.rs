//! The bytes of a resource's payloads: from the resource, from others here, from uploads, or from a partner's server.
//! Nobody else is called; what cannot be had is told and not lost.

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use serde_json::Value;

use super::piece::{self, Piece, Place, Said};
use super::unavailable;
use crate::agenda::Item;
use crate::auth::Access;
use crate::db::DbError;
use crate::exchange::ask_partner::{self, NoAnswer};
use crate::exchange::follow_agenda::FollowError;
use crate::exchange::{Body, BodyError, Exchange};
use crate::fhir::search::reference::Target;
use crate::fhir::{self, Spool, SpoolError, Spooled};
use crate::id::UploadId;
use crate::partner::Partner;
use crate::repository::{self, StoredResource};
use crate::screening::HEAD_BYTES;
use crate::upload::{Content, UploadSpool, UploadState};

/// After so many failures what cannot be reached counts as not to be had.
const MOST_ATTEMPTS: u32 = 12;
/// What is not here may still be on its way for as many.
const ATTEMPTS_FOR_LATECOMERS: u32 = 4;

const UNREACHABLE: &str = "the server that has it cannot be reached";

/// A payload with its bytes, or why there are none.
#[derive(Debug, Clone)]
pub(super) struct Gathered {
    pub(super) key: String,
    pub(super) said: Said,
    pub(super) bytes: Result<PushedBytes, &'static str>,
}

/// The bytes of a payload. None are held in memory: those of others may be long, and many.
#[derive(Debug, Clone)]
pub(super) enum PushedBytes {
    /// In the spool, and how they begin.
    Spooled(Spooled, Bytes),
    /// In the upload store, as the content of a Binary, which stays theirs too.
    Stored(Content),
    /// In a complete upload made before.
    Upload(UploadId),
}

/// Bytes as they are found.
enum Found {
    Here(Bytes),
    Arriving(Body),
    Stored(Content),
    Upload(UploadId),
}

/// Why something is not to be had.
pub(super) enum Lacking {
    /// It will never be.
    ForGood(&'static str),
    /// It may be later, up to so many attempts.
    Now(&'static str, u32),
}

impl From<NoAnswer> for Lacking {
    fn from(error: NoAnswer) -> Self {
        match error {
            NoAnswer::NotNow(_) => Self::Now(UNREACHABLE, MOST_ATTEMPTS),
            NoAnswer::Forbidden => Self::ForGood("the server that has it must not be called"),
            NoAnswer::Unreadable => Self::ForGood("what is referred to is not FHIR JSON"),
            NoAnswer::Gone | NoAnswer::NotLetIn(_) | NoAnswer::Refused(_) => {
                Self::ForGood("the server that has it does not give it")
            }
        }
    }
}

impl Exchange {
    /// The payloads of a resource that `partner`, if any, sent.
    ///
    /// # Errors
    /// Something is not to be had now, but may be later.
    pub(super) async fn gather(
        &self,
        item: &Item,
        stored: &StoredResource,
        resource: &Value,
        partner: Option<&Partner>,
        spool: &mut UploadSpool,
    ) -> Result<Vec<Gathered>, FollowError> {
        let written = stored.content.clone().unwrap_or_default();
        let pieces = match &*stored.resource_type {
            "Communication" => piece::of_communication(resource),
            _ => piece::of_resource(resource, &written, stored.bytes, "0", &Said::default()),
        };
        let access = item.access();
        let mut gathered = Vec::new();
        for piece in pieces {
            let Place::Reference(reference) = &piece.place else {
                gathered.push(self.fetch_piece(item, piece, partner, spool).await?);
                continue;
            };
            match settled(item, self.referenced(&access, reference, partner).await)? {
                Ok(pieces) => {
                    for inner in pieces_of(&pieces, &piece) {
                        gathered.push(self.fetch_piece(item, inner, partner, spool).await?);
                    }
                }
                Err(reason) => {
                    gathered.push(Gathered { key: piece.key, said: piece.said, bytes: Err(reason) });
                }
            }
        }
        Ok(gathered)
    }

    /// Gets the bytes of one payload. What it refers to has been looked up.
    async fn fetch_piece(
        &self,
        item: &Item,
        piece: Piece,
        partner: Option<&Partner>,
        spool: &mut UploadSpool,
    ) -> Result<Gathered, FollowError> {
        let access = item.access();
        let Piece { key, mut said, place } = piece;
        let found = match place {
            Place::Here(bytes) => Ok(Found::Here(bytes)),
            Place::Nowhere(reason) => Err(Lacking::ForGood(reason)),
            Place::Stored(id) => self.stored(&access, id).await,
            Place::Reference(_) => Err(Lacking::ForGood("a reference leads to another")),
            Place::Url(url) => self.at_url(&access, &url, partner, &mut said).await,
        };
        let bytes = match settled(item, found)? {
            Ok(Found::Here(bytes)) => {
                let head = bytes.slice(..bytes.len().min(HEAD_BYTES));
                // What is copied does not keep the whole alive.
                let head = Bytes::copy_from_slice(&head);
                let spooled = spool.add(bytes).await.map_err(unavailable)?;
                Ok(PushedBytes::Spooled(spooled, head))
            }
            Ok(Found::Arriving(body)) => {
                let arrived = arrive(spool, body).await.map_err(unavailable)?;
                settled(item, arrived)?.map(|(spooled, head)| PushedBytes::Spooled(spooled, head))
            }
            Ok(Found::Stored(content)) => Ok(PushedBytes::Stored(content)),
            Ok(Found::Upload(id)) => Ok(PushedBytes::Upload(id)),
            Err(reason) => Err(reason),
        };
        Ok(Gathered { key, said, bytes })
    }

    async fn stored(&self, access: &Access, id: UploadId) -> Result<Found, Lacking> {
        match self.uploads.find_content(access, id).await {
            Ok(Some(content)) => Ok(Found::Stored(content)),
            Ok(None) => Err(Lacking::ForGood("the bytes of the Binary are gone")),
            Err(_) => Err(Lacking::Now("the database is not available", u32::MAX)),
        }
    }

    async fn at_url(
        &self,
        access: &Access,
        url: &str,
        partner: Option<&Partner>,
        said: &mut Said,
    ) -> Result<Found, Lacking> {
        if let Some(id) = self.own_upload(url) {
            let found = self.uploads.find(access, id).await;
            let found = found.map_err(|_| Lacking::Now("the database is not available", u32::MAX))?;
            return match found.map(|upload| upload.state) {
                Some(UploadState::Complete) => Ok(Found::Upload(id)),
                Some(UploadState::Open) => {
                    Err(Lacking::Now("the upload that the url names is not complete", MOST_ATTEMPTS))
                }
                Some(
                    UploadState::Ready
                    | UploadState::Damaged
                    | UploadState::Expired
                    | UploadState::Terminated
                    | UploadState::Retired,
                )
                | None => Err(Lacking::ForGood("the url names no upload that is here")),
            };
        }
        if let Target::Local { .. } = Target::of(url, &self.settings.fhir_base) {
            let Referred { resource, written, bytes, .. } = self.referenced(access, url, partner).await?;
            let mut pieces = piece::of_resource(&resource, &written, bytes, "0", said);
            return match pieces.pop() {
                Some(Piece { place: Place::Here(bytes), said: found, .. }) if pieces.is_empty() => {
                    *said = found;
                    Ok(Found::Here(bytes))
                }
                Some(Piece { place: Place::Stored(id), said: found, .. }) if pieces.is_empty() => {
                    *said = found;
                    self.stored(access, id).await
                }
                _ => Err(Lacking::ForGood("the url names a resource that has no bytes of its own")),
            };
        }
        let accept = said.media_type.clone().unwrap_or_else(|| "*/*".to_owned());
        let limit = self.settings.payload_limit_bytes;
        let giving = ask_partner::stream(self.partner_at(url)?, url, &accept, limit).await?;
        if said.media_type.is_none() {
            said.media_type = giving.content_type;
        }
        Ok(Found::Arriving(giving.body))
    }

    /// The resource that a reference leads to: here, or at a partner's. What is relative and not here is looked for
    /// where its sender keeps its own resources (cdex §9.3).
    pub(super) async fn referenced(
        &self,
        access: &Access,
        reference: &str,
        partner: Option<&Partner>,
    ) -> Result<Referred, Lacking> {
        let url = match Target::of(reference, &self.settings.fhir_base) {
            Target::Local { resource_type, id } => {
                let found = self.read_here(access, resource_type, id).await;
                let found = found.map_err(|_| Lacking::Now("the database is not available", u32::MAX))?;
                if let Some(found) = found {
                    return Ok(found);
                }
                let base = partner.and_then(|partner| partner.fhir_base.as_ref());
                let Some(base) = base.filter(|_| !fhir::reference::is_absolute(reference)) else {
                    let reason = "the resource that is referred to is not here";
                    return Err(Lacking::Now(reason, ATTEMPTS_FOR_LATECOMERS));
                };
                base.at(&format!("/{resource_type}/{id}"))
            }
            Target::Url(url) => url.to_owned(),
        };
        let given = ask_partner::resource(self.settings.rest.scan, self.partner_at(&url)?, &url).await?;
        Ok(Referred { resource: given.tree, written: given.text, bytes: None, is_stored: false })
    }

    async fn read_here(
        &self,
        access: &Access,
        resource_type: &str,
        id: &str,
    ) -> Result<Option<Referred>, DbError> {
        let stored = {
            let mut reader = self.db.reader().await?;
            repository::read(&mut reader.tx(), access, resource_type, id).await?
        };
        let Some((written, bytes)) = stored.and_then(|stored| Some((stored.content?, stored.bytes))) else {
            return Ok(None);
        };
        let resource = fhir::parse(&written).map_err(|_| DbError::inconsistent("resource", "content", id))?;
        Ok(Some(Referred { resource, written, bytes, is_stored: true }))
    }

    fn partner_at(&self, url: &str) -> Result<&Partner, Lacking> {
        let partner = self.partners.of_url(url);
        partner.map(AsRef::as_ref).ok_or(Lacking::ForGood("the url names no server of a partner"))
    }

    /// The upload of ours that a URL names.
    fn own_upload(&self, url: &str) -> Option<UploadId> {
        let origin = self.settings.fhir_base.strip_suffix("/fhir").unwrap_or(&self.settings.fhir_base);
        let own = crate::cdex::OwnUploads { origins: vec![origin.to_owned()] };
        own.upload(url)
    }
}

/// Takes bytes into the spool as they arrive; gives them with how they begin.
async fn arrive(
    spool: &mut UploadSpool,
    mut body: Body,
) -> Result<Result<(Spooled, Bytes), Lacking>, SpoolError> {
    spool.begin().await?;
    let mut head = BytesMut::new();
    while let Some(block) = body.next().await {
        let lacking = match block {
            Ok(block) => {
                head.extend_from_slice(&block[..block.len().min(HEAD_BYTES - head.len())]);
                spool.write(block).await?;
                continue;
            }
            Err(BodyError::TooLarge) => {
                Lacking::ForGood("what is at the url is longer than a payload may be")
            }
            Err(_) => Lacking::Now(UNREACHABLE, MOST_ATTEMPTS),
        };
        spool.abort().await;
        return Ok(Err(lacking));
    }
    let spooled = spool.end().await?;
    if spooled.length == 0 {
        spool.discard(&spooled).await;
        return Ok(Err(Lacking::ForGood("there are no bytes at the url")));
    }
    Ok(Ok((spooled, head.freeze())))
}

/// A resource that was referred to.
pub(super) struct Referred {
    pub(super) resource: Value,
    written: Bytes,
    bytes: Option<UploadId>,
    /// Whether it was read here.
    pub(super) is_stored: bool,
}

fn pieces_of(referred: &Referred, outer: &Piece) -> Vec<Piece> {
    piece::of_resource(&referred.resource, &referred.written, referred.bytes, &outer.key, &outer.said)
}

/// What may come later is waited for, as often as is allowed.
pub(super) fn settled<T>(
    item: &Item,
    found: Result<T, Lacking>,
) -> Result<Result<T, &'static str>, FollowError> {
    match found {
        Ok(found) => Ok(Ok(found)),
        Err(Lacking::Now(reason, most)) if item.attempts < most => {
            Err(FollowError::Unavailable(reason.to_owned()))
        }
        Err(Lacking::Now(reason, _) | Lacking::ForGood(reason)) => Ok(Err(reason)),
    }
}
