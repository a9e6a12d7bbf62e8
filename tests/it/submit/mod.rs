//! `$submit-attachment` from outside: what is accepted and delivered, what is refused and leaves nothing.

use crate::support::gateway::Gateway;
use crate::support::{rows, wait};

mod accepted;
mod by_url;
mod hostile_json;
mod large;
mod limits;
mod refused;
mod repeated;

/// Fails unless nothing of a refused request is left. Its bytes may be removed just after the answer.
#[track_caller]
fn assert_nothing_left(gateway: &Gateway) {
    assert_nothing_more(gateway, 0);
}

/// The same where so many uploads were accepted before.
#[track_caller]
fn assert_nothing_more(gateway: &Gateway, uploads: usize) {
    wait::until("the upload store to be swept", || (gateway.stored().len() <= uploads).then_some(()));
    let count = i64::try_from(uploads).expect("a small number");
    assert_eq!(rows::count(gateway, "upload"), count);
    assert_eq!(rows::count(gateway, "delivery"), count);
    assert!(gateway.delivered().len() <= uploads);
}
