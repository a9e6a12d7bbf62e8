//! Random searches over random resources, held against an evaluation in memory: the same resources in the same order
//! with the same total, by every plan that is possible and in pages of every size.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use super::super::criteria::{Bytes, Criterion, EntryTest, Order};
use super::super::entry::{Entry, Space};
use super::super::model::{Precondition, Search};
use super::super::query::{self, Branch, Source};
use super::super::store::{self, Plan, Way};
use super::{access, at, delete, draft, everything, keep, kind, space};
use crate::auth::Access;
use crate::clock::Timestamp;
use crate::db::Db;
use crate::db::testing::for_each_database;

/// A resource as it was made.
#[derive(Debug, Clone)]
struct Made {
    resource_type: &'static str,
    id: String,
    is_mine: bool,
    is_deleted: bool,
    millis: i64,
    entries: Vec<Entry>,
}

const TYPES: [&str; 2] = ["Task", "Patient"];
const CODES: [&str; 3] = ["one", "two", "refers"];
const VALUES: [&[u8]; 7] = [b"a", b"ab", b"abc\0s", b"b", b"b/\xff\0", b"\xff\xff", b""];

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    select(&VALUES[..]).prop_map(<[u8]>::to_vec)
}

fn type_name() -> impl Strategy<Value = &'static str> {
    select(&TYPES[..])
}

fn any_space() -> impl Strategy<Value = Space> {
    (type_name(), select(&CODES[..])).prop_map(|(name, code)| space(name, code))
}

fn id() -> impl Strategy<Value = String> {
    (0..12).prop_map(|n| format!("id-{n}"))
}

fn reference() -> impl Strategy<Value = Vec<u8>> {
    let odd = prop_oneof![Just(b"Patient/".to_vec()), Just(b"urn:uuid:1".to_vec()), bytes()];
    prop_oneof![9 => (type_name(), id()).prop_map(|(name, id)| format!("{name}/{id}").into_bytes()), 1 => odd]
}

fn made() -> impl Strategy<Value = Vec<Made>> {
    let entry = |name: &'static str| {
        let extra = proptest::option::of(bytes());
        let plain = (select(&CODES[..2]), bytes(), extra);
        let plain =
            plain.prop_map(move |(code, value, extra)| Entry { space: space(name, code), value, extra });
        let refers = reference();
        prop_oneof![
            plain,
            refers.prop_map(move |value| Entry { space: space(name, "refers"), value, extra: None })
        ]
    };
    let one = type_name().prop_flat_map(move |name| {
        let flags = (proptest::bool::weighted(0.8), proptest::bool::weighted(0.15), 0_i64..6);
        (id(), flags, proptest::collection::vec(entry(name), 0..8)).prop_map(
            move |(id, (is_mine, is_deleted, millis), entries)| Made {
                resource_type: name,
                id,
                is_mine,
                is_deleted,
                millis,
                entries,
            },
        )
    });
    proptest::collection::vec(one, 0..20).prop_map(|all| {
        let by_name = all.into_iter().map(|made| ((made.resource_type, made.id.clone()), made));
        by_name.collect::<BTreeMap<_, _>>().into_values().collect()
    })
}

fn bytes_test() -> impl Strategy<Value = Bytes> {
    let bound = || proptest::option::of(bytes());
    prop_oneof![
        2 => Just(Bytes::Any),
        3 => bytes().prop_map(Bytes::Equal),
        3 => (bound(), bound()).prop_map(|(from, until)| Bytes::Range(from, until)),
        1 => bytes().prop_map(Bytes::Contains),
    ]
}

fn has() -> impl Strategy<Value = Criterion> {
    let test = prop_oneof![
        (bytes_test(), bytes_test()).prop_map(|(value, extra)| EntryTest { value, extra }),
        prop_oneof![bytes(), reference()]
            .prop_map(|value| EntryTest { value: Bytes::Equal(value), extra: Bytes::Any }),
    ];
    (any_space(), proptest::collection::vec(test, 0..3))
        .prop_map(|(space, tests)| Criterion::Has(space, tests))
}

fn moment() -> impl Strategy<Value = Option<Timestamp>> {
    proptest::option::of((0_i64..8).prop_map(at))
}

fn criterion() -> impl Strategy<Value = Criterion> {
    let leaf = prop_oneof![
        6 => has(),
        1 => Just(Criterion::Never),
        1 => type_name().prop_map(|name| Criterion::Type(kind(name))),
        1 => proptest::collection::vec(id(), 0..3).prop_map(Criterion::Id),
        1 => (moment(), moment()).prop_map(|(from, until)| Criterion::LastUpdated(from, until)),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let target = (type_name(), inner.clone()).prop_map(|(name, criterion)| (name, kind(name), criterion));
        let leads = (type_name(), proptest::collection::vec(target, 0..3));
        let referred = (type_name(), type_name(), inner.clone());
        prop_oneof![
            3 => proptest::collection::vec(inner.clone(), 0..4).prop_map(Criterion::All),
            1 => proptest::collection::vec(inner.clone(), 0..4).prop_map(Criterion::Any),
            1 => inner.prop_map(|inner| Criterion::Not(Box::new(inner))),
            2 => leads.prop_map(|(name, targets)| Criterion::Leads(space(name, "refers"), targets)),
            2 => referred.prop_map(|(from, source, criterion)| Criterion::Referred {
                from: space(from, "refers"),
                source: kind(source),
                criterion: Box::new(criterion),
            }),
        ]
    })
}

