//! From a finished upload to its targets, until it is done.

mod config;
mod path_template;
mod routing;
mod schedule;

pub(crate) use config::{AzureBlobTarget, AzureCredential, ClashPolicy, FileTarget, S3Target, TargetConfig};
pub(crate) use path_template::{PathTemplate, PathTemplateError};
pub(crate) use routing::{RoutedTarget, Routing};
pub(crate) use schedule::Schedule;
