//! What the journal promises, over real files.

use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;

use futures_util::future::join_all;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};

use super::blocks::BLOCK;
use super::record::tests::{upload, whole};
use super::record::{self, Decoded, Salt};
use super::state::{GROUP, MANY};
use super::*;

fn open(folder: &Path, redeemed: u64) -> Journal {
    Journal::open(folder.join("journal"), "journal", true, redeemed).expect("it opens")
}

fn fresh() -> (tempfile::TempDir, Journal) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let journal = open(folder.path(), 0);
    (folder, journal)
}

async fn enter(journal: &Journal, bytes: &'static [u8]) -> UploadId {
    let upload = whole("owner", bytes);
    let id = upload.id;
    journal.enter(upload, Bytes::from_static(bytes)).await.expect("it is entered");
    id
}

/// What is due without waiting for quiet, as (number of the last, ids).
async fn due(journal: &Journal) -> (Group, Vec<UploadId>) {
    journal.shared.lock().wanted = u64::MAX;
    let group = journal.due().await;
    let ids = group.uploads.iter().map(|(upload, _)| upload.id).collect();
    (group, ids)
}

fn owner(name: &str) -> Access {
    Access::of_owner("t", name)
}

#[tokio::test]
async fn what_was_entered_and_not_redeemed_is_due_after_a_restart_in_its_order() {
    let (folder, journal) = fresh();
    let ids = [enter(&journal, b"one").await, enter(&journal, b"two").await, enter(&journal, b"three").await];
    drop(journal);
    for redeemed in 0..=3 {
        let journal = open(folder.path(), redeemed as u64);
        assert_eq!(journal.is_empty(), redeemed == 3);
        if redeemed < 3 {
            let (group, due) = due(&journal).await;
            assert_eq!((group.first, group.last, group.is_left_over), (redeemed as u64 + 1, 3, true));
            assert_eq!(due, ids[redeemed..]);
            assert_eq!(group.uploads.last().map(|(_, bytes)| &**bytes), Some(&b"three"[..]));
        }
    }
    // Numbers are never given twice, even if the database is ahead of what is left of the files.
    let journal = open(folder.path(), 7);
    enter(&journal, b"four").await;
    assert_eq!(due(&journal).await.0.first, 8);
}

#[tokio::test]
async fn an_end_that_a_crash_has_torn_costs_nothing_that_was_acknowledged() {
    let (folder, journal) = fresh();
    let ids = [enter(&journal, b"one").await, enter(&journal, b"two").await];
    enter(&journal, b"torn").await;
    drop(journal);
    let path = folder.path().join("journal/0.journal");
    let content = std::fs::read(&path).expect("it reads");
    let end = content.iter().rposition(|byte| *byte != 0).expect("something was written");
    overwrite(&path, end, &[0]);
    let journal = open(folder.path(), 0);
    assert_eq!(due(&journal).await.1, ids);
}

/// Writes begin with a block, wherever the one before ended.
#[tokio::test]
async fn a_write_that_ends_with_a_block_or_beside_its_end_hides_nothing_behind_it() {
    let mut encoded = Vec::new();
    let bytes = [b'x'; BLOCK];
    record::encode(&mut encoded, Salt::new(), 1, &whole("owner", &bytes), &bytes);
    let fits = 2 * BLOCK - (encoded.len() + 24);
    for length in fits - 1..=fits + 1 {
        let (folder, journal) = fresh();
        let first = vec![b'x'; BLOCK + length].leak();
        let ids = [enter(&journal, first).await, enter(&journal, b"second").await];
        drop(journal);
        let journal = open(folder.path(), 0);
        assert_eq!(due(&journal).await.1, ids, "{length}");
    }
}

fn overwrite(path: &Path, at: usize, bytes: &[u8]) {
    let file = std::fs::OpenOptions::new().write(true).open(path).expect("it opens");
    file.write_all_at(bytes, at as u64).expect("it writes");
}

