//! Tests of the health of all parts: asked together, each for a bounded time, and not once for everybody who asks.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use tokio::sync::Barrier;

use super::super::testing::Gateway;
use super::*;
use crate::db::testing::for_each_database;
use crate::delivery::{Delivered, DeliveryError, DeliveryRequest, Destination, Routing};

/// How a target of these tests answers when it is looked at.
enum Mood {
    /// Only once as many others are being looked at as it takes.
    Together(Arc<Barrier>),
    /// Never.
    Hanging,
    /// That it is full.
    Full,
}

struct Target(Mood, Arc<AtomicUsize>);

#[async_trait]
impl Destination for Target {
    async fn deliver(&self, _: DeliveryRequest<'_>) -> Result<Delivered, DeliveryError> {
        Err(DeliveryError::Full)
    }

    async fn check(&self) -> Result<(), DeliveryError> {
        self.1.fetch_add(1, Ordering::Relaxed);
        match &self.0 {
            Mood::Together(barrier) => {
                barrier.wait().await;
                Ok(())
            }
            Mood::Hanging => std::future::pending().await,
            Mood::Full => Err(DeliveryError::Full),
        }
    }
}

/// A gateway with these targets, and how often they have been looked at.
fn with_targets(gateway: &Gateway, moods: Vec<(&str, Mood)>) -> Arc<AtomicUsize> {
    let looks = Arc::new(AtomicUsize::new(0));
    let targets = moods
        .into_iter()
        .map(|(name, mood)| (name.to_owned(), Arc::new(Target(mood, looks.clone())) as Arc<dyn Destination>));
    gateway.exchange.deliveries.retarget(&["local".to_owned()], targets.collect(), &HashMap::new());
    looks
}

fn issues(found: &[Checked]) -> Vec<(String, String)> {
    let broken = found.iter().filter_map(|checked| Some((checked.part.name(), checked.issue.clone()?)));
    let mut broken: Vec<_> = broken.collect();
    broken.sort();
    broken
}

/// W-30: DEX asks one after the other and waits for ever; here each has its time, and one that hangs hides nobody.
#[tokio::test]
async fn w_30_all_parts_are_asked_at_once_and_each_for_its_time() {
    for_each_database(|db| async move {
        let gateway = Gateway::new(&db);
        let barrier = Arc::new(Barrier::new(2));
        let moods = vec![
            ("one", Mood::Together(barrier.clone())),
            ("other", Mood::Together(barrier)),
            ("hanging", Mood::Hanging),
            ("full", Mood::Full),
        ];
        with_targets(&gateway, moods);
        let expected =
            [("target full", "no space is left at the target"), ("target hanging", "no answer in time")];
        let expected = expected.map(|(part, issue)| (part.to_owned(), issue.to_owned()));
        assert_eq!(issues(&gateway.exchange.check_health().await), expected);
    })
    .await;
}

/// W-30: whoever asks often costs the targets nothing.
#[tokio::test]
async fn w_30_what_was_found_counts_for_a_moment_for_everybody() {
    for_each_database(|db| async move {
        let gateway = Gateway::new(&db);
        let looks = with_targets(&gateway, vec![("full", Mood::Full)]);
        let exchange = &gateway.exchange;
        let all = futures_util::future::join_all((0..20).map(|_| exchange.check_health())).await;
        assert!(all.iter().all(|found| issues(found).len() == 1));
        assert_eq!(looks.load(Ordering::Relaxed), 1);
        gateway.clock.advance(FRESH);
        exchange.check_health().await;
        assert_eq!(looks.load(Ordering::Relaxed), 2);
    })
    .await;
}

/// The names that tools of DEX compare (dex-upload 1.3).
#[tokio::test]
async fn each_part_has_the_name_that_dex_gives_it() {
    for_each_database(|db| async move {
        let yaml = "
targets:
  f: { name: f, type: file, path: f }
  s: { name: s, type: s3, bucket_name: b, access_key_id: k, secret_access_key: s }
  z: { name: z, type: az-blob, container_name: c, endpoint: 'https://a', storage_account: a, storage_key: aw== }
  d: { name: d, type: dex, url: 'https://dex.example/upload' }
";
        let routing = Routing::from_yaml("d.yml", yaml, &|_| None).expect("the file is sound");
        let gateway = Gateway::with(&db, |exchange| {
            let streams = exchange.rules.current().streams.clone();
            exchange.rules.replace(crate::exchange::rules::DexRules { streams, routing });
        });
        let target = |name: &str| Part::Target(name.to_owned());
        let cases = [
            (Part::UploadStore, "File Storage", "None reported"),
            (target("f"), "File Delivery Target f", "None reported"),
            (target("s"), "S3 deliver target s", ""),
            (target("z"), "Azure deliver target z", ""),
            (target("d"), "DEX deliver target d", "None reported"),
            (target("partner.acme"), "Endpoint partner.acme", "None reported"),
        ];
        for (part, name, works) in cases {
            assert_eq!(gateway.exchange.dex_name(&part), (name.to_owned(), works));
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_check_that_panics_or_hangs_says_so_of_its_own_part() {
    assert_eq!(issue_of(std::future::ready(Ok(()))).await, None);
    assert_eq!(issue_of(std::future::ready(Err("x".to_owned()))).await.as_deref(), Some("x"));
    assert_eq!(issue_of(std::future::pending()).await.as_deref(), Some("no answer in time"));
    let panics = async { panic!("ZZPHI") };
    assert_eq!(issue_of(panics).await.as_deref(), Some("the check failed"));
}
