//! The single requests of tus 1.0.0: OPTIONS, creation, HEAD, PATCH, concatenation. A token that is refused is replaced
//! once and the request repeated (dex-upload F-01, F-08); everything else that fails is the caller's to judge.

use std::sync::{Arc, OnceLock};

use crate::digest::{Digest, Sha256};
use base64_simd::STANDARD;
use bytes::Bytes;
use futures_util::stream;
use sha1::Sha1;

use super::{Identity, Locations, Patience, Refusal, RemoteError, Watch};
use crate::outbound::{Answer, Call, Client, origin};

/// The version of the protocol.
const VERSION: &str = "1.0.0";

/// Bytes that go onto the line at a time.
const BLOCK: usize = 64 * 1024;

/// Which server, and how it is dealt with.
#[derive(Debug, Clone)]
pub(crate) struct TusSettings {
    /// Where uploads are created.
    pub(crate) create_url: String,
    /// How it names them.
    pub(crate) locations: Locations,
    /// How long a failing line is borne.
    pub(crate) patience: Patience,
}

/// What a server can do beyond the core protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Features {
    /// Whether it makes one upload of several.
    pub(crate) concatenation: bool,
    /// Whether it lets uploads be removed.
    pub(crate) termination: bool,
    /// How it checks what arrives, if it does.
    checksum: Option<Checksum>,
}

/// A checksum that we can send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Checksum {
    Sha256,
    Sha1,
}

/// How far an upload is, as the server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Bytes that it has.
    pub(crate) offset: u64,
    /// Bytes that it will have, if it says so.
    pub(crate) length: Option<u64>,
}

/// One server.
pub(crate) struct TusClient {
    http: Client,
    settings: TusSettings,
    identity: Arc<dyn Identity>,
    /// What it said when it was asked; nothing if it has not answered yet.
    features: OnceLock<Features>,
}

impl TusClient {
    /// A server that has not been asked anything yet.
    pub(crate) fn new(http: Client, settings: TusSettings, identity: Arc<dyn Identity>) -> Self {
        Self { http, settings, identity, features: OnceLock::new() }
    }

    pub(super) fn patience(&self) -> Patience {
        self.settings.patience
    }

    /// Asks what the server can do (OPTIONS, which needs no token: dex-upload F-02); `None` if it does not say.
    ///
    /// # Errors
    /// It cannot be reached, or is in trouble.
    pub(crate) async fn ask_features(&self) -> Result<Option<Features>, RemoteError> {
        let answer = self.http.options(&self.settings.create_url).send().await?;
        match answer.status {
            200..300 => Ok(Some(Features::of(&answer))),
            300..=499 | 501 => Ok(None),
            _ => Err(RemoteError::Refused(Refusal::of(&answer))),
        }
    }

    /// What the server can do, asked until it says so. Whoever does not answer OPTIONS may still take uploads.
    pub(crate) async fn features(&self) -> Features {
        if let Some(features) = self.features.get() {
            return *features;
        }
        match self.ask_features().await {
            Ok(Some(features)) => *self.features.get_or_init(|| features),
            Ok(None) | Err(_) => Features::default(),
        }
    }

    /// Creates an upload of so many bytes and gives its URL. No byte goes along, even where the server would take some:
    /// the URL has to be remembered before the first one (dex-upload F-06).
    ///
    /// *Cancellation*: an empty upload may be left that nobody knows.
    pub(crate) async fn create(&self, length: u64, metadata: &str) -> Result<String, RemoteError> {
        self.created(|call| with_metadata(call.header("upload-length", &length.to_string()), metadata)).await
    }

    /// Creates an upload that is to become a part of another (tus 1.0.0, Concatenation).
    pub(crate) async fn create_partial(&self, length: u64, metadata: &str) -> Result<String, RemoteError> {
        self.created(|call| {
            let call = call.header("upload-length", &length.to_string()).header("upload-concat", "partial");
            with_metadata(call, metadata)
        })
        .await
    }

    /// Makes one upload of complete parts, in this order. The server may still be at it when this returns.
    pub(crate) async fn concatenate(&self, parts: &[String], metadata: &str) -> Result<String, RemoteError> {
        let parts = format!("final;{}", parts.join(" "));
        self.created(|call| with_metadata(call.header("upload-concat", &parts), metadata)).await
    }

    async fn created<'c>(&'c self, fill: impl Fn(Call<'c>) -> Call<'c>) -> Result<String, RemoteError> {
        let url = &self.settings.create_url;
        // Without this, an empty body goes without a length, and there are gateways that answer 411 (dex-upload 2.8).
        let answer = self.send(|| fill(self.http.post(url).header("content-length", "0"))).await?;
        if answer.status != 201 {
            return Err(RemoteError::Refused(Refusal::of(&answer)));
        }
        let location = answer.header("location").ok_or(RemoteError::Protocol("has no Location"))?;
        self.settings.locations.resolve(url, location)
    }

