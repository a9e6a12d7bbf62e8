//! Buckets for tests, at services that others have written.

#[path = "../../../tests/it/support/environment.rs"]
#[expect(dead_code, reason = "the tests of the program use the rest")]
mod environment;
#[path = "../../../tests/it/support/install.rs"]
#[expect(dead_code, reason = "the tests of the program use the rest")]
mod install;
#[path = "../../../tests/it/support/storage.rs"]
mod storage;

use super::{AzureCredential, AzureSettings, Bucket, BucketSettings, Place, S3Settings};
use crate::config::Secret;
use crate::outbound::Reach;

pub(crate) use storage::S3Server;

/// Settings of the bucket of an S3 server.
pub(crate) fn s3_settings(endpoint: &str) -> BucketSettings {
    BucketSettings::S3(S3Settings {
        bucket: storage::BUCKET.to_owned(),
        endpoint: Some(endpoint.to_owned()),
        region: None,
        access_key_id: Secret::new(storage::S3_KEYS.0),
        secret_access_key: Secret::new(storage::S3_KEYS.1),
        session_token: None,
    })
}

/// Settings of a new container, if there is an Azurite.
pub(crate) fn azure_settings() -> Option<BucketSettings> {
    let container = storage::Azurite::get()?.container();
    let (storage_account, storage_key) = storage::AZURE_ACCOUNT;
    Some(BucketSettings::Azure(AzureSettings {
        endpoint: container.endpoint().to_owned(),
        container: container.name().to_owned(),
        credential: AzureCredential::SharedKey {
            storage_account: storage_account.to_owned(),
            storage_key: Secret::new(storage_key),
        },
    }))
}

/// The bucket of these settings, wherever it is.
pub(crate) fn open(settings: BucketSettings, completes: Place) -> Bucket {
    Bucket::open(settings, Reach::Everywhere, completes).expect("the settings describe a bucket")
}

/// A bucket at an S3 server of its own, which ends with the first of the two.
pub(crate) fn s3_bucket() -> (S3Server, Bucket) {
    let server = S3Server::start();
    let bucket = open(s3_settings(server.endpoint()), Place::New);
    (server, bucket)
}

/// An empty container, if there is an Azurite.
pub(crate) fn azure_bucket() -> Option<Bucket> {
    Some(open(azure_settings()?, Place::New))
}
