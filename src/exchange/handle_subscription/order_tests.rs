//! What an endpoint takes, whatever happens meanwhile: refusals, answers that get lost, crashes, leases that run out,
//! and a client that asks again at any moment. Every event is taken, in order, and once; again only where we could not
//! know that it was taken.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::tests::{keep, partnered, row, status, task, told};
use super::*;
use crate::agenda;
use crate::clock::Clock;
use crate::db::Db;
use crate::db::testing::{for_each_database, settings};
use crate::exchange::testing::Gateway;
use crate::outbound::testing::{FakeServer, Received, Reply};
use crate::subscription::testing::subscription as asked_for;

const OWNER: &str = "anna";
const ID: &str = "s1";
/// The waits before the three attempts of a notification.
const DELAYS: [Duration; 3] = [Duration::ZERO, Duration::from_secs(5), Duration::from_mins(1)];

/// How the endpoint answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    /// It takes what it is sent.
    Takes,
    /// It takes it, and its answer gets lost.
    TakesInSilence,
    /// It takes it, and says that it is out of order.
    TakesAndFails,
    /// It is out of order.
    Busy,
    /// It refuses for good.
    Refuses,
}

impl Mood {
    const ALL: [Self; 5] =
        [Self::Takes, Self::TakesInSilence, Self::TakesAndFails, Self::Busy, Self::Refuses];
}

/// What the endpoint took of events, as it remembers it.
#[derive(Debug, Clone)]
struct Taken {
    numbers: Vec<u64>,
    key: String,
    body: String,
    /// Whether we were told so.
    is_known: bool,
}

/// The endpoint of a subscriber.
struct Endpoint {
    mood: Mutex<Mood>,
    taken: Mutex<Vec<Taken>>,
    /// A request came that gets no answer.
    silent: Notify,
}

impl Endpoint {
    fn new() -> Self {
        Self { mood: Mutex::new(Mood::Takes), taken: Mutex::default(), silent: Notify::new() }
    }

    fn set(&self, mood: Mood) {
        *self.mood.lock().expect("no test panics here") = mood;
    }

    fn mood(&self) -> Mood {
        *self.mood.lock().expect("no test panics here")
    }

    fn hear(&self, request: &Received) -> Reply {
        let mood = self.mood();
        let (_, numbers) = told(&request.body);
        if matches!(mood, Mood::Takes | Mood::TakesInSilence | Mood::TakesAndFails) && !numbers.is_empty() {
            let key = request.header("idempotency-key").expect("a key").to_owned();
            let taken = Taken { numbers, key, body: request.body.clone(), is_known: mood == Mood::Takes };
            self.taken.lock().expect("no test panics here").push(taken);
        }
        match mood {
            Mood::Takes => Reply::new(200, "", ""),
            Mood::TakesInSilence => {
                self.silent.notify_one();
                Reply::Stall(String::new())
            }
            Mood::TakesAndFails | Mood::Busy => Reply::new(503, "", ""),
            Mood::Refuses => Reply::new(410, "", ""),
        }
    }
}

/// Something that happens.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// A Task is kept.
    Event,
    /// The endpoint changes its mind.
    Mood(Mood),
    /// The next errand is done.
    Work,
    /// The next errand is begun, and nobody goes on with it.
    Begin,
    /// All that is due is sent; in silence it is broken off in the middle.
    Deliver,
    /// Time goes by.
    Wait(u64),
    /// The client asks for the Subscription again.
    Ask,
    /// The gateway starts anew.
    Restart,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Event),
        3 => prop::sample::select(&Mood::ALL[..]).prop_map(Step::Mood),
        8 => Just(Step::Work),
        1 => Just(Step::Begin),
        5 => Just(Step::Deliver),
        3 => prop::sample::select(vec![1, 5, 20, 90]).prop_map(Step::Wait),
        2 => Just(Step::Ask),
        1 => Just(Step::Restart),
    ]
}

/// A gateway, and the endpoint that its subscription notifies.
struct World {
    gateway: Gateway,
    endpoint: Arc<Endpoint>,
    resource: Value,
    tasks: u64,
}

