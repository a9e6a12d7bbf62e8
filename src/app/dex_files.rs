//! The files of DEX: the rules of the data streams, in a folder or a bucket, and the delivery file. Reads them into
//! [`DexFiles`] and notices that they have changed; what is done about it is in [`reload`](super::reload).

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::task::spawn_blocking;

use super::storage::{self, Store};
use crate::config::{Config, environment};
use crate::delivery::{ObjectDestination, Routing};
use crate::exchange::rules::DexRules;
use crate::manifest::{ConfigProblem, StreamConfigs, StreamFile, is_stream_file, stream_files, stream_paths};
use crate::outbound::bucket::{Bucket, BucketError, Object};

/// No file about one stream is longer.
const LONGEST_FILE: u64 = 4 * 1024 * 1024;
/// No gateway has more streams.
const MOST_FILES: usize = 10_000;
/// Files of a bucket that are read at once.
const READ_AT_ONCE: usize = 8;

/// What the files of DEX say.
pub(super) struct DexFiles {
    pub(super) rules: DexRules,
    /// Targets that are buckets, by name.
    pub(super) buckets: HashMap<String, ObjectDestination>,
    /// Whether the streams are in a bucket that was not asked.
    lacks_streams: bool,
}

impl DexFiles {
    /// Whether the rules of the streams were read.
    pub(super) fn has_streams(&self) -> bool {
        !self.lacks_streams
    }

    /// What is legal but surely not meant.
    pub(super) fn warnings(&self) -> Vec<String> {
        if self.lacks_streams {
            let told = "manifest.config_dir: the bucket is asked when the gateway starts; whether its files fit the \
                        delivery file is told then";
            return vec![told.to_owned()];
        }
        self.rules.warnings()
    }
}

/// Reads what is on this machine; nobody is called.
pub(super) fn at_hand(config: &Config) -> Result<DexFiles, Vec<ConfigProblem>> {
    let source = DexSource::of(config)?;
    let streams = match &source.streams {
        Some(Store::Folder(folder)) => Some(stream_files(folder).map_err(|error| unreadable(folder, &error))),
        None => Some(Ok(Vec::new())),
        Some(Store::Bucket(..)) => None,
    };
    source.compose(streams, source.delivery.as_deref().map(delivery_text))
}

/// How the files looked: names, with what changes when the file does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen(BTreeMap<String, String>);

/// Where the files are.
pub(super) struct DexSource {
    streams: Option<Store>,
    delivery: Option<PathBuf>,
    accept_v1: bool,
}

impl DexSource {
    /// Where the settings say; nothing is read yet.
    pub(super) fn of(config: &Config) -> Result<Self, Vec<ConfigProblem>> {
        let streams = config.stream_files().map(|place| storage::open(place, config.stream_store()));
        Ok(Self {
            streams: streams.transpose()?,
            delivery: config.delivery.config_file.clone(),
            accept_v1: config.manifest.accept_v1,
        })
    }

    /// Looks at the files without reading them.
    ///
    /// *Errors*: the place of the stream files does not show them.
    pub(super) async fn look(&self) -> Result<Seen, Vec<ConfigProblem>> {
        let mut seen = BTreeMap::new();
        match &self.streams {
            None => {}
            Some(Store::Folder(folder)) => {
                let path = folder.clone();
                let found = in_thread(move || look_into(&path)).await;
                seen = found.map_err(|error| vec![unreadable(folder, &error)])?;
            }
            Some(Store::Bucket(bucket, prefix)) => {
                for (name, object) in listed(bucket, prefix).await.map_err(|problem| vec![problem])? {
                    let tag = object.e_tag.unwrap_or_else(|| format!("{:?}", object.changed_at));
                    seen.insert(name, tag);
                }
            }
        }
        if let Some(file) = self.delivery.clone() {
            // That it is gone is told by reading it.
            let found = in_thread(move || std::fs::metadata(file)).await;
            seen.insert(String::new(), found.map(|found| mark(&found)).unwrap_or_default());
        }
        Ok(Seen(seen))
    }

    /// Reads all files and takes them together.
    ///
    /// *Errors*: everything that is wrong with any of them.
    pub(super) async fn read(&self) -> Result<DexFiles, Vec<ConfigProblem>> {
        let streams = match &self.streams {
            None => Ok(Vec::new()),
            Some(Store::Folder(folder)) => {
                let path = folder.clone();
                in_thread(move || stream_files(&path)).await.map_err(|error| unreadable(folder, &error))
            }
            Some(Store::Bucket(bucket, prefix)) => bucket_files(bucket, prefix).await,
        };
        let delivery = match self.delivery.clone() {
            None => None,
            Some(file) => Some(in_thread(move || Ok(delivery_text(&file))).await.unwrap_or_else(|error| {
                Err(ConfigProblem::new("delivery.config_file", error.kind().to_string()))
            })),
        };
        self.compose(Some(streams), delivery)
    }

