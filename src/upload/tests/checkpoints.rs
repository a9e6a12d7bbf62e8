//! When what arrives is acknowledged while an append runs.

use std::task::Poll;

use super::*;

/// However a body is cut on its way: a bucket gets an object for each checkpoint, and none is short.
#[tokio::test]
async fn checkpoints_come_at_equal_distances() {
    for_each_database(|db| async move {
        let store = fresh(&db, 4);
        let id = store.create(12).await;
        store.append(id, 0, vec![piece(b"abcdef"), piece(b"ghi")]).await.expect("it appends");
        let ends = async || -> Vec<u64> {
            let mut reader = store.uploads.db.reader().await.expect("a reader");
            let segments = store::segments(&mut reader.tx(), &access(), id).await.expect("it reads");
            segments.iter().map(Segment::end).collect()
        };
        assert_eq!(ends().await, [4, 8, 9]);
        store.append(id, 9, vec![piece(b"jkl")]).await.expect("it appends");
        assert_eq!(ends().await, [4, 8, 9, 12]);
        assert_eq!(store.content(id).await.expect("whole").0, b"abcdefghijkl");
    })
    .await;
}

/// The last bytes count with the end of the body, which may be long in coming.
#[tokio::test]
async fn an_append_sleeps_while_only_the_end_of_its_body_is_missing() {
    for_each_database(|db| async move {
        let mut store = fresh(&db, 1024);
        store.uploads.settings.checkpoint_interval = Duration::from_millis(1);
        let id = store.create(3).await;
        let (mut polls, mut pieces) = (0, vec![piece(b"abc")]);
        let body = stream::poll_fn(|_| {
            polls += 1;
            pieces.pop().map_or(Poll::Pending, |piece| Poll::Ready(Some(piece)))
        });
        let stopping = CancellationToken::new();
        let (appended, ()) =
            tokio::join!(store.uploads.append(AppendRequest::new(access(), id, 0), body, &stopping), async {
                tokio::time::sleep(Duration::from_millis(100)).await;
                stopping.cancel();
            });
        assert!(matches!(appended.expect("it appends").ended, Ended::Stopping));
        assert!(polls < 10, "it was asked {polls} times");
    })
    .await;
}