impl World {
    async fn new(db: &Db, max_count: u32) -> Self {
        let endpoint = Arc::new(Endpoint::new());
        let hearing = endpoint.clone();
        let server = FakeServer::start(move |request| hearing.hear(request)).await;
        let mut resource = asked_for(&format!("{}/hook", server.url()), "id-only");
        let url = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-max-count";
        resource["channel"]["extension"] = json!([{"url": url, "valuePositiveInt": max_count}]);
        let gateway = partnered(db, server.url(), DELAYS.to_vec());
        let world = Self { gateway, endpoint, resource, tasks: 0 };
        world.ask().await;
        world.settle().await;
        world
    }

    async fn ask(&self) {
        keep(&self.gateway, OWNER, SUBSCRIPTION, ID, &self.resource).await;
    }

    async fn begin(&self) -> Option<crate::agenda::Item> {
        let now = self.gateway.clock.now();
        let lease = Duration::from_mins(1);
        let taken: Result<_, DbError> =
            self.gateway.exchange.db.write((), move |(), tx| Box::pin(agenda::take(tx, now, lease, 1))).await;
        taken.expect("it is read").pop()
    }

    async fn deliver(&self) {
        let work = self.gateway.exchange.deliveries.run_due_work();
        tokio::select! {
            done = work => { done.expect("the worker works"); }
            () = self.endpoint.silent.notified() => {}
        }
    }

    async fn restart(&self) {
        let now = self.gateway.clock.now();
        let freed: Result<(), DbError> = self
            .gateway
            .exchange
            .db
            .write((), move |(), tx| {
                Box::pin(async move {
                    delivery::free_all_leases(tx, now).await?;
                    agenda::free_all(tx).await
                })
            })
            .await;
        freed.expect("leases are freed");
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Event => {
                self.tasks += 1;
                keep(&self.gateway, OWNER, "Task", &format!("t{}", self.tasks), &task("requested")).await;
            }
            Step::Mood(mood) => self.endpoint.set(mood),
            Step::Work => {
                if let Some(item) = self.begin().await {
                    self.gateway.exchange.follow(item).await;
                }
            }
            Step::Begin => drop(self.begin().await),
            Step::Deliver => self.deliver().await,
            Step::Wait(seconds) => self.gateway.clock.advance(Duration::from_secs(seconds)),
            Step::Ask => self.ask().await,
            Step::Restart => self.restart().await,
        }
    }

    /// Lets all be done that is due within two minutes.
    async fn settle(&self) {
        for _ in 0..12 {
            self.gateway.run_agenda().await;
            self.deliver().await;
            self.gateway.clock.advance(Duration::from_secs(10));
        }
    }

    /// What was taken, held against what must be: in order, each once, and again only where nobody could know.
    fn check(&self) -> u64 {
        let all = self.endpoint.taken.lock().expect("no test panics here").clone();
        let mut before: Option<&Taken> = None;
        for taken in &all {
            let last = before.and_then(|before| before.numbers.last().copied()).unwrap_or(0);
            let is_next = taken.numbers[0] == last + 1;
            let is_again =
                before.is_some_and(|before| !before.is_known && before.numbers[0] == taken.numbers[0]);
            assert!(is_next || is_again, "{:?} came after {before:?}", taken.numbers);
            assert!(taken.numbers.windows(2).all(|two| two[0] + 1 == two[1]), "{:?}", taken.numbers);
            // The same notification has the same key, so that the endpoint knows it again.
            for other in all.iter().filter(|other| other.body == taken.body) {
                assert_eq!(other.key, taken.key);
            }
            before = Some(taken);
        }
        before.and_then(|before| before.numbers.last().copied()).unwrap_or(0)
    }

    async fn counted(&self) -> u64 {
        row(&self.gateway, OWNER, ID).await.map_or(0, |found| found.events)
    }

    /// In the end the endpoint takes everything, and the client asks once more.
    async fn end(&self) {
        self.check();
        self.endpoint.set(Mood::Takes);
        self.restart().await;
        self.settle().await;
        self.ask().await;
        self.settle().await;
        assert_eq!(status(&self.gateway, OWNER, ID).await.0, "active");
        assert_eq!(self.check(), self.tasks, "none is lost");
        assert_eq!(self.counted().await, self.tasks);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn every_event_is_taken_in_order_and_once(
        steps in prop::collection::vec(any_step(), 1..60),
        max_count in 1..4_u32,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let url = format!("sqlite:{}", folder.path().join("gateway.db").display());
            let settings = crate::db::DbSettings { durable: false, ..settings(url) };
            let db = Db::open(&settings).await.expect("the database opens");
            let mut world = Box::pin(World::new(&db, max_count)).await;
            for step in steps {
                world.take(step).await;
            }
            world.end().await;
            db.close().await;
        });
    }
}

