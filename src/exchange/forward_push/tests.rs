//! The statements, on both databases; what is forwarded is tried from outside.

use super::store;
use crate::db::testing::{assert_prepares, for_each_database};

#[tokio::test]
async fn every_statement_prepares_on_both_databases() {
    for_each_database(|db| async move { assert_prepares(&db, store::STATEMENTS).await }).await;
}
