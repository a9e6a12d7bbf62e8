//! `upload`: sends files to any tus 1.0.0 server, and takes up again what an earlier run could not end.
//!
//! [`transfer`] sends one file, in parts at once where the server puts parts together; [`memory`] remembers between
//! runs where its uploads are; [`shown`] tells a person, or a program, how it goes.

mod memory;
mod shown;
mod transfer;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::block_on;
use crate::auth::{AccessToken, Credentials, DexLogin, Grant};
use crate::clock::{SharedClock, SystemClock};
use crate::config::Secret;
use crate::outbound::tus::{Locations, Patience, Remedy, RemoteError, TusClient, TusSettings};
use crate::outbound::{Base, Client, Limits, Reach};
use crate::upload::UploadMetadata;
use memory::{Memories, MemoryError};
use transfer::{Transfer, Uploaded};

/// The exit code when everything that failed may work another time: `EX_TEMPFAIL` of sysexits.h.
const WORTH_ANOTHER_RUN: u8 = 75;

/// How long a line that fails is borne before the run ends and leaves the rest to the next.
const PATIENCE: Patience =
    Patience { failures: 10, first: Duration::from_millis(250), longest: Duration::from_secs(30) };

/// What is sent where.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 all files are uploaded; 75 some are not, and the same command goes on where it was; \
                        1 some are not, and would not be another time; 2 the command is written wrong."
)]
pub(super) struct UploadArgs {
    /// The files.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// URL at which the server creates uploads; at a gateway it ends in /upload/files.
    #[arg(long, value_name = "URL")]
    to: String,
    /// A field of the metadata; received_filename is the name of the file unless it is given.
    #[arg(long, value_name = "KEY=VALUE", value_parser = field)]
    meta: Vec<(String, String)>,
    /// File that holds the access token to call it with.
    #[arg(long, value_name = "FILE", conflicts_with = "oauth")]
    token_file: Option<PathBuf>,
    /// URL at which a DEX gateway gives tokens; it ends in /oauth.
    #[arg(long, value_name = "URL", requires_all = ["user", "password_file"])]
    oauth: Option<String>,
    /// Who we are there.
    #[arg(long, value_name = "NAME", requires = "oauth")]
    user: Option<String>,
    /// File that holds the password there.
    #[arg(long, value_name = "FILE", requires = "oauth")]
    password_file: Option<PathBuf>,
    /// Parts of a file sent at once, where the server puts parts together.
    #[arg(long, value_name = "NUMBER", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=64))]
    parallel: u64,
    /// Bytes in one request; what a broken line can cost.
    #[arg(long, value_name = "BYTES", default_value_t = 8 << 20, value_parser = clap::value_parser!(u64).range(1..=1 << 30))]
    chunk_bytes: u64,
    /// How the server's Location is understood: as it is, its path on the host of --to, or its last segment below --to.
    #[arg(long, value_name = "WAY", default_value = "as-is", value_parser = ["as-is", "rebase-host", "rebase"])]
    location: String,
    /// Folder that remembers unfinished uploads.
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Begin anew, whatever is remembered.
    #[arg(long)]
    anew: bool,
    /// Print JSON, a line for each file.
    #[arg(long)]
    json: bool,
}

