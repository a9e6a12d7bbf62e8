//! The file target against the contract, and what is its own: links, sidecars, the sweep.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::contract::{TestTarget, contract_tests};
use super::{DeliveryRequest, Destination, FileDestination, FileSettings};
use crate::delivery::ClashPolicy;
use crate::delivery::DeliveryError;
use crate::delivery::testing::{MemoryProgress, MemorySource};
use crate::id::{DeliveryId, UploadId};

struct Folder {
    temporary: tempfile::TempDir,
}

impl Folder {
    fn fresh() -> Self {
        Self { temporary: tempfile::tempdir().expect("a temporary folder") }
    }

    /// A root that does not exist yet, below a folder that does not exist either.
    fn root(&self) -> PathBuf {
        self.temporary.path().join("delivered/local")
    }

    fn with_sidecar(&self, metadata_sidecar: bool, clash_policy: ClashPolicy) -> FileDestination {
        FileDestination::new(FileSettings {
            root: self.root(),
            clash_policy,
            metadata_sidecar,
            durable: true,
        })
    }
}

fn walk(folder: &Path, root: &Path, found: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            walk(&path, root, found);
        } else {
            let below = path.strip_prefix(root).expect("it is below the root");
            found.push(below.to_str().expect("UTF-8").to_owned());
        }
    }
    found.sort();
}

impl TestTarget for Folder {
    fn destination(&self, clash_policy: ClashPolicy) -> impl Destination {
        self.with_sidecar(false, clash_policy)
    }

    async fn read(&self, path: &str) -> Option<Vec<u8>> {
        std::fs::read(self.root().join(path)).ok()
    }

    async fn put(&self, path: &str, bytes: &[u8]) {
        let path = self.root().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("the folder is made");
        std::fs::write(path, bytes).expect("the file is written");
    }

    async fn paths(&self) -> Vec<String> {
        let mut found = Vec::new();
        walk(&self.root(), &self.root(), &mut found);
        found
    }

    async fn crash(&self, delivery_id: DeliveryId, lease_epoch: i64, path: &str) {
        let folder = Path::new(path).parent().expect("a parent").to_str().expect("UTF-8");
        self.put(&format!("{folder}/.part-{delivery_id}-{lease_epoch}"), b"con").await;
    }

    fn lengths(&self) -> &'static [usize] {
        // What is gathered before a thread is asked for, and what is written while it arrives.
        &[7, 300_000]
    }

    async fn clear(&self) {
        // The thread of an attempt that was dropped may still put something there.
        while self.root().exists() {
            let _ = std::fs::remove_dir_all(self.root());
        }
    }

    fn away(&self) -> (impl Destination, impl FnOnce()) {
        // Nobody can make the root where a file has the place of the folder above it.
        let obstacle = self.temporary.path().join("delivered");
        std::fs::write(&obstacle, b"in the way").expect("nothing is there yet");
        let back = move || std::fs::remove_file(obstacle).expect("it is there");
        (self.with_sidecar(false, ClashPolicy::Fail), back)
    }
}

contract_tests!(Folder::fresh());

async fn deliver(destination: &FileDestination, path: &str, bytes: &[u8]) -> Result<String, DeliveryError> {
    let row = Mutex::default();
    let request = DeliveryRequest {
        delivery_id: DeliveryId::new(),
        lease_epoch: 1,
        delivered_before: 0,
        upload_id: UploadId::new(),
        path,
        media_type: None,
        headers: &[],
        timeout: None,
        manifest: br#"{"sender_id":"test sender"}"#,
        progress: &MemoryProgress::of(&row),
        source: Box::new(MemorySource::new(bytes)),
    };
    destination.deliver(request).await.map(|delivered| delivered.location)
}

#[tokio::test]
async fn the_location_is_the_absolute_path_of_the_file() {
    let folder = Folder::fresh();
    let location = deliver(&folder.with_sidecar(false, ClashPolicy::Fail), "a/b.txt", b"x").await;
    assert_eq!(std::fs::read(location.expect("it is delivered")).expect("the file is there"), b"x");
}

