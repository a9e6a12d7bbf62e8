//! `cdex-gateway`: moves clinical documents between providers, payers and public-health agencies.
//!
//! ```text
//!                     ┌────────────────────── exchange ──────────────────────┐
//!  request ──► http ──┤  fhir ──► cdex ──► manifest ──► upload ──► delivery  ├──► destination
//!                     └───┬────────┬──────────┬────────────┬───────────┬─────┘
//!                         └────────┴──────────┴── report ──┴───────────┴────────► status reports
//! ```
//!
//! The work flows left to right; imports point right to left. A stage may use the stages to its left,
//! never the ones to its right. `exchange` stands above the stages and pushes one interaction through them;
//! `http` stands above `exchange`; `report`, `audit` and `db` lie beneath and know nothing of who writes.

pub mod app;
pub mod clock;
pub mod config;
pub(crate) mod digest;
pub mod id;

pub mod cli;
pub(crate) mod demo;
pub(crate) mod http;

pub(crate) mod exchange;

pub(crate) mod cdex;
pub(crate) mod delivery;
pub(crate) mod fhir;
pub(crate) mod manifest;
pub(crate) mod screening;
pub(crate) mod upload;

pub(crate) mod agenda;
pub(crate) mod audit;
pub(crate) mod auth;
pub(crate) mod db;
pub(crate) mod outbound;
pub(crate) mod partner;
pub(crate) mod report;
pub(crate) mod repository;
pub(crate) mod subscription;
pub(crate) mod telemetry;
pub(crate) mod upstream;

/// Entry points of the fuzz targets in `tests/fuzz`.
#[cfg(fuzzing)]
pub mod fuzzing {
    pub use crate::cdex::fuzzing::{own_upload, signature, submission};
    pub use crate::delivery::fuzzing::path_template;
    pub use crate::fhir::fuzzing::{base64, date_time, media_type, patch, scan};
    pub use crate::http::fuzzing::{upload_complete, upload_concat, upload_number};
    pub use crate::repository::fuzzing::search_query;
    pub use crate::upload::fuzzing::{upload_checksum, upload_metadata};
}

#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals;
