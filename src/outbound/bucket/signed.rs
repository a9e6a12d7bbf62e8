//! Calls that the client crate does not have, put together and signed here.

use std::fmt::Write as _;
use std::ops::Range;
use std::time::Duration;

use bytes::{Buf, Bytes};
use object_store::aws::AwsAuthorizer;
use object_store::azure::AzureAuthorizer;
use object_store::client::{HttpRequest, HttpResponse};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use reqwest::header::{HeaderName, HeaderValue};

use super::super::OutboundError;
use super::access::source_fields;
use super::error::Refusal;
use super::{Bucket, BucketError, BucketSettings, Client, Labels, Place, RETRIES, path};
use crate::clock::{Clock as _, SystemClock};

/// What stays as it is in the path of a URL: the rest would be read differently by somebody (RFC 3986, 2.3).
const ENCODED: &AsciiSet = &ENCODED_VALUE.remove(b'/');
/// The same in its query.
const ENCODED_VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The pause before the first repeat of a call.
const PAUSE: Duration = Duration::from_millis(100);

/// What S3 says of a part that it has copied (UploadPartCopy).
#[derive(serde::Deserialize)]
struct CopyPartResult {
    #[serde(rename = "ETag")]
    e_tag: String,
}

/// A call before it is signed.
struct Call {
    method: Method,
    url: String,
    fields: Vec<(String, String)>,
    body: Bytes,
}

impl Bucket {
    /// The URL of an object.
    pub(super) fn url(&self, name: &str) -> String {
        format!("{}/{}", self.base(), utf8_percent_encode(name, ENCODED))
    }

    /// Copies an object of a bucket that [shares the service](Bucket::shares_service_with), or bytes of it, as a part
    /// like those of [`Bucket::put_part`], and returns what the service calls it. S3 takes bytes of objects that are
    /// longer than its shortest part alone.
    pub(crate) async fn copy_part(
        &self,
        (source, from): (&Self, &str),
        range: Option<Range<u64>>,
        name: &str,
        id: &str,
        index: usize,
    ) -> Result<String, BucketError> {
        path(name)?;
        let value = |text| utf8_percent_encode(text, ENCODED_VALUE);
        let range = range.map(|range| format!("bytes={}-{}", range.start, range.end.saturating_sub(1)));
        match &self.objects {
            Client::S3(_) => {
                let mut fields = vec![("x-amz-copy-source".to_owned(), source.s3_source(from)?)];
                fields.extend(range.map(|range| ("x-amz-copy-source-range".to_owned(), range)));
                let url = format!("{}?partNumber={}&uploadId={}", self.url(name), index + 1, value(id));
                let call = Call::put(url, fields);
                let answer = self.send(call).await?;
                let body = answer.into_body().bytes().await.map_err(|_| OutboundError::Broken)?;
                // S3 answers 200 before it knows: an error can come in the body.
                let copied: CopyPartResult =
                    quick_xml::de::from_reader(body.reader()).map_err(|_| BucketError::Failed)?;
                Ok(copied.e_tag)
            }
            Client::Azure(_) => {
                let mut fields = source.azure_source(from).await?;
                fields.extend(range.map(|range| ("x-ms-source-range".to_owned(), range)));
                // All blocks of an object have names of one length.
                let block = uuid::Uuid::new_v4().simple().to_string();
                let encoded = base64_simd::STANDARD.encode_to_string(&block);
                let url = format!("{}?comp=block&blockid={}", self.url(name), value(&encoded));
                let call = Call::put(url, fields);
                self.send(call).await?;
                Ok(block)
            }
        }
    }

    /// An object of this bucket as the source of a copy.
    fn s3_source(&self, name: &str) -> Result<String, BucketError> {
        let BucketSettings::S3(s3) = &*self.settings else { return Err(BucketError::Settings) };
        Ok(format!("{}/{}", s3.bucket, utf8_percent_encode(name, ENCODED)))
    }

    /// The fields that name an object of this container as the source of a block, and open it.
    async fn azure_source(&self, name: &str) -> Result<Vec<(String, String)>, BucketError> {
        match (&self.objects, &*self.settings) {
            (Client::Azure(client), BucketSettings::Azure(azure)) => {
                let credential = client.credentials().get_credential().await?;
                Ok(source_fields(azure, &credential, (self.url(name), name), SystemClock.now()))
            }
            _ => Err(BucketError::Settings),
        }
    }