/// A file was not uploaded.
#[derive(Debug, thiserror::Error)]
enum UploadError {
    /// It cannot be read.
    #[error("{0}")]
    File(#[from] std::io::Error),
    /// A file that an argument names cannot be read.
    #[error("{}: {source}", path.display())]
    Setting {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not what it was when the upload began.
    #[error("the file has changed while it was sent; run the command again to send it as it is now")]
    Changed,
    /// Its name is no text, or an argument is not one that can be sent.
    #[error("{0}")]
    Argument(&'static str),
    /// The server, or the way to it.
    #[error("{0}")]
    Tus(#[from] RemoteError),
    /// The server was asked to put the parts together, and nobody knows whether it did.
    #[error(
        "an earlier run was cut off while the server put the parts together: whether it did can be seen there alone; \
         if it did not, run the command with --anew"
    )]
    Uncertain,
    /// What was begun cannot be remembered.
    #[error("{0}")]
    Memory(#[from] MemoryError),
}

impl UploadError {
    /// Whether the same command may do better another time.
    fn is_worth_another_run(&self) -> bool {
        match self {
            Self::Tus(error) => match error.remedy() {
                Remedy::Wait(_) | Remedy::NewUpload => true,
                Remedy::Permission | Remedy::Nothing => false,
            },
            Self::Changed | Self::Memory(MemoryError::Busy) => true,
            Self::File(_) | Self::Setting { .. } | Self::Argument(_) | Self::Uncertain | Self::Memory(_) => {
                false
            }
        }
    }

    /// What the server said, in its own words.
    fn messages(&self) -> &[String] {
        match self {
            Self::Tus(RemoteError::Refused(refusal)) => &refusal.messages,
            _ => &[],
        }
    }
}

pub(super) fn run(args: &UploadArgs) -> ExitCode {
    match block_on(upload_all(args)) {
        Ok(code) => code,
        Err(error) => {
            shown::failed(args.json, None, &error.into());
            ExitCode::FAILURE
        }
    }
}

/// Uploads one file after the other; one that fails does not keep the others.
async fn upload_all(args: &UploadArgs) -> ExitCode {
    let (client, memories) = match prepare(args) {
        Ok(prepared) => prepared,
        Err(error) => {
            shown::failed(args.json, None, &error);
            return ExitCode::FAILURE;
        }
    };
    let mut code = ExitCode::SUCCESS;
    let mut is_hopeless = false;
    for path in &args.files {
        let progress = shown::Progress::of(path);
        let uploaded = upload(args, &client, &memories, path, &progress).await;
        progress.end();
        match uploaded {
            Ok(uploaded) => shown::uploaded(args.json, path, &uploaded),
            Err(error) => {
                shown::failed(args.json, Some(path), &error);
                is_hopeless |= !error.is_worth_another_run();
                code = if is_hopeless { ExitCode::FAILURE } else { ExitCode::from(WORTH_ANOTHER_RUN) };
            }
        }
    }
    code
}

async fn upload(
    args: &UploadArgs,
    client: &TusClient,
    memories: &Memories,
    path: &Path,
    progress: &shown::Progress,
) -> Result<Uploaded, UploadError> {
    let metadata = metadata(path, &args.meta)?;
    let transfer = Transfer {
        client,
        parallel: args.parallel,
        chunk_bytes: args.chunk_bytes,
        metadata: &metadata,
        progress,
    };
    let file = transfer::Fingerprint::of(path).await?;
    let memory = memories.of(&args.to, &metadata, &file);
    let _lock = memory.lock()?;
    if args.anew {
        memory.forget()?;
    }
    transfer.run(&file, &memory).await
}

/// Why a URL cannot be called, if so.
fn not_callable(url: &str) -> Option<&'static str> {
    if Base::parse(url).is_ok() {
        return None;
    }
    let rest = url
        .split_once("://")
        .filter(|(scheme, _)| ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)));
    let Some((_, rest)) = rest else {
        return Some("the URL cannot be called: it must begin with http:// or https://");
    };
    Some(match rest.split(['/', '?', '#']).next() {
        Some(host) if host.contains('@') => {
            "the URL cannot be called: it must not carry a user or a password; --token-file and --oauth are for that"
        }
        _ if rest.contains(['?', '#']) => {
            "the URL cannot be called: it must have neither a query nor a fragment"
        }
        _ => "the URL cannot be called: it has no host that could be one",
    })
}

/// The server, and what is remembered of it.
fn prepare(args: &UploadArgs) -> Result<(TusClient, Memories), UploadError> {
    for url in [Some(&args.to), args.oauth.as_ref()].into_iter().flatten() {
        if let Some(rule) = not_callable(url) {
            return Err(UploadError::Argument(rule));
        }
    }
    let limits = Limits { reach: Reach::Everywhere, ..Limits::default() };
    let clock: SharedClock = Arc::new(SystemClock);
    let no_client = |error| UploadError::Tus(RemoteError::Call(error));
    let tokens = credentials(args)?.into_tokens(limits, &clock).map_err(no_client)?;
    let settings = TusSettings {
        create_url: args.to.trim_end_matches('/').to_owned(),
        locations: match args.location.as_str() {
            "rebase-host" => Locations::RebaseHost,
            "rebase" => Locations::Rebase,
            _ => Locations::AsIs,
        },
        patience: PATIENCE,
    };
    let client = TusClient::new(Client::new(limits).map_err(no_client)?, settings, Arc::new(tokens));
    Ok((client, Memories::at(args.state_dir.clone())?))
}

