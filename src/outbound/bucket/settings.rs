//! What must be known of a bucket to use it: the service, its name, and who we are there. Read from the settings or
//! from DEX's delivery file; a credential never shows itself.

use crate::config::Secret;

/// A bucket of S3 or a container of Azure Blob Storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BucketSettings {
    /// A bucket of S3, or of another service that speaks its protocol.
    S3(S3Settings),
    /// A container of Azure Blob Storage.
    Azure(AzureSettings),
}

/// A bucket of S3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct S3Settings {
    /// The bucket.
    pub(crate) bucket: String,
    /// Another S3 than Amazon's, addressed by path.
    pub(crate) endpoint: Option<String>,
    /// The region, `us-east-1` unless set.
    pub(crate) region: Option<String>,
    /// The static key.
    pub(crate) access_key_id: Secret,
    /// Its secret.
    pub(crate) secret_access_key: Secret,
    /// What temporary keys come with.
    pub(crate) session_token: Option<Secret>,
}

/// A container of Azure Blob Storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AzureSettings {
    /// The account's blob service.
    pub(crate) endpoint: String,
    /// The container.
    pub(crate) container: String,
    /// Who we are there.
    pub(crate) credential: AzureCredential,
}

/// How we prove to Azure who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AzureCredential {
    /// The account's shared key.
    SharedKey {
        /// The storage account.
        storage_account: String,
        /// Its key.
        storage_key: Secret,
    },
    /// A service principal.
    ServicePrincipal {
        /// The tenant.
        tenant_id: String,
        /// The client.
        client_id: String,
        /// Its secret.
        client_secret: Secret,
    },
}

impl S3Settings {
    /// The region in force.
    pub(super) fn region(&self) -> &str {
        self.region.as_deref().unwrap_or("us-east-1")
    }

    /// The URL below which the objects are.
    pub(super) fn base(&self) -> String {
        match &self.endpoint {
            Some(endpoint) => format!("{}/{}", endpoint.trim_end_matches('/'), self.bucket),
            None => format!("https://s3.{}.amazonaws.com/{}", self.region(), self.bucket),
        }
    }
}

impl AzureSettings {
    /// The URL below which the objects are.
    pub(super) fn base(&self) -> String {
        format!("{}/{}", self.endpoint.trim_end_matches('/'), self.container)
    }

    /// The storage account: that of the key, or the first label of the endpoint's host.
    pub(super) fn account(&self) -> String {
        match &self.credential {
            AzureCredential::SharedKey { storage_account, .. } => storage_account.clone(),
            AzureCredential::ServicePrincipal { .. } => {
                let host = self.endpoint.split("://").nth(1).unwrap_or_default();
                host.split(['.', ':', '/']).next().unwrap_or_default().to_owned()
            }
        }
    }
}
