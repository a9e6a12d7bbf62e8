//! Buckets of S3 and containers of Azure Blob Storage: [`Bucket`], by which uploads are kept and delivered.
//!
//! It is the one place that names the client crate. What that crate cannot do is signed by hand ([`signed`]):
//! committing Azure blocks together with their metadata, and parts that the service copies. Calls go through
//! [`service`], so they have the limits of every other call that leaves the gateway.

mod access;
mod error;
mod multipart;
mod service;
mod settings;
mod signed;
#[cfg(test)]
pub(crate) mod testing;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::azure::{MicrosoftAzure, MicrosoftAzureBuilder};
use object_store::client::HttpClient;
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, GetOptions, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
    RetryConfig,
};

pub(crate) use error::BucketError;
pub(crate) use settings::{AzureCredential, AzureSettings, BucketProblem, BucketSettings, S3Settings};

use super::Reach;
use crate::clock::Timestamp;
use service::Service;

/// How often a call is repeated within itself, and for how long: leases and retry schedules are above.
const RETRIES: usize = 2;
const RETRY_TIME: Duration = Duration::from_secs(20);
/// The longest name of an object, in bytes: S3 takes as many, Azure characters.
const LONGEST_NAME: usize = 1024;
/// Objects removed at once.
const REMOVALS: usize = 8;

/// Whether an object may take the place of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Only a name that nothing has.
    New,
    /// Any.
    Over,
}

/// What goes along with the bytes of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Labels {
    /// The media type, if one is known.
    pub(crate) media_type: Option<String>,
    /// Names and values of metadata: names in lower case.
    pub(crate) metadata: Vec<(String, String)>,
}

/// What a bucket says of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Object {
    /// Its name.
    pub(crate) name: String,
    /// Its length in bytes.
    pub(crate) length: u64,
    /// When it was last written, by the service's clock.
    pub(crate) changed_at: Timestamp,
    /// What the service says of its content.
    pub(crate) e_tag: Option<String>,
    /// Its metadata, if it was asked for by name.
    pub(crate) metadata: Vec<(String, String)>,
}

/// A bucket. Cheap to clone; clones share their connections.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    settings: Arc<BucketSettings>,
    objects: Client,
    http: HttpClient,
    completes: Place,
}

/// The two clients, of which more is needed than they have in common.
#[derive(Debug, Clone)]
enum Client {
    S3(Arc<AmazonS3>),
    Azure(Arc<MicrosoftAzure>),
}

impl Bucket {
    /// The bucket of these settings; nothing is called yet. `completes` says whether a multipart upload may be
    /// completed over another object.
    ///
    /// # Errors
    /// [`BucketError::Settings`] if a client cannot be made of them.
    pub(crate) fn open(
        settings: BucketSettings,
        reach: Reach,
        completes: Place,
    ) -> Result<Self, BucketError> {
        let service = Service::new(reach, completes == Place::New)?;
        let http = HttpClient::new(service.clone());
        let retry = RetryConfig { max_retries: RETRIES, retry_timeout: RETRY_TIME, ..RetryConfig::default() };
        let objects = match &settings {
            BucketSettings::S3(s3) => {
                let mut builder = AmazonS3Builder::new()
                    .with_bucket_name(&s3.bucket)
                    .with_region(s3.region())
                    .with_access_key_id(s3.access_key_id.reveal())
                    .with_secret_access_key(s3.secret_access_key.reveal())
                    .with_retry(retry)
                    // Many who speak S3's protocol do not know the bulk call.
                    .with_disable_bulk_delete(true)
                    .with_http_connector(service);
                if let Some(endpoint) = &s3.endpoint {
                    builder =
                        builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
                }
                if let Some(token) = &s3.session_token {
                    builder = builder.with_token(token.reveal());
                }
                builder.build().map(|client| Client::S3(Arc::new(client)))
            }
            BucketSettings::Azure(azure) => {
                let builder = MicrosoftAzureBuilder::new()
                    .with_container_name(&azure.container)
                    .with_account(azure.account())
                    .with_endpoint(azure.endpoint.trim_end_matches('/').to_owned())
                    .with_allow_http(azure.endpoint.starts_with("http://"))
                    .with_retry(retry)
                    .with_http_connector(service);
                let builder = match &azure.credential {
                    AzureCredential::SharedKey { storage_key, .. } => {
                        builder.with_access_key(storage_key.reveal())
                    }
                    AzureCredential::ServicePrincipal { tenant_id, client_id, client_secret } => {
                        builder.with_client_secret_authorization(client_id, client_secret.reveal(), tenant_id)
                    }
                };
                builder.build().map(|client| Client::Azure(Arc::new(client)))
            }
        };
        let objects = objects.map_err(|_| BucketError::Settings)?;
        Ok(Self { settings: Arc::new(settings), objects, http, completes })
    }

    /// Whether it is an Azure container.
    pub(crate) fn is_azure(&self) -> bool {
        matches!(self.objects, Client::Azure(_))
    }

    /// Whether objects of `other` can be copied into this bucket where they are: it is this one, or beside it at the
    /// same service, by the words of the settings. Whether the keys let it is for the service to say.
    pub(crate) fn shares_service_with(&self, other: &Self) -> bool {
        match (&*self.settings, &*other.settings) {
            (BucketSettings::S3(one), BucketSettings::S3(other)) => one.service() == other.service(),
            (BucketSettings::Azure(one), BucketSettings::Azure(other)) => {
                one.endpoint.trim_end_matches('/') == other.endpoint.trim_end_matches('/')
            }
            _ => false,
        }
    }

