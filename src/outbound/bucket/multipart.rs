//! Objects that are written in parts: invisible until they are completed. Parts are known by what the service called
//! them, so another process can go on.

use bytes::Bytes;
use object_store::multipart::{MultipartStore, PartId};
use object_store::{PutMultipartOptions, PutPayload};

use super::{Bucket, BucketError, Client, Labels, attributes, path};

/// The shortest part that S3 takes, but for the last.
const LEAST_AT_S3: u64 = 5 * 1024 * 1024;

impl Bucket {
    /// The shortest part that the service takes in bytes, but for the last.
    pub(crate) fn least_part(&self) -> u64 {
        if self.is_azure() { 1 } else { LEAST_AT_S3 }
    }

    /// Begins an object in parts and returns the name of the beginning. At Azure there is none, and the labels come
    /// with [`Bucket::complete`]; an S3 that is never completed nor aborted keeps the parts.
    pub(crate) async fn begin(&self, name: &str, labels: &Labels) -> Result<String, BucketError> {
        match &self.objects {
            Client::S3(client) => {
                let options =
                    PutMultipartOptions { attributes: attributes(labels), ..PutMultipartOptions::default() };
                Ok(client.create_multipart_opts(&path(name)?, options).await?)
            }
            Client::Azure(_) => path(name).map(|_| String::new()),
        }
    }

    /// Writes a part, of which `index` counts from 0, and returns what the service calls it.
    pub(crate) async fn put_part(
        &self,
        name: &str,
        id: &str,
        index: usize,
        content: Vec<Bytes>,
    ) -> Result<String, BucketError> {
        let (name, id) = (path(name)?, id.to_owned());
        let part = self.parts().put_part(&name, &id, index, PutPayload::from_iter(content)).await?;
        Ok(part.content_id)
    }

    /// Makes the parts an object.
    ///
    /// # Errors
    /// [`BucketError::NotFound`] or [`BucketError::Refused`] if the service does not know the parts (any more);
    /// [`BucketError::Exists`] where only a new object may be made and one is there.
    ///
    /// *Cancellation*: the object may be there or not.
    pub(crate) async fn complete(
        &self,
        name: &str,
        id: &str,
        parts: &[String],
        labels: &Labels,
    ) -> Result<(), BucketError> {
        match &self.objects {
            Client::S3(client) => {
                let parts = parts.iter().map(|part| PartId { content_id: part.clone() }).collect();
                client.complete_multipart(&path(name)?, &id.to_owned(), parts).await?;
                Ok(())
            }
            Client::Azure(_) => self.commit_blocks(name, parts, labels).await,
        }
    }

    /// Gives the parts up. Azure has no such call: it forgets them after a week.
    pub(crate) async fn abort(&self, name: &str, id: &str) -> Result<(), BucketError> {
        Ok(self.parts().abort_multipart(&path(name)?, &id.to_owned()).await?)
    }

    fn parts(&self) -> &dyn MultipartStore {
        match &self.objects {
            Client::S3(client) => &**client,
            Client::Azure(client) => &**client,
        }
    }
}