fn order() -> impl Strategy<Value = Vec<(Order, bool)>> {
    let levels = proptest::collection::vec(proptest::collection::vec(any_space(), 1..3), 1..3);
    let key = prop_oneof![
        1 => Just(Order::Id),
        1 => Just(Order::LastUpdated),
        3 => levels.prop_map(Order::Values),
    ];
    proptest::collection::vec((key, any::<bool>()), 0..3)
}

fn wanted() -> impl Strategy<Value = Search> {
    let types = prop_oneof![
        2 => type_name().prop_map(|name| vec![kind(name)]),
        1 => Just(TYPES.map(kind).to_vec()),
    ];
    let criterion = prop_oneof![3 => criterion(), 1 => Just(Criterion::All(Vec::new()))];
    (types, criterion, order(), 1_u32..5).prop_map(|(types, criterion, order, count)| Search {
        types,
        criterion,
        order,
        count,
        after: None,
        count_to: 1000,
    })
}

/// What there is, and who asks.
struct World<'w> {
    all: &'w [(i64, Made)],
    sees_all: bool,
}

impl World<'_> {
    fn visible(&self) -> impl Iterator<Item = &(i64, Made)> {
        self.all.iter().filter(|(_, made)| !made.is_deleted && (made.is_mine || self.sees_all))
    }

    fn holds(&self, made: &Made, criterion: &Criterion) -> bool {
        match criterion {
            Criterion::All(parts) => parts.iter().all(|part| self.holds(made, part)),
            Criterion::Any(parts) => parts.iter().any(|part| self.holds(made, part)),
            Criterion::Not(inner) => !self.holds(made, inner),
            Criterion::Type(wanted) => kind(made.resource_type) == *wanted,
            Criterion::Id(ids) => ids.contains(&made.id),
            Criterion::LastUpdated(from, until) => {
                let time = at(made.millis);
                from.is_none_or(|from| time >= from) && until.is_none_or(|until| time < until)
            }
            Criterion::Has(space, tests) => made.entries.iter().any(|entry| {
                entry.space == *space && (tests.is_empty() || tests.iter().any(|test| passes(test, entry)))
            }),
            Criterion::Leads(space, targets) => {
                made.entries.iter().filter(|e| e.space == *space).any(|entry| {
                    targets.iter().any(|(name, _, criterion)| {
                        self.visible().any(|(_, target)| {
                            target.resource_type == *name
                                && entry.value == name_of(target)
                                && self.holds(target, criterion)
                        })
                    })
                })
            }
            Criterion::Referred { from, source, criterion } => self.visible().any(|(_, other)| {
                kind(other.resource_type) == *source
                    && other.entries.iter().any(|e| e.space == *from && e.value == name_of(made))
                    && self.holds(other, criterion)
            }),
            Criterion::Never => false,
        }
    }

    /// The keys of what is found, in order.
    fn found(&self, search: &Search) -> Vec<i64> {
        let mut found: Vec<&(i64, Made)> = self
            .visible()
            .filter(|(_, made)| search.types.contains(&kind(made.resource_type)))
            .filter(|(_, made)| self.holds(made, &search.criterion))
            .collect();
        found.sort_by(|(left_key, left), (right_key, right)| {
            let by_keys = search.order.iter().map(|(order, descends)| {
                match (value(order, *descends, left), value(order, *descends, right)) {
                    (Some(left), Some(right)) if *descends => right.cmp(&left),
                    (Some(left), Some(right)) => left.cmp(&right),
                    // None comes last.
                    (left, right) => right.is_some().cmp(&left.is_some()),
                }
            });
            by_keys
                .reduce(std::cmp::Ordering::then)
                .unwrap_or(std::cmp::Ordering::Equal)
                .then(left_key.cmp(right_key))
        });
        found.into_iter().map(|(key, _)| *key).collect()
    }
}

fn name_of(made: &Made) -> Vec<u8> {
    format!("{}/{}", made.resource_type, made.id).into_bytes()
}

fn value(order: &Order, descends: bool, made: &Made) -> Option<Vec<u8>> {
    match order {
        Order::Id => Some(made.id.clone().into_bytes()),
        Order::LastUpdated => Some(made.millis.to_be_bytes().to_vec()),
        Order::Values(levels) => levels.iter().find_map(|spaces| {
            let values =
                made.entries.iter().filter(|entry| spaces.contains(&entry.space)).map(|e| e.value.clone());
            if descends { values.max() } else { values.min() }
        }),
    }
}

