//! Statements of this folder; what submissions become is seen from outside, in `tests/it/exchange`.

use super::store::STATEMENTS;
use crate::db::testing::{assert_prepares, for_each_database};

#[tokio::test]
async fn statements_fit_the_schema() {
    for_each_database(|db| async move { assert_prepares(&db, STATEMENTS).await }).await;
}