/// A sender chooses bytes, and they lie in the file still when it is written anew.
#[tokio::test]
async fn what_a_sender_wrote_is_never_taken_for_an_entry() {
    let (folder, journal) = fresh();
    let path = folder.path().join("journal/0.journal");
    enter(&journal, b"shows the salt").await;
    let salt: [u8; 16] = std::fs::read(&path).expect("it reads")[8..24].try_into().expect("16 bytes");
    // More than any sender can know: the salt that is in use, and what comes later.
    let encoded = |upload: &Upload, bytes: &[u8]| {
        let mut encoded = Vec::new();
        record::encode(&mut encoded, Salt(salt), 1_000, upload, bytes);
        encoded
    };
    let forged = encoded(&whole("victim", b"forged"), b"forged");
    // What is written later ends in the second block, and the next one begins within the trap.
    let later: &[u8] = &[b'l'; 5_000];
    let end = 2 * BLOCK;
    let mut trap = vec![b'x'; end];
    let before = encoded(&whole("owner", &trap), &trap).len() - trap.len();
    // The trap lies behind the first write, which takes a block.
    let at = end - BLOCK - before;
    trap[at..at + forged.len()].copy_from_slice(&forged);
    enter(&journal, Box::leak(trap.into_boxed_slice())).await;
    let group = due(&journal).await.0;
    drop(journal);

    let journal = open(folder.path(), group.last);
    let id = enter(&journal, later).await;
    drop(journal);
    let content = std::fs::read(&path).expect("it reads");
    assert!(content[end..].starts_with(&forged), "the forged entry follows the last one");
    let forged = record::decode(Salt(salt), &content[end..]);
    assert!(matches!(forged, Decoded::Entry { number: 1_000, .. }), "and would be one, but for the salt");
    let journal = open(folder.path(), group.last);
    assert_eq!(due(&journal).await.1, [id]);
}

#[tokio::test]
async fn files_that_are_redeemed_are_written_anew_and_what_finds_no_room_is_not_taken() {
    let (folder, journal) = fresh();
    let bytes: &'static [u8] = vec![b'x'; 64 * 1024].leak();
    let mut entered = 0;
    loop {
        match journal.enter(whole("owner", bytes), Bytes::from_static(bytes)).await {
            Ok(()) => entered += 1,
            Err(JournalError::NotTaken) => break,
            Err(error) => panic!("{error:?}"),
        }
    }
    assert!((900..1024).contains(&entered), "{entered} of 64 KiB");
    let files = || std::fs::read_dir(folder.path().join("journal")).expect("a folder").count();
    assert_eq!(files(), 16);
    // What finds no room is a reason to make some.
    let group = journal.due().await;
    assert_eq!(group.uploads.len(), GROUP);
    assert!(matches!(
        journal.enter(whole("owner", bytes), Bytes::from_static(bytes)).await,
        Err(JournalError::NotTaken)
    ));
    let mut redeemed = 0;
    while !journal.is_empty() {
        let (group, ids) = due(&journal).await;
        redeemed += ids.len();
        journal.redeemed(&group);
    }
    assert_eq!(redeemed, entered);
    enter(&journal, b"there is room again").await;
    assert_eq!(files(), 16);
}

/// The contents of an upload that is created, and gets its bytes.
fn two_requests(bytes: &'static [u8]) -> (Upload, Upload) {
    let whole = whole("owner", bytes);
    (Upload { id: whole.id, key: whole.key.clone(), ..upload("owner", bytes.len() as u64) }, whole)
}

#[tokio::test]
async fn an_upload_that_gets_its_bytes_at_once_is_redeemed_once_and_after_a_crash_too() {
    let (folder, journal) = fresh();
    let (begun, whole) = two_requests(b"bytes");
    let id = begun.id;
    journal.enter(begun, Bytes::new()).await.expect("it is entered");
    // Nobody else sees it, or adds to it.
    for stranger in [owner("stranger"), Access::of_owner("other", "owner"), Access::of_worker("other")] {
        assert!(journal.find(&stranger, id).is_none() && journal.without_bytes(&stranger, id).is_none());
        let refused = journal.complete(&stranger, whole.clone(), Bytes::from_static(b"bytes")).await;
        assert!(matches!(refused, Err(JournalError::NotTaken)));
    }
    for own in [owner("owner"), Access::of_worker("t")] {
        assert_eq!(journal.find(&own, id).map(|upload| upload.offset), Some(0));
    }
    journal.complete(&owner("owner"), whole, Bytes::from_static(b"bytes")).await.expect("it is entered");
    assert_eq!(journal.find(&owner("owner"), id).map(|upload| upload.offset), Some(5));
    assert!(journal.without_bytes(&owner("owner"), id).is_none());
    let restarted = open(folder.path(), 0);
    for journal in [journal, restarted] {
        let (group, ids) = due(&journal).await;
        assert_eq!((group.first, group.last, ids), (1, 2, vec![id]));
        assert_eq!(&*group.uploads[0].1, b"bytes");
        journal.redeemed(&group);
        assert!(journal.is_empty() && journal.find(&owner("owner"), id).is_none());
    }
}