fn credentials(args: &UploadArgs) -> Result<Credentials, UploadError> {
    let secret_in = |path: &PathBuf| match std::fs::read_to_string(path) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(source) => Err(UploadError::Setting { path: path.clone(), source }),
    };
    if let Some(path) = &args.token_file {
        let text = secret_in(path)?;
        let token = AccessToken::new(&text);
        let token = token.ok_or(UploadError::Argument("the token cannot be sent in a header field"))?;
        return Ok(Credentials::Token(Secret::new(text), token));
    }
    let (Some(url), Some(user), Some(password)) = (&args.oauth, &args.user, &args.password_file) else {
        return Ok(Credentials::None);
    };
    let password = Secret::new(secret_in(password)?);
    Ok(Credentials::Granted(Grant::DexLogin(DexLogin { url: url.clone(), username: user.clone(), password })))
}

/// `Upload-Metadata` for a file.
fn metadata(path: &Path, fields: &[(String, String)]) -> Result<String, UploadError> {
    const NAME: &str = "received_filename";
    let mut fields = fields.to_vec();
    if fields.iter().all(|(key, _)| key != NAME) {
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or(UploadError::Argument("the file has no name that can be sent"))?;
        fields.push((NAME.to_owned(), name.to_owned()));
    }
    let count = fields.len();
    let metadata: UploadMetadata = fields.into_iter().collect();
    let header = metadata.to_header();
    // What the header cannot say would be left out without a word.
    if header.split(',').count() != count {
        return Err(UploadError::Argument("a key of --meta is empty, stands twice, or is not plain ASCII"));
    }
    Ok(header)
}

fn field(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("must be KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbound::OutboundError;

    #[test]
    fn the_name_of_the_file_goes_along_unless_another_is_given() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let path = Path::new("/x/note.txt");
        assert_eq!(metadata(path, &[]).expect("metadata"), "received_filename bm90ZS50eHQ=");
        let fields = [pair("received_filename", "a"), pair("b", "")];
        assert_eq!(metadata(path, &fields).expect("metadata"), "received_filename YQ==,b");
        for keys in [["", "b"], ["b", "b"], ["b c", "d"], ["b,c", "d"]] {
            assert!(metadata(path, &keys.map(|key| pair(key, "v"))).is_err(), "{keys:?}");
        }
        assert!(metadata(Path::new("/"), &[]).is_err());
    }

    #[test]
    fn why_a_url_cannot_be_called_is_told() {
        for (url, reason) in [
            ("ftp://h/files", "http://"),
            ("h:8080/files", "http://"),
            ("http://me:ZZSECRET@h/files", "user"),
            ("https://h/files?x", "query"),
            ("http://foo bar/", "host"),
            ("http://", "host"),
        ] {
            let told = not_callable(url).unwrap_or_default();
            assert!(told.contains(reason) && !told.contains("ZZ"), "{url}: {told}");
        }
        assert_eq!(not_callable("HTTP://h:1/files"), None);
    }

    #[test]
    fn only_what_may_pass_is_worth_another_run() {
        let refused = |status| {
            let refusal = crate::outbound::tus::Refusal { status, retry_after: None, messages: Vec::new() };
            UploadError::Tus(RemoteError::Refused(refusal)).is_worth_another_run()
        };
        assert!(refused(503) && refused(423) && !refused(400) && !refused(401) && !refused(413));
        assert!(UploadError::Tus(OutboundError::Connect.into()).is_worth_another_run());
        assert!(!UploadError::Tus(OutboundError::Url.into()).is_worth_another_run());
    }
}