    /// Put Block List, with the metadata that the blocks of an object cannot carry, and only where nothing is if so
    /// agreed.
    pub(super) async fn commit_blocks(
        &self,
        name: &str,
        blocks: &[String],
        labels: &Labels,
    ) -> Result<(), BucketError> {
        path(name)?;
        let mut list = "<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>".to_owned();
        for block in blocks {
            let _ =
                write!(list, "<Uncommitted>{}</Uncommitted>", base64_simd::STANDARD.encode_to_string(block));
        }
        list.push_str("</BlockList>");
        let mut fields = vec![("content-type".to_owned(), "application/xml".to_owned())];
        if self.completes == Place::New {
            fields.push(("if-none-match".to_owned(), "*".to_owned()));
        }
        fields.extend(labels_as_fields(labels, "x-ms-meta-", "x-ms-blob-content-type"));
        let url = format!("{}?comp=blocklist", self.url(name));
        self.send(Call { body: list.into(), ..Call::put(url, fields) }).await.map(drop)
    }

    /// Delete Blob.
    pub(super) async fn delete_blob(&self, name: &str) -> Result<(), BucketError> {
        path(name)?;
        let call = Call { method: Method::DELETE, ..Call::put(self.url(name), Vec::new()) };
        self.send(call).await.map(drop)
    }

    /// Makes a call and repeats it as often as the client crate repeats its own. Made twice, a call does what it does
    /// once, but that a new object is [`BucketError::Exists`] the second time.
    async fn send(&self, call: Call) -> Result<HttpResponse, BucketError> {
        let mut pause = PAUSE;
        for _ in 0..RETRIES {
            match self.send_once(&call).await {
                Err(error) if error.is_of_a_blink() => tokio::time::sleep(pause).await,
                answer => return answer,
            }
            pause *= 4;
        }
        self.send_once(&call).await
    }

    async fn send_once(&self, call: &Call) -> Result<HttpResponse, BucketError> {
        let mut request = call.request()?;
        match (&self.objects, &*self.settings) {
            (Client::S3(client), BucketSettings::S3(s3)) => {
                let credential = client.credentials().get_credential().await?;
                AwsAuthorizer::new(&credential, "s3", s3.region()).try_authorize(&mut request, None)?;
            }
            (Client::Azure(client), BucketSettings::Azure(azure)) => {
                let credential = client.credentials().get_credential().await?;
                AzureAuthorizer::new(&credential, &azure.account()).try_authorize(&mut request)?;
            }
            _ => return Err(BucketError::Settings),
        }
        let answer = self.http.execute(request).await.map_err(|error| BucketError::caused_by(&error))?;
        let status = answer.status().as_u16();
        if answer.status().is_success() {
            Ok(answer)
        } else {
            Err(Refusal { status, retry_after: None }.into())
        }
    }
}

impl Call {
    fn put(url: String, fields: Vec<(String, String)>) -> Self {
        Self { method: Method::PUT, url, fields, body: Bytes::new() }
    }

    fn request(&self) -> Result<HttpRequest, BucketError> {
        let mut request = HttpRequest::new(self.body.clone().into());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.url.parse().map_err(|_| BucketError::Name)?;
        for (name, value) in &self.fields {
            let name = HeaderName::try_from(name).map_err(|_| OutboundError::Header)?;
            let value = HeaderValue::try_from(value).map_err(|_| OutboundError::Header)?;
            request.headers_mut().insert(name, value);
        }
        request.headers_mut().insert(reqwest::header::CONTENT_LENGTH, self.body.len().into());
        Ok(request)
    }
}

fn labels_as_fields(labels: &Labels, prefix: &str, media_type_field: &str) -> Vec<(String, String)> {
    let metadata = labels.metadata.iter().map(|(name, value)| (format!("{prefix}{name}"), value.clone()));
    let media_type =
        labels.media_type.iter().map(|media_type| (media_type_field.to_owned(), media_type.clone()));
    metadata.chain(media_type).collect()
}