/// W-05
#[tokio::test]
async fn a_symbolic_link_below_the_root_is_never_followed() {
    let folder = Folder::fresh();
    let outside = folder.temporary.path().join("outside");
    std::fs::create_dir_all(&outside).expect("a folder");
    std::fs::write(outside.join("secret"), b"kept").expect("a file");
    folder.put("plain/file", b"a file, not a folder").await;
    std::os::unix::fs::symlink(&outside, folder.root().join("link")).expect("a link");
    std::os::unix::fs::symlink(outside.join("secret"), folder.root().join("name")).expect("a link");

    let destination = folder.with_sidecar(false, ClashPolicy::Overwrite);
    for path in ["link/x", "link/deeper/x", "plain/file/x"] {
        let outcome = deliver(&destination, path, b"new").await;
        assert!(matches!(outcome, Err(DeliveryError::PathRefused)), "{path}: {outcome:?}");
    }
    deliver(&destination, "name", b"new").await.expect("the link itself is replaced");
    assert_eq!(std::fs::read(outside.join("secret")).expect("it is there"), b"kept");
    assert_eq!(std::fs::read_dir(&outside).expect("it is there").count(), 1);
}

#[tokio::test]
async fn a_folder_at_the_path_is_never_replaced() {
    let folder = Folder::fresh();
    folder.put("taken/inside", b"kept").await;
    for policy in [ClashPolicy::Fail, ClashPolicy::Overwrite] {
        let outcome = deliver(&folder.with_sidecar(false, policy), "taken", b"new").await;
        assert!(matches!(outcome, Err(DeliveryError::PathTaken)), "{outcome:?}");
    }
    assert_eq!(folder.paths().await, ["taken/inside"]);
}

/// What is known of a folder is known of that folder, not of its name.
#[tokio::test]
async fn a_folder_that_somebody_removed_or_replaced_takes_the_next_delivery() {
    let folder = Folder::fresh();
    let destination = folder.with_sidecar(false, ClashPolicy::Fail);
    let made = folder.root().join("a");
    deliver(&destination, "a/b/first.txt", b"x").await.expect("it is delivered");
    std::fs::remove_dir_all(&made).expect("it is there");
    deliver(&destination, "a/b/second.txt", b"x").await.expect("it is made again");
    std::fs::remove_dir_all(&made).expect("it is there");
    std::fs::create_dir_all(made.join("b")).expect("somebody else makes folders, too");
    deliver(&destination, "a/b/third.txt", b"x").await.expect("it is taken as it is");
    assert_eq!(folder.paths().await, ["a/b/third.txt"]);
}

/// D-09
#[tokio::test]
async fn a_sidecar_holds_the_manifest_beside_the_name_that_was_given() {
    let folder = Folder::fresh();
    folder.put("a/b.txt", b"other").await;
    let destination = folder.with_sidecar(true, ClashPolicy::SuffixUploadId);
    let location = deliver(&destination, "a/b.txt", b"x").await.expect("it is delivered");
    let sidecar = std::fs::read(format!("{location}.meta.json")).expect("the sidecar is there");
    assert_eq!(sidecar, br#"{"sender_id":"test sender"}"#);
    assert_eq!(folder.paths().await.len(), 3);
}

/// W-11
#[tokio::test]
async fn a_sweep_removes_what_is_unfinished_and_nothing_else() {
    let folder = Folder::fresh();
    let destination = folder.with_sidecar(false, ClashPolicy::Fail);
    assert_eq!(destination.sweep().await.expect("an absent root is swept"), 0);
    folder.put("a/b/.part-1-1", b"x").await;
    folder.put(".part-2-1.meta.json", b"x").await;
    folder.put("a/b/kept.txt", b"x").await;
    assert_eq!(destination.sweep().await.expect("it is swept"), 2);
    assert_eq!(folder.paths().await, ["a/b/kept.txt"]);
}