#[tokio::test]
async fn an_upload_that_is_being_redeemed_gets_its_bytes_another_way() {
    let (_folder, journal) = fresh();
    let (begun, whole) = two_requests(b"bytes");
    let id = begun.id;
    journal.enter(begun, Bytes::new()).await.expect("it is entered");
    // Without anybody who waits it is kept back for a moment only.
    let group = journal.due().await;
    assert_eq!(group.uploads.len(), 1);
    assert!(journal.without_bytes(&owner("owner"), id).is_none());
    let refused = journal.complete(&owner("owner"), whole, Bytes::from_static(b"bytes")).await;
    assert!(matches!(refused, Err(JournalError::NotTaken)));
    journal.redeemed(&group);
}

#[tokio::test]
async fn who_asks_for_an_upload_waits_until_it_is_redeemed_or_cannot_be() {
    let (_folder, journal) = fresh();
    let own = owner("owner");
    let first = enter(&journal, b"first").await;
    let second = enter(&journal, b"second").await;
    for (access, id) in [(&own, UploadId::new()), (&owner("stranger"), first)] {
        journal.wait_for(access, id).await.expect("nobody waits for what is not there for them");
    }
    journal.wait_for_all(&owner("stranger")).await.expect("there is nothing of theirs");
    let redeeming = async {
        let group = journal.due().await;
        journal.stuck();
        let refused = journal.enter(whole("owner", b"late"), Bytes::from_static(b"late")).await;
        assert!(matches!(refused, Err(JournalError::NotTaken)), "nothing is promised meanwhile");
        group
    };
    let (first, group) = tokio::join!(journal.wait_for(&own, first), redeeming);
    assert!(first.is_err());
    journal.redeemed(&group);
    journal.wait_for(&own, second).await.expect("it is redeemed");
    journal.wait_for_all(&own).await.expect("all are redeemed");
    let third = enter(&journal, b"third").await;
    let redeeming = async { journal.redeemed(&journal.due().await) };
    let (third, ()) = tokio::join!(journal.wait_for(&own, third), redeeming);
    third.expect("it is redeemed");
}

/// Nobody is woken for each entry, and nobody sleeps on: neither with the first one nor when very many come.
#[tokio::test]
async fn who_redeems_hears_of_the_first_entry_and_looks_again_by_itself() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let journal = Journal::open(folder.path().join("journal"), "journal", false, 0).expect("it opens");
    let patience = Duration::from_mins(1);
    let wakes = |journal: &Journal| journal.shared.lock().take_wake();
    let due = async { tokio::time::timeout(patience, journal.due()).await.expect("something is due") };
    let entered = async {
        // Whoever redeems sleeps by now.
        tokio::task::yield_now().await;
        enter(&journal, b"first").await
    };
    let (group, id) = tokio::join!(due, entered);
    assert_eq!(group.uploads[0].0.id, id);
    journal.redeemed(&group);
    let before = Instant::now();
    assert!(matches!(journal.shared.lock().due(before), Due::Never));
    assert!(wakes(&journal) && !wakes(&journal), "once");
    enter(&journal, b"one").await;
    assert!(matches!(journal.shared.lock().due(before), Due::At(_)));
    enter(&journal, b"another").await;
    assert!(!wakes(&journal));
    while journal.shared.lock().len() < MANY {
        enter(&journal, b"many").await;
    }
    assert!(wakes(&journal));
}

/// What was removed elsewhere must not live on here.
#[tokio::test]
async fn what_is_redeemed_is_wiped_and_what_is_not_stays() {
    let (folder, journal) = fresh();
    let holds = |text: &str| {
        let content = std::fs::read(folder.path().join("journal/0.journal")).expect("it reads");
        content.windows(text.len()).any(|window| window == text.as_bytes())
    };
    enter(&journal, b"redeemed").await;
    let group = due(&journal).await.0;
    journal.wipe().await;
    assert!(holds("redeemed"), "it is not redeemed yet");
    journal.redeemed(&group);
    journal.wipe().await;
    assert!(!holds("redeemed") && !holds("owner"));
    enter(&journal, b"entered behind it").await;
    assert!(holds("entered behind it"));
    drop(journal);
    // A crash came between.
    let journal = open(folder.path(), 2);
    journal.wipe().await;
    assert!(!holds("entered behind it") && !holds("owner"));
}