#[tokio::test]
async fn what_is_dead_holds_back_what_comes_after_it_until_that_is_called_off() {
    for_each_database(|db| async move {
        let mut world = Box::pin(World::new(&db, 1)).await;
        for _ in 0..3 {
            world.take(Step::Event).await;
        }
        world.gateway.run_agenda().await;
        world.endpoint.set(Mood::Refuses);
        world.deliver().await;
        // Nobody has drawn the consequences, and the endpoint would take the next one.
        world.endpoint.set(Mood::Takes);
        world.deliver().await;
        assert_eq!(world.check(), 0);
        world.gateway.run_agenda().await;
        assert_eq!(status(&world.gateway, OWNER, ID).await.0, "error");
        world.take(Step::Event).await;
        world.settle().await;
        assert_eq!(world.check(), 0, "nothing is sent in error");
        world.end().await;
    })
    .await;
}

#[tokio::test]
async fn what_is_on_its_way_when_the_client_asks_again_goes_before_what_is_told_anew() {
    for_each_database(|db| async move {
        let mut world = Box::pin(World::new(&db, 1)).await;
        for _ in 0..3 {
            world.take(Step::Event).await;
        }
        world.gateway.run_agenda().await;
        world.endpoint.set(Mood::TakesInSilence);
        world.deliver().await;
        world.endpoint.set(Mood::Takes);
        world.ask().await;
        world.gateway.run_agenda().await;
        world.deliver().await;
        world.gateway.run_agenda().await;
        assert_eq!(status(&world.gateway, OWNER, ID).await.0, "active");
        world.deliver().await;
        let taken = world.endpoint.taken.lock().expect("no test panics here").len();
        assert_eq!(taken, 1, "the attempt at the first event has not ended yet");
        world.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_notification_that_is_sent_again_by_hand_takes_back_nothing_that_was_told_since() {
    for_each_database(|db| async move {
        let mut world = Box::pin(World::new(&db, 1)).await;
        world.endpoint.set(Mood::Refuses);
        world.take(Step::Event).await;
        world.settle().await;
        let dead: String = {
            let mut reader = db.reader().await.expect("a reader");
            let sql = "SELECT upload_id FROM delivery WHERE status = 'dead'";
            let found: Result<String, DbError> = async {
                Ok(crate::db::on_db!(&mut reader.tx(), conn => {
                    sqlx::query_scalar(sql).fetch_one(conn).await
                })?)
            }
            .await;
            found.expect("one is dead")
        };
        world.endpoint.set(Mood::Takes);
        world.ask().await;
        world.settle().await;
        assert_eq!(world.check(), 1);
        world.endpoint.set(Mood::Refuses);
        let (worker, dead) = (Access::of_worker("default"), dead.parse().expect("an id"));
        let upload = world.gateway.exchange.uploads.find(&worker, dead);
        let upload = upload.await.expect("it is read").expect("it is there");
        let repeated = delivery::NewDelivery {
            tenant: upload.tenant.clone(),
            owner: upload.owner.clone(),
            upload_id: upload.id,
            target: "partner.payer".to_owned(),
            path: world.resource["channel"]["endpoint"].as_str().unwrap_or_default().to_owned(),
            cause: delivery::Cause::Manual,
            trace: None,
            ordering_key: None,
            headers: Vec::new(),
            timeout: None,
            followed_by: None,
        };
        let now = world.gateway.clock.now();
        let queued: Result<_, DbError> = db
            .write(repeated, move |repeated, tx| {
                Box::pin(async move { delivery::repeat(tx, repeated, now).await })
            })
            .await;
        assert!(matches!(queued.expect("it is written"), delivery::Repeated::Queued(_)));
        world.settle().await;
        assert_eq!(status(&world.gateway, OWNER, ID).await.0, "active");
        world.endpoint.set(Mood::Takes);
        world.settle().await;
        let taken = world.endpoint.taken.lock().expect("no test panics here").len();
        assert_eq!(taken, 1, "the event was told, and is not told again");
        world.end().await;
    })
    .await;
}