    /// The name of an object for people and other programs: `s3://bucket/name`, or the exact URL of a blob
    /// (dex-upload W-34).
    pub(crate) fn location(&self, name: &str) -> String {
        match &*self.settings {
            BucketSettings::S3(s3) => format!("s3://{}/{name}", s3.bucket),
            BucketSettings::Azure(_) => self.url(name),
        }
    }

    /// Writes an object in one call: it is there whole or not at all.
    ///
    /// # Errors
    /// [`BucketError::Exists`] if something is there and it was to be [`Place::New`]; so after a call of ours whose
    /// answer was lost.
    ///
    /// *Cancellation*: the object is there or not.
    pub(crate) async fn put(
        &self,
        name: &str,
        content: Vec<Bytes>,
        labels: &Labels,
        place: Place,
    ) -> Result<(), BucketError> {
        let mode = match place {
            Place::New => PutMode::Create,
            Place::Over => PutMode::Overwrite,
        };
        let options = PutOptions { mode, attributes: attributes(labels), ..PutOptions::default() };
        let content = PutPayload::from_iter(content);
        self.objects().put_opts(&path(name)?, content, options).await?;
        Ok(())
    }

    /// What is known of an object; `None` if it is not there.
    pub(crate) async fn look(&self, name: &str) -> Result<Option<Object>, BucketError> {
        let options = GetOptions { head: true, ..GetOptions::default() };
        let found = match self.objects().get_opts(&path(name)?, options).await.map_err(BucketError::from) {
            Err(BucketError::NotFound) => return Ok(None),
            found => found?,
        };
        let metadata = found.attributes.iter().filter_map(|(attribute, value)| match attribute {
            Attribute::Metadata(name) => Some((name.to_string(), value.to_string())),
            _ => None,
        });
        let metadata = metadata.collect();
        Ok(Some(Object { metadata, ..object(found.meta) }))
    }

    /// Reads bytes of an object, as they come.
    pub(crate) async fn read(
        &self,
        name: &str,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes, BucketError>>, BucketError> {
        if range.is_empty() {
            return Ok(futures_util::stream::empty().boxed());
        }
        let options = GetOptions { range: Some(range.into()), ..GetOptions::default() };
        let found = self.objects().get_opts(&path(name)?, options).await?;
        Ok(found.into_stream().map_err(BucketError::from).boxed())
    }

    /// The objects below a folder: those whose names go on with `/` after it.
    pub(crate) fn list(&self, folder: &str) -> BoxStream<'static, Result<Object, BucketError>> {
        let folder = if folder.is_empty() { Ok(None) } else { path(folder).map(Some) };
        match folder {
            Ok(folder) => self.objects().list(folder.as_ref()).map(|found| Ok(object(found?))).boxed(),
            Err(error) => futures_util::stream::once(std::future::ready(Err(error))).boxed(),
        }
    }

    /// Removes objects; it is no error if one is not there.
    pub(crate) async fn remove(&self, names: Vec<String>) -> Result<(), BucketError> {
        let removed = futures_util::stream::iter(names).map(|name| async move {
            // One call each: a failure of one in a bulk call would be told as a success of the call.
            match self.remove_one(&name).await {
                Ok(()) | Err(BucketError::NotFound) => Ok(()),
                Err(error) => Err(error),
            }
        });
        removed.buffer_unordered(REMOVALS).try_collect().await
    }

    /// Whether the bucket is there and lets us in.
    pub(crate) async fn check(&self, folder: &str) -> Result<(), BucketError> {
        match self.list(folder).next().await {
            Some(Err(error)) => Err(error),
            Some(Ok(_)) | None => Ok(()),
        }
    }

    async fn remove_one(&self, name: &str) -> Result<(), BucketError> {
        match &self.objects {
            Client::S3(client) => Ok(client.delete(&path(name)?).await?),
            // The crate knows the bulk call alone, which not every service in front of Azure takes.
            Client::Azure(_) => self.delete_blob(name).await,
        }
    }

    fn objects(&self) -> &dyn ObjectStore {
        match &self.objects {
            Client::S3(client) => &**client,
            Client::Azure(client) => &**client,
        }
    }

    fn base(&self) -> String {
        match &*self.settings {
            BucketSettings::S3(s3) => s3.base(),
            BucketSettings::Azure(azure) => azure.base(),
        }
    }
}

fn path(name: &str) -> Result<Path, BucketError> {
    if name.is_empty() || name.len() > LONGEST_NAME {
        return Err(BucketError::Name);
    }
    let path = Path::parse(name)?;
    // The reader of names is generous with slashes at the ends; here one name is one object.
    if path.as_ref() == name { Ok(path) } else { Err(BucketError::Name) }
}

fn object(found: object_store::ObjectMeta) -> Object {
    let nanos = found.last_modified.timestamp_nanos_opt().unwrap_or(i64::MAX);
    Object {
        name: found.location.into(),
        length: found.size,
        changed_at: Timestamp::from_nanos(nanos),
        e_tag: found.e_tag,
        metadata: Vec::new(),
    }
}

fn attributes(labels: &Labels) -> Attributes {
    let metadata = labels.metadata.iter();
    let metadata = metadata.map(|(name, value)| (Attribute::Metadata(name.clone().into()), value.clone()));
    let media_type = labels.media_type.iter().map(|media_type| (Attribute::ContentType, media_type.clone()));
    metadata.chain(media_type).collect()
}

#[cfg(test)]
mod tests;
