//! Two gateways, either of which dies without a word at any moment: the payer gets each submission once, and each Task
//! is completed once.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::support::gateway::PATIENT;
use crate::support::random::Random;
use crate::support::rows;

/// How many Tasks are under way while a gateway is killed.
const TASKS: usize = 12;
/// How often it is killed.
const KILLS: usize = 6;

/// A gateway as payer, and one as provider with a document for each member.
fn pair() -> (Gateway, Gateway) {
    let payer = Gateway::start();
    let provider = provider_with(&payer.url(), &[PATIENT]);
    for number in 0..TASKS {
        let patient = create(&provider, &member(&format!("M{number}")));
        create(&provider, &document(&patient, PROGRESS_NOTE, format!("note {number}").as_bytes()));
    }
    (payer, provider)
}

/// Asks for every member's note, and gives the ids of the Tasks. A gateway that dies on the way is asked again.
fn ask_for_all(provider: &Gateway, payer: &Gateway) -> Vec<String> {
    (0..TASKS)
        .map(|number| {
            let task = request(&payer.url(), &format!("M{number}"), &format!("T{number}"), &[PROGRESS_NOTE]);
            create(provider, &task)
        })
        .collect()
}

fn all_are_completed_once(payer: &Gateway, provider: &Gateway, tasks: &[String]) {
    for task in tasks {
        task_in(provider, task, "completed");
        let completed = statuses(provider, task);
        assert_eq!(completed.iter().filter(|status| *status == "completed").count(), 1, "{completed:?}");
        assert_eq!(read(provider, &format!("Task/{task}"))["output"].as_array().map(Vec::len), Some(1));
    }
    let tracked = rows::texts(payer, "SELECT tracking_value FROM submission");
    let mut counts = BTreeMap::new();
    for value in &tracked {
        *counts.entry(value.clone()).or_insert(0) += 1;
    }
    assert_eq!(counts.len(), TASKS, "{counts:?}");
    assert!(counts.values().all(|count| *count == 1), "{counts:?}");
    assert_eq!(rows::count(provider, "attachment_answer"), i64::try_from(TASKS).expect("few"));
}

#[test]
fn a_provider_that_is_killed_again_and_again_answers_each_task_once() {
    let (payer, mut provider) = pair();
    let tasks = ask_for_all(&provider, &payer);
    let mut random = Random::new(Random::seed());
    for _ in 0..KILLS {
        crate::support::wait::pause(Duration::from_millis(random.below(120)));
        provider.kill();
        provider.launch();
    }
    all_are_completed_once(&payer, &provider, &tasks);
}

#[test]
fn a_payer_that_is_killed_again_and_again_gets_each_submission_once() {
    let (mut payer, provider) = pair();
    let tasks = ask_for_all(&provider, &payer);
    let mut random = Random::new(Random::seed());
    for _ in 0..KILLS {
        crate::support::wait::pause(Duration::from_millis(random.below(120)));
        payer.kill();
        payer.launch();
    }
    all_are_completed_once(&payer, &provider, &tasks);
}
