//! From a finished upload to its targets, until it is done.

mod config;
mod path_template;
mod routing;
mod schedule;

pub(crate) use config::{ClashPolicy, FileTarget, TargetConfig};
pub(crate) use path_template::{PathTemplate, PathTemplateError};
pub(crate) use routing::{RoutedTarget, Routing};
pub(crate) use schedule::Schedule;