    /// Asks how far an upload is (HEAD).
    pub(crate) async fn standing(&self, url: &str) -> Result<Standing, RemoteError> {
        let answer = self.of_upload(url, || self.http.head(url)).await?;
        let number = |name| answer.header(name).and_then(|text| text.parse().ok());
        let offset = number("upload-offset").ok_or(RemoteError::Protocol("has no Upload-Offset"))?;
        Ok(Standing { offset, length: number("upload-length") })
    }

    /// Appends bytes at an offset (PATCH) and gives the offset that was reached. They are told with their checksum
    /// where the server looks at it.
    pub(super) async fn patch(
        &self,
        (url, offset): (&str, u64),
        bytes: Bytes,
        features: Features,
        watch: Option<&Watch>,
    ) -> Result<u64, RemoteError> {
        let length = bytes.len() as u64;
        let checksum = features.checksum.map(|checksum| checksum.of(&bytes));
        let call = || {
            let call = self
                .http
                .patch(url)
                .header("content-type", "application/offset+octet-stream")
                .header("upload-offset", &offset.to_string());
            let call = match &checksum {
                Some(checksum) => call.header("upload-checksum", checksum),
                None => call,
            };
            let watch = watch.cloned();
            let blocks = (0..bytes.len()).step_by(BLOCK).map({
                let bytes = bytes.clone();
                move |at| {
                    let end = bytes.len().min(at + BLOCK);
                    if let Some(watch) = &watch {
                        watch(offset + end as u64);
                    }
                    Ok(bytes.slice(at..end))
                }
            });
            call.blocks(stream::iter(blocks), length)
        };
        let answer = self.of_upload(url, call).await?;
        let reached = answer.header("upload-offset").and_then(|text| text.parse().ok());
        reached.ok_or(RemoteError::Protocol("has no Upload-Offset"))
    }

    /// Removes an upload (tus 1.0.0, Termination).
    pub(crate) async fn terminate(&self, url: &str) -> Result<(), RemoteError> {
        self.of_upload(url, || self.http.delete(url)).await.map(drop)
    }

    /// GET of what the same server says beside tus. Any status is an answer.
    pub(crate) async fn get(&self, url: &str) -> Result<Answer, RemoteError> {
        self.send(|| self.http.get(url).header("accept", "application/json")).await
    }

    /// A request about an upload that exists, as far as we know.
    async fn of_upload<'c>(&'c self, url: &str, call: impl Fn() -> Call<'c>) -> Result<Answer, RemoteError> {
        if origin(url).is_none() || origin(url) != origin(&self.settings.create_url) {
            // Somebody has changed the settings while the upload was under way: our token is for the new server.
            return Err(RemoteError::OtherServer);
        }
        let answer = self.send(call).await?;
        match answer.status {
            200..300 => Ok(answer),
            status @ (403 | 404 | 410) => Err(RemoteError::Gone { status }),
            _ => Err(RemoteError::Refused(Refusal::of(&answer))),
        }
    }

    /// Makes a call with our token; one that is refused is replaced once.
    async fn send<'c>(&'c self, call: impl Fn() -> Call<'c>) -> Result<Answer, RemoteError> {
        let signed = |authorization: Option<&str>| {
            let call = call().header("tus-resumable", VERSION);
            match authorization {
                Some(authorization) => call.header("authorization", authorization),
                None => call,
            }
        };
        let first = self.identity.authorization(None).await.map_err(RemoteError::Token)?;
        let answer = signed(first.as_deref()).send().await?;
        if answer.status == 401
            && let Some(refused) = &first
            && let Some(other) =
                self.identity.authorization(Some(refused)).await.map_err(RemoteError::Token)?
        {
            return Ok(signed(Some(&other)).send().await?);
        }
        Ok(answer)
    }
}

fn with_metadata<'c>(call: Call<'c>, metadata: &str) -> Call<'c> {
    if metadata.is_empty() { call } else { call.header("upload-metadata", metadata) }
}

impl Features {
    fn of(answer: &Answer) -> Self {
        let lists = |header: &str, word: &str| {
            answer.header(header).is_some_and(|list| list.split(',').any(|known| known.trim() == word))
        };
        let checksum = if !lists("tus-extension", "checksum") {
            None
        } else if lists("tus-checksum-algorithm", "sha256") {
            Some(Checksum::Sha256)
        } else {
            // The one that every server with checksums knows (tus 1.0.0, Checksum).
            lists("tus-checksum-algorithm", "sha1").then_some(Checksum::Sha1)
        };
        let offers = |extension| lists("tus-extension", extension);
        Self { concatenation: offers("concatenation"), termination: offers("termination"), checksum }
    }
}

impl Checksum {
    /// The value of `Upload-Checksum` for these bytes.
    fn of(self, bytes: &[u8]) -> String {
        match self {
            Self::Sha256 => format!("sha256 {}", STANDARD.encode_to_string(Sha256::digest(bytes))),
            Self::Sha1 => format!("sha1 {}", STANDARD.encode_to_string(Sha1::digest(bytes))),
        }
    }
}