    /// Makes rules of texts; `None` where nobody was to be asked for them.
    fn compose(
        &self,
        streams: Option<Result<Vec<StreamFile>, ConfigProblem>>,
        delivery: Option<Result<String, ConfigProblem>>,
    ) -> Result<DexFiles, Vec<ConfigProblem>> {
        let mut problems = Vec::new();
        let lacks_streams = streams.is_none();
        let streams = streams.unwrap_or_else(|| Ok(Vec::new())).map_err(|problem| vec![problem]);
        let streams = streams.and_then(|files| StreamConfigs::read(&files, self.accept_v1, &environment));
        let streams = streams.unwrap_or_else(|found| {
            problems.extend(found);
            StreamConfigs::built_in()
        });
        let name = self.delivery.as_deref().map(|file| file.display().to_string()).unwrap_or_default();
        let routing = match delivery {
            None => Ok(Routing::built_in()),
            Some(Ok(yaml)) => Routing::from_yaml(&name, &yaml, &environment),
            Some(Err(problem)) => Err(vec![problem]),
        };
        match routing {
            Ok(routing) => {
                let buckets = storage::bucket_targets(&routing, &mut problems);
                let rules = DexRules { streams, routing };
                if problems.is_empty() {
                    Ok(DexFiles { rules, buckets, lacks_streams })
                } else {
                    Err(problems)
                }
            }
            Err(found) => {
                problems.extend(found);
                Err(problems)
            }
        }
    }
}

fn delivery_text(file: &Path) -> Result<String, ConfigProblem> {
    std::fs::read_to_string(file).map_err(|error| {
        ConfigProblem::new(format!("delivery.config_file: {}", file.display()), error.kind().to_string())
    })
}

/// Runs what may wait for a disk, or for a network that is mounted as one.
async fn in_thread<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    spawn_blocking(work).await.unwrap_or_else(|_| Err(io::Error::other("interrupted")))
}

fn unreadable(folder: &Path, error: &io::Error) -> ConfigProblem {
    ConfigProblem::new(format!("manifest.config_dir: {}", folder.display()), error.kind().to_string())
}

fn unreachable(error: BucketError) -> ConfigProblem {
    ConfigProblem::new("manifest.config_dir", error.to_string())
}

/// Looks at every file of a folder that could be about a stream, through links: whoever mounts files changes where they
/// lead.
fn look_into(folder: &Path) -> io::Result<BTreeMap<String, String>> {
    let mark_of = |path| std::fs::metadata(path).map(|found| mark(&found)).unwrap_or_default();
    Ok(stream_paths(folder)?.into_iter().map(|(name, path)| (name, mark_of(path))).collect())
}

/// What changes when a file is written, or another takes its place.
fn mark(found: &std::fs::Metadata) -> String {
    let (inode, length) = (found.ino(), found.len());
    format!(
        "{inode} {length} {}.{} {}.{}",
        found.mtime(),
        found.mtime_nsec(),
        found.ctime(),
        found.ctime_nsec()
    )
}

/// The objects that could be about streams, by their names below the prefix.
async fn listed(bucket: &Bucket, prefix: &str) -> Result<Vec<(String, Object)>, ConfigProblem> {
    let mut found = Vec::new();
    let mut objects = bucket.list(prefix);
    while let Some(object) = objects.try_next().await.map_err(unreachable)? {
        let name =
            object.name.strip_prefix(prefix).unwrap_or(&object.name).trim_start_matches('/').to_owned();
        if is_stream_file(&name) {
            found.push((name, object));
        }
        if found.len() > MOST_FILES {
            return Err(ConfigProblem::new("manifest.config_dir", "holds more than 10,000 files of streams"));
        }
    }
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(found)
}

async fn bucket_files(bucket: &Bucket, prefix: &str) -> Result<Vec<StreamFile>, ConfigProblem> {
    let objects = futures_util::stream::iter(listed(bucket, prefix).await?);
    let files = objects.map(|(name, object)| async move {
        if object.length > LONGEST_FILE {
            return Ok(StreamFile { name, text: Err("is longer than 4 MiB".to_owned()) });
        }
        let blocks = bucket.read(&object.name, 0..object.length).await.map_err(unreachable)?;
        let blocks: Vec<_> = blocks.try_collect().await.map_err(unreachable)?;
        let text = String::from_utf8(blocks.concat()).map_err(|_| "is not UTF-8".to_owned());
        Ok(StreamFile { name, text })
    });
    files.buffered(READ_AT_ONCE).try_collect().await
}
