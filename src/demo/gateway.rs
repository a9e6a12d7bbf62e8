//! The gateway as its clients see it: URLs to call, and the folders where it keeps and delivers files.
//! All calls go through [`outbound::Client`](crate::outbound::Client).

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::digest::{Digest, Sha256};
use bytes::Bytes;
use serde_json::Value;
use tokio::io::AsyncReadExt;

use super::DemoError;
use super::console::Compared;
use crate::outbound::{Answer, Call, Client, Limits, OutboundError, Reach};

/// How long anything may take; a slow disk under a busy machine is no failure.
const PATIENCE: Duration = Duration::from_mins(2);

/// Time between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// A gateway to talk to.
#[derive(Debug)]
pub(super) struct Gateway {
    client: Client,
    address: SocketAddr,
    base: String,
    folder: PathBuf,
}

/// A file that was delivered.
#[derive(Debug)]
pub(super) struct DeliveredFile {
    /// Where it is.
    pub(super) path: PathBuf,
}

impl Gateway {
    /// The gateway that listens there and keeps everything in `folder`.
    pub(super) fn at(address: SocketAddr, folder: &Path) -> Result<Self, DemoError> {
        let limits = Limits {
            timeout: PATIENCE,
            read_timeout: PATIENCE,
            reach: Reach::Everywhere,
            ..Limits::default()
        };
        let client = Client::new(limits)
            .map_err(|source| DemoError::Call { call: "a first call".to_owned(), source })?;
        Ok(Self { client, address, base: format!("http://{address}"), folder: folder.to_owned() })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, without a slash at the end.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// The folder of everything it keeps.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder it delivers to.
    pub(super) fn delivered_folder(&self) -> PathBuf {
        self.folder.join("delivered")
    }

    /// `POST /fhir/$submit-attachment`.
    pub(super) async fn submit(&self, body: Bytes) -> Result<Answer, DemoError> {
        let call = self.client.post(&format!("{}/fhir/$submit-attachment", self.base));
        let call = call.header("content-type", "application/fhir+json").body(body);
        send("POST /fhir/$submit-attachment", call).await
    }

    /// `POST` of FHIR JSON.
    pub(super) async fn post(&self, path: &str, body: Bytes) -> Result<Answer, DemoError> {
        let call = self.client.post(&format!("{}{path}", self.base));
        send(&format!("POST {path}"), call.header("content-type", "application/fhir+json").body(body)).await
    }

    /// Creates a resource; gives `Type/id`.
    pub(super) async fn create(&self, resource: &Value) -> Result<String, DemoError> {
        let path = format!("/fhir/{}", resource["resourceType"].as_str().unwrap_or_default());
        let answer = self.post(&path, Bytes::from(resource.to_string())).await?;
        let call = format!("POST {path}");
        let created = json(&call, &answer)?;
        match (answer.status, created["resourceType"].as_str(), created["id"].as_str()) {
            (201, Some(name), Some(id)) => Ok(format!("{name}/{id}")),
            _ => Err(DemoError::Answer { call, expected: "201 with the resource" }),
        }
    }

    /// The bytes of a DocumentReference's attachment, wherever they are.
    pub(super) async fn attached(&self, reference: &str) -> Result<Bytes, DemoError> {
        let document = self.get_json(&format!("/fhir/{reference}")).await?;
        let attachment = &document["content"][0]["attachment"];
        if let Some(data) = attachment["data"].as_str() {
            let expected = "base64 in its attachment";
            let call = format!("GET /fhir/{reference}");
            let decoded = base64_simd::STANDARD.decode_to_vec(data);
            return Ok(decoded.map_err(|_| DemoError::Answer { call, expected })?.into());
        }
        let path = format!("/fhir/{}", attachment["url"].as_str().unwrap_or_default());
        let call = self.client.get(&format!("{}{path}", self.base)).header("accept", "*/*");
        Ok(send(&format!("GET {path}"), call).await?.body)
    }

    /// Looks again and again until there is what is looked for.
    pub(super) async fn until<T, F>(&self, what: &'static str, look: impl Fn() -> F) -> Result<T, DemoError>
    where
        F: Future<Output = Result<Option<T>, DemoError>>,
    {
        let looking = async {
            loop {
                if let Some(found) = look().await? {
                    return Ok(found);
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::time::timeout(PATIENCE, looking).await.unwrap_or(Err(DemoError::Late(what)))
    }

    /// A call of the tus protocol; the rest of the request is the caller's to add.
    pub(super) async fn tus<'g>(
        &'g self,
        method: &str,
        path: &str,
        complete: impl FnOnce(Call<'g>) -> Call<'g>,
    ) -> Result<Answer, DemoError> {
        let url = format!("{}{path}", self.base);
        let call = match method {
            "POST" => self.client.post(&url),
            "HEAD" => self.client.head(&url),
            _ => self.client.patch(&url),
        };
        send(&format!("{method} {path}"), complete(call.header("tus-resumable", "1.0.0"))).await
    }

    /// `GET` of something that is JSON.
    pub(super) async fn get_json(&self, path: &str) -> Result<Value, DemoError> {
        let call = format!("GET {path}");
        let answer = send(&call, self.client.get(&format!("{}{path}", self.base))).await?;
        json(&call, &answer)
    }

    /// `GET /upload/info/{id}`.
    pub(super) async fn info(&self, id: &str) -> Result<Value, DemoError> {
        self.get_json(&format!("/upload/info/{id}")).await
    }

    /// Asks `/upload/info/{id}` until the upload has been delivered.
    pub(super) async fn delivered(&self, id: &str) -> Result<DeliveredFile, DemoError> {
        let delivered = self.until("a delivery", || async {
            let info = self.info(id).await?;
            let mut deliveries = info["deliveries"].as_array().into_iter().flatten();
            let success = deliveries.find(|delivery| delivery["status"] == "SUCCESS");
            let location = success.and_then(|delivery| delivery["location"].as_str());
            Ok(location.map(|location| DeliveredFile { path: PathBuf::from(location) }))
        });
        delivered.await
    }

    /// The files that it keeps or has delivered.
    pub(super) async fn files(&self) -> io::Result<BTreeSet<PathBuf>> {
        let mut folders = vec![self.folder.join("uploads"), self.delivered_folder()];
        let mut files = BTreeSet::new();
        while let Some(folder) = folders.pop() {
            let mut entries = tokio::fs::read_dir(folder).await?;
            while let Some(entry) = entries.next_entry().await? {
                if entry.file_type().await?.is_dir() {
                    folders.push(entry.path());
                } else {
                    files.insert(entry.path());
                }
            }
        }
        Ok(files)
    }
}

impl DeliveredFile {
    /// The folder it is in.
    pub(super) fn folder(&self) -> String {
        self.path.parent().map(|folder| folder.display().to_string()).unwrap_or_default()
    }

    /// Its name.
    pub(super) fn name(&self) -> String {
        self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// Reads it once beside its original.
    pub(super) async fn compare(&self, original: impl IntoIterator<Item = Bytes>) -> io::Result<Comparison> {
        let mut file = tokio::fs::File::open(&self.path).await?;
        let (mut original_hash, mut file_hash) = (Sha256::new(), Sha256::new());
        let mut length = 0;
        let mut first_difference = None;
        let mut found = Vec::new();
        for expected in original {
            found.clear();
            (&mut file).take(expected.len() as u64).read_to_end(&mut found).await?;
            original_hash.update(&expected);
            file_hash.update(&found);
            if first_difference.is_none() && expected != found {
                let same = expected.iter().zip(&found).take_while(|(one, other)| one == other).count();
                first_difference = Some(length + same as u64);
            }
            length += expected.len() as u64;
        }
        found.clear();
        if file.read_to_end(&mut found).await? > 0 {
            file_hash.update(&found);
            first_difference = first_difference.or(Some(length));
        }
        let compared = match first_difference {
            None => Compared::Same { bytes: length },
            Some(at) => Compared::Differs { at },
        };
        let [original_sha256, file_sha256] =
            [original_hash, file_hash].map(|hash| hex::encode(hash.finalize()));
        Ok(Comparison { compared, original_sha256, file_sha256 })
    }
}

/// What reading a delivered file beside its original brought.
#[derive(Debug)]
pub(super) struct Comparison {
    /// Whether they are equal.
    pub(super) compared: Compared,
    /// The SHA-256 of the original, in hex.
    pub(super) original_sha256: String,
    /// The SHA-256 of the file, in hex.
    pub(super) file_sha256: String,
}

/// The JSON of an answer.
pub(super) fn json(call: &str, answer: &Answer) -> Result<Value, DemoError> {
    serde_json::from_slice(&answer.body)
        .map_err(|_| DemoError::Answer { call: call.to_owned(), expected: "JSON" })
}

async fn send(name: &str, call: Call<'_>) -> Result<Answer, DemoError> {
    call.send().await.map_err(|source: OutboundError| DemoError::Call { call: name.to_owned(), source })
}
