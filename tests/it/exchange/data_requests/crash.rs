//! A gateway that is killed while it answers has answered each Task once when it is back.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{create, found, member, output, query, read, steps, wait_for};
use crate::support::gateway::Gateway;
use crate::support::postgres;
use crate::support::wait;

const TASKS: usize = 40;

fn killed_while_it_answers(settings: &[(&str, &str)]) {
    let mut gateway = Gateway::with(settings);
    member(&gateway, "m");
    let mut ids = Vec::new();
    for round in 0..4_u64 {
        for _ in 0..TASKS / 4 {
            ids.push(create(&gateway, &query("m", "Condition?clinical-status=active")));
        }
        wait::pause(Duration::from_millis(3 * round));
        gateway.kill();
        gateway.launch();
    }
    let mut bundles = BTreeSet::new();
    for id in &ids {
        let answered = wait_for(&gateway, id, "completed");
        assert_eq!(steps(&gateway, id), ["requested", "accepted", "in-progress", "completed"]);
        bundles.insert(output(&answered));
    }
    assert_eq!(bundles.len(), TASKS);
    let all = read(&gateway, "Bundle?_count=200");
    assert_eq!(found(&all, "match").len(), TASKS, "no answer was given twice");
}

#[test]
fn each_task_is_answered_once_whenever_the_gateway_is_killed() {
    killed_while_it_answers(&[]);
    if let Some(url) = postgres::fresh_database() {
        // A lease of a gateway that was killed ends after minutes there: only that nothing is answered twice is seen.
        let gateway = Gateway::with(&[("CDEX_DATABASE__URL", &url)]);
        member(&gateway, "m");
        let id = create(&gateway, &query("m", "Condition"));
        wait_for(&gateway, &id, "completed");
        assert_eq!(found(&read(&gateway, "Bundle?_count=200"), "match").len(), 1);
    }
}
