//! Where the uploads of the crash test lie and where they must arrive, each looked into by its own means: what a
//! gateway says of its own deliveries is no proof.

use std::path::{Path, PathBuf};

use crate::support::buckets::{azure_target, s3_target};
use crate::support::content::sha256_hex;
use crate::support::files;
use crate::support::gateway::Gateway;
use crate::support::storage::{Container, S3Server};
use crate::support::tus_server::TusServer;

/// The names of the files or objects in an upload store.
pub(super) type Store<'a> = Box<dyn Fn(&Gateway) -> Vec<PathBuf> + 'a>;

/// What lies at a target: ids of our uploads, each with the SHA-256 of its bytes.
pub(super) type Arrived = Vec<(String, String)>;

/// What has arrived, or `None` while there is still more than that.
pub(super) type Look<'a> = Box<dyn Fn(&Gateway) -> Option<Arrived> + 'a>;

/// A target of all deliveries.
pub(super) struct Target<'a> {
    /// Its name.
    pub(super) name: &'static str,
    /// Its entry in the delivery file.
    pub(super) entry: String,
    /// How to look into it.
    pub(super) look: Look<'a>,
}

/// The folder of uploads.
pub(super) fn stored_in_folder<'a>() -> Store<'a> {
    Box::new(Gateway::stored)
}

/// A folder of a bucket.
pub(super) fn stored_in_bucket<'a>(server: &S3Server) -> Store<'a> {
    let uploads = server.folder().join("uploads");
    Box::new(move |_| objects(&uploads))
}

/// The prefix of a container.
pub(super) fn stored_in_container(container: &Container) -> Store<'_> {
    Box::new(|_| {
        let names = container.blobs().into_iter().map(|(name, _)| PathBuf::from(name));
        names.filter(|path| path.starts_with("uploads") && !path.starts_with("uploads/.store")).collect()
    })
}

/// The objects below a folder of a bucket; the store's mark is none of the uploads'.
fn objects(folder: &Path) -> Vec<PathBuf> {
    files::below(folder).into_iter().filter(|path| !path.starts_with(folder.join(".store"))).collect()
}

/// The folder that the built-in data stream goes to.
pub(super) fn folder<'a>() -> Target<'a> {
    Target {
        name: "local",
        entry: "  local: { name: local, type: file, path: ./delivered/local }\n".to_owned(),
        look: Box::new(|gateway| {
            let files = gateway.delivered();
            (!files.iter().any(|path| files::is_part(path))).then(|| hashed(&files))
        }),
    }
}

/// A bucket, in which uploads may lie too.
pub(super) fn bucket<'a>(name: &'static str, server: &S3Server) -> Target<'a> {
    let (all, uploads) = (server.folder(), server.folder().join("uploads"));
    Target {
        name,
        entry: s3_target(name, server, ""),
        look: Box::new(move |_| {
            let delivered = files::below(&all).into_iter().filter(|path| !path.starts_with(&uploads));
            Some(hashed(&delivered.collect::<Vec<_>>()))
        }),
    }
}

/// A container, in which uploads may lie too.
pub(super) fn container<'a>(name: &'static str, container: &'a Container) -> Target<'a> {
    Target {
        name,
        entry: azure_target(name, container),
        look: Box::new(|_| {
            let delivered = container.blobs().into_iter().filter(|(name, _)| !name.starts_with("uploads/"));
            Some(delivered.map(|(name, sha256)| (id_in(Path::new(&name)), sha256)).collect())
        }),
    }
}

/// Another gateway, as a DEX that has delivered in its turn.
pub(super) fn gateway<'a>(name: &'static str, receiver: &'a Gateway) -> Target<'a> {
    Target {
        name,
        entry: format!(
            "  {name}: {{ name: {name}, type: dex, url: '{}/files', wait_for: delivered }}\n",
            receiver.url()
        ),
        look: Box::new(|_| {
            let arrived = hashed(&receiver.delivered()).into_iter().map(|(there, sha256)| {
                let ours = receiver.info(&there)["manifest"]["meta_ext_uploadid"].take();
                (ours.as_str().expect("our id goes along").to_owned(), sha256)
            });
            Some(arrived.collect())
        }),
    }
}

/// A tus server that is not ours.
pub(super) fn tus_server<'a>(name: &'static str, server: &'a TusServer) -> Target<'a> {
    Target {
        name,
        entry: format!(
            "  {name}: {{ name: {name}, type: dex, url: 'http://{}/files', wait_for: sent }}\n",
            server.address()
        ),
        look: Box::new(|_| {
            let arrived = server.complete().into_iter().map(|(metadata, content)| {
                let ours = metadata["meta_ext_uploadid"].as_str().expect("our id goes along");
                (ours.to_owned(), sha256_hex(&content))
            });
            Some(arrived.collect())
        }),
    }
}

fn hashed(files: &[PathBuf]) -> Arrived {
    let read = |path: &PathBuf| std::fs::read(path).expect("a delivered file is readable");
    files.iter().map(|path| (id_in(path), sha256_hex(&read(path)))).collect()
}

fn id_in(path: &Path) -> String {
    files::uuid_in(path).expect("what is delivered carries its upload id")
}