fn passes(test: &EntryTest, entry: &Entry) -> bool {
    let extra = entry.extra.as_deref().filter(|extra| !extra.is_empty());
    bytes_pass(&test.value, &entry.value)
        && (test.extra == Bytes::Any || extra.is_some_and(|extra| bytes_pass(&test.extra, extra)))
}

fn bytes_pass(test: &Bytes, bytes: &[u8]) -> bool {
    match test {
        Bytes::Any => true,
        Bytes::Equal(wanted) => bytes == wanted,
        Bytes::Range(from, until) => {
            from.as_deref().is_none_or(|from| bytes >= from)
                && until.as_deref().is_none_or(|until| bytes < until)
        }
        Bytes::Contains(part) => part.is_empty() || bytes.windows(part.len()).any(|window| window == part),
    }
}

/// Every way in which a search can be answered.
fn plans(search: &Search, chosen: Plan) -> Vec<Plan> {
    let branches = |source: &dyn Fn(&Branch) -> Source| -> Vec<(Branch, Source)> {
        Branch::all_of(search).into_iter().map(|branch| (branch.clone(), source(&branch))).collect()
    };
    let kinds = branches(&|_| Source::Kind);
    let values = branches(&|branch| {
        let value = branch.candidates().into_iter().find(|n| branch.has_one_value(*n));
        value.map_or(Source::Kind, Source::Value)
    });
    let last_sets = branches(&|branch| branch.candidates().pop().map_or(Source::Kind, Source::Set));
    let mut plans = vec![
        chosen,
        Plan { branches: kinds.clone(), way: Way::Gathered },
        Plan { branches: last_sets, way: Way::Gathered },
    ];
    if search.order.is_empty() {
        plans.extend([kinds.clone(), values].map(|branches| Plan { branches, way: Way::Walked }));
    } else if kinds.len() == 1 && query::is_sortable(&search.order) {
        plans.push(Plan { branches: kinds, way: Way::Sorted });
    }
    plans.retain(|plan| !plan.branches.is_empty());
    plans
}

async fn check(db: &Db, world: &World<'_>, access: &Access, search: &Search) {
    let expected = world.found(search);
    let mut reader = db.reader().await.expect("a reader");
    let chosen = store::plan(&mut reader.tx(), access, search).await.expect("a plan");
    if chosen.branches.is_empty() {
        assert_eq!(expected, [] as [i64; 0], "{search:#?}");
    }
    for plan in plans(search, chosen).into_iter().map(Some).chain([None]) {
        let mut wanted = search.clone();
        let mut found = Vec::new();
        loop {
            let page = match &plan {
                Some(plan) => store::search_by(&mut reader.tx(), access, &wanted, plan).await,
                None => store::search(&mut reader.tx(), access, &wanted).await,
            };
            let page = page.unwrap_or_else(|error| panic!("{error:?}: {search:#?} {plan:#?}"));
            if wanted.after.is_none() {
                assert_eq!(page.total, Some(expected.len() as u64), "{search:#?} {plan:#?}");
            }
            assert!(page.resources.len() <= search.count as usize);
            found.extend(page.resources.into_iter().map(|resource| resource.key));
            let Some(next) = page.next else { break };
            wanted.after = Some(next);
            assert!(found.len() <= expected.len(), "{found:?} for {expected:?}: {search:#?} {plan:#?}");
        }
        assert_eq!(found, expected, "{search:#?} {plan:#?} over {:#?}", world.all);
    }
}

/// Puts the resources in place, each deleted one after it was there.
async fn fill(db: &Db, all: Vec<Made>) -> Vec<(i64, Made)> {
    let mut filled = Vec::new();
    for made in all {
        let owner = if made.is_mine { access() } else { everything() };
        let draft = draft(made.resource_type, &made.id, 1, made.entries.clone());
        let kept = keep(db, &owner, vec![draft], made.millis).await;
        if made.is_deleted {
            delete(db, &owner, made.resource_type, &made.id, Precondition::None, made.millis + 1).await;
        }
        filled.push((kept[0].key, made));
    }
    filled
}

#[tokio::test]
async fn a_search_finds_what_an_evaluation_in_memory_finds() {
    const WORLDS: usize = 6;
    const SEARCHES: usize = 60;
    for _ in 0..WORLDS {
        let mut runner = TestRunner::default();
        let mut next = || made().new_tree(&mut runner).expect("resources").current();
        let all = next();
        let mut runner = TestRunner::default();
        let searches: Vec<Search> =
            (0..SEARCHES).map(|_| wanted().new_tree(&mut runner).expect("a search").current()).collect();
        for_each_database(|db| {
            let (all, searches) = (all.clone(), &searches);
            async move {
                let all = fill(&db, all).await;
                for (n, search) in searches.iter().enumerate() {
                    let sees_all = n % 4 == 0;
                    let access = if sees_all { everything() } else { access() };
                    check(&db, &World { all: &all, sees_all }, &access, search).await;
                }
            }
        })
        .await;
    }
}