/// A volume that is written anew and only to a part is wiped as far as it was ever written.
#[tokio::test]
async fn a_volume_is_wiped_as_far_as_it_was_written() {
    let (folder, journal) = fresh();
    let bytes: &'static [u8] = vec![b'x'; 64 * 1024].leak();
    for entries in [100, 40] {
        for _ in 0..entries {
            enter(&journal, bytes).await;
        }
        while !journal.is_empty() {
            journal.redeemed(&due(&journal).await.0);
        }
    }
    let contents = || -> Vec<Vec<u8>> {
        let files = std::fs::read_dir(folder.path().join("journal")).expect("a folder");
        files.map(|file| std::fs::read(file.expect("an entry").path()).expect("it reads")).collect()
    };
    assert_eq!(contents().len(), 2, "they were written anew");
    journal.wipe().await;
    assert!(contents().iter().flatten().all(|byte| *byte == 0));
}

#[tokio::test]
async fn after_a_disk_failed_nothing_is_entered_and_what_was_there_is_redeemed() {
    let (folder, journal) = fresh();
    let id = enter(&journal, b"before").await;
    drop(journal);
    // The next file that is written cannot take anything.
    std::fs::rename(folder.path().join("journal/0.journal"), folder.path().join("journal/1.journal"))
        .expect("it moves");
    let sealed = memfd_create("sealed", MemfdFlags::ALLOW_SEALING).expect("memory");
    ftruncate(&sealed, 4 << 20).expect("it grows");
    fcntl_add_seals(&sealed, SealFlags::WRITE).expect("it is sealed");
    let sealed_path = format!("/proc/self/fd/{}", sealed.as_raw_fd());
    symlink(sealed_path, folder.path().join("journal/0.journal")).expect("a link");
    let journal = open(folder.path(), 0);
    let refused = journal.enter(whole("owner", b"after"), Bytes::from_static(b"after")).await;
    assert!(matches!(refused, Err(JournalError::Disk(_))), "{refused:?}");
    let refused = journal.enter(whole("owner", b"after"), Bytes::from_static(b"after")).await;
    assert!(matches!(refused, Err(JournalError::NotTaken)), "{refused:?}");
    let (group, ids) = due(&journal).await;
    assert_eq!(ids, [id]);
    // What failed has a number, and may lie there: it must not come back.
    assert_eq!(group.last, 2);
    journal.redeemed(&group);
    assert!(journal.is_empty());
}

#[tokio::test]
async fn a_journal_that_cannot_be_read_whole_is_not_begun_with() {
    let refuses = |folder: &Path| Journal::open(folder.join("journal"), "journal", true, 0).is_err();
    for (at, bytes) in [(0, b"CDEXJNL3"), (0, b"anything")] {
        let (folder, journal) = fresh();
        enter(&journal, b"bytes").await;
        drop(journal);
        overwrite(&folder.path().join("journal/0.journal"), at, bytes);
        assert!(refuses(folder.path()));
    }
    // A volume is missing.
    let (folder, journal) = fresh();
    enter(&journal, b"bytes").await;
    drop(journal);
    let path = |name| folder.path().join("journal").join(name);
    std::fs::rename(path("0.journal"), path("1.journal")).expect("it moves");
    assert!(refuses(folder.path()));
    // An entry is whole, and says what this version does not know.
    let (folder, journal) = fresh();
    let mut strange = whole("owner", b"bytes");
    strange.completed_at = None;
    journal.enter(strange, Bytes::from_static(b"bytes")).await.expect("it is entered");
    drop(journal);
    assert!(refuses(folder.path()));
}

/// A crash in the middle of its making leaves a volume that is too short.
#[tokio::test]
async fn a_volume_that_was_not_made_whole_is_made_whole() {
    let (folder, journal) = fresh();
    enter(&journal, b"bytes").await;
    drop(journal);
    let path = folder.path().join("journal/0.journal");
    let length = std::fs::metadata(&path).expect("it is there").len();
    std::fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .expect("it opens")
        .set_len(5_000)
        .expect("it shrinks");
    let journal = open(folder.path(), 0);
    assert_eq!(std::fs::metadata(&path).expect("it is there").len(), length);
    assert_eq!(due(&journal).await.1.len(), 1);
}

/// Many at the same time: each is there once, in the order of its number.
#[tokio::test]
async fn entries_that_come_together_are_written_together_and_none_is_lost() {
    let (folder, journal) = fresh();
    let mut entered = join_all((0..200).map(|_| enter(&journal, b"one of many"))).await;
    drop(journal);
    let journal = open(folder.path(), 0);
    let (mut found, mut last) = (Vec::new(), 0);
    while !journal.is_empty() {
        let (group, ids) = due(&journal).await;
        assert_eq!(group.first, last + 1);
        (last, found) = (group.last, [found, ids].concat());
        journal.redeemed(&group);
    }
    entered.sort();
    found.sort();
    assert_eq!((last, found), (200, entered));
}
