//! The statements of this store. Those that look at leases exist twice: once for the clock of the process, once for
//! that of PostgreSQL.

#[cfg(test)]
use crate::db::Dialect;

/// The columns of a `DeliveryRow`, but for `progress`, which is for workers alone.
macro_rules! columns {
    () => {
        "id, tenant, owner, upload_id, target, path, status, cause, due_at, attempts, lease_epoch, trace, \
         location, header, followed_by, ordering_key IS NOT NULL AS is_ordered"
    };
}
/// Nanoseconds since 1970 by the clock of PostgreSQL.
macro_rules! postgres_now {
    () => {
        "(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000000)::bigint"
    };
}

pub(super) const ENQUEUE: &str = "INSERT INTO delivery \
     (id, tenant, owner, upload_id, target, path, status, cause, due_at, attempts, lease_epoch, trace, created_at, \
     ordering_key, header, followed_by) ";
pub(super) const ON_CONFLICT_KEEP: &str = " ON CONFLICT (upload_id, target, path) DO NOTHING";
pub(super) const REPEAT: &str = "INSERT INTO delivery \
     (id, tenant, owner, upload_id, target, path, status, cause, due_at, attempts, lease_epoch, trace, created_at) \
     VALUES ($1, $2, $3, $4, $5, $6, 'pending', $7, $8, 0, 0, $9, $8) \
     ON CONFLICT (upload_id, target, path) DO UPDATE SET status = 'pending', cause = excluded.cause, \
     due_at = excluded.due_at, attempts = 0, trace = excluded.trace, settled_at = NULL \
     WHERE delivery.status NOT IN ('pending', 'leased', 'waiting') AND delivery.tenant = excluded.tenant \
     RETURNING id";
/// The targets that something is due at `$now`: one step through the index for each target, however much waits.
macro_rules! targets_due {
    ($($due:tt)+) => {
        concat!(
            "WITH RECURSIVE waiting (target) AS (SELECT MIN(target) FROM delivery WHERE settled_at IS NULL \
             UNION ALL SELECT (SELECT MIN(target) FROM delivery WHERE settled_at IS NULL AND target > waiting.target) \
             FROM waiting WHERE waiting.target IS NOT NULL) \
             SELECT target FROM waiting WHERE target IS NOT NULL AND EXISTS (SELECT 1 FROM delivery \
             WHERE settled_at IS NULL AND delivery.target = waiting.target AND ",
            $($due)+,
            ")"
        )
    };
}
pub(super) const TARGETS_DUE_SQLITE: &str = targets_due!("due_at <= $1");
/// What is due on PostgreSQL: a lease by the clock of the database, on which all gateways agree, the rest by ours.
/// The first condition lets the index be used.
macro_rules! postgres_due {
    ($now:literal) => {
        concat!(
            "due_at <= GREATEST(",
            $now,
            ", ",
            postgres_now!(),
            ") AND ((status = 'leased' AND due_at <= ",
            postgres_now!(),
            ") OR (status <> 'leased' AND due_at <= ",
            $now,
            "))"
        )
    };
}
/// Nothing that must go before it is left: under way, or dead with nobody having drawn the consequences yet.
macro_rules! in_order {
    () => {
        "(ordering_key IS NULL OR NOT EXISTS (SELECT 1 FROM delivery earlier \
         WHERE earlier.ordering_key = delivery.ordering_key AND earlier.tenant = delivery.tenant \
         AND earlier.settled_at IS NULL \
         AND (earlier.created_at, earlier.id) < (delivery.created_at, delivery.id)))"
    };
}
pub(super) const TARGETS_DUE_POSTGRES: &str = targets_due!(postgres_due!("$1"));
pub(super) const CLAIM_SQLITE: &str = concat!(
    "UPDATE delivery SET status = 'leased', lease_owner = $1, due_at = $3 + $5, lease_epoch = lease_epoch + 1 \
     WHERE id IN (SELECT id FROM delivery WHERE settled_at IS NULL AND target = $2 AND due_at <= $3 \
     AND ",
    in_order!(),
    " ORDER BY due_at, id LIMIT $4) RETURNING progress, ",
    columns!()
);
// Materialized: a planner that ran the sub-select once per row would take more than the limit.
pub(super) const CLAIM_POSTGRES: &str = concat!(
    "WITH due AS MATERIALIZED (SELECT id FROM delivery WHERE settled_at IS NULL AND target = $2 \
     AND ",
    postgres_due!("$3"),
    " AND ",
    in_order!(),
    " ORDER BY due_at, id LIMIT $4 FOR UPDATE SKIP LOCKED) \
     UPDATE delivery SET status = 'leased', lease_owner = $1, due_at = ",
    postgres_now!(),
    " + $5, lease_epoch = lease_epoch + 1 WHERE id IN (SELECT id FROM due) RETURNING progress, ",
    columns!()
);
/// What is due and must wait for others of its order.
macro_rules! blocked {
    () => {
        concat!(
            "SELECT id FROM delivery WHERE settled_at IS NULL AND target = $1 AND due_at <= $2 \
             AND status = 'pending' AND NOT ",
            in_order!()
        )
    };
}
pub(super) const PUT_OFF_SQLITE: &str =
    concat!("UPDATE delivery SET due_at = $2 + $3 WHERE id IN (", blocked!(), ")");
pub(super) const PUT_OFF_POSTGRES: &str = concat!(
    "WITH blocked AS MATERIALIZED (",
    blocked!(),
    " FOR UPDATE SKIP LOCKED) UPDATE delivery SET due_at = $2 + $3 WHERE id IN (SELECT id FROM blocked)"
);
pub(super) const CALL_UP: &str = "UPDATE delivery SET due_at = $2 WHERE status = 'pending' AND due_at > $2 \
     AND id = (SELECT next.id FROM delivery ended JOIN delivery next \
     ON next.ordering_key = ended.ordering_key AND next.tenant = ended.tenant \
     WHERE ended.id = $1 AND next.settled_at IS NULL AND next.ordering_key IS NOT NULL \
     ORDER BY next.created_at, next.id LIMIT 1)";
pub(super) const RENEW_SQLITE: &str = "UPDATE delivery SET due_at = $3 + $4 \
     WHERE id = $1 AND lease_epoch = $2 AND status = 'leased'";
pub(super) const RENEW_POSTGRES: &str = concat!(
    "UPDATE delivery SET due_at = ",
    postgres_now!(),
    " + $3 WHERE id = $1 AND lease_epoch = $2 AND status = 'leased'"
);
/// A dead delivery that goes before others and that somebody follows.
macro_rules! blocks {
    () => {
        "$3 = 'dead' AND ordering_key IS NOT NULL AND followed_by IS NOT NULL"
    };
}
// One that blocks is due never, and settled once its outcome was followed: until then it keeps its place in the order.
// One that was called off too late is delivered, unless somebody follows it, who was told otherwise.
pub(super) const SETTLE: &str = concat!(
    "UPDATE delivery SET status = $3, due_at = CASE WHEN ",
    blocks!(),
    " THEN 9223372036854775807 ELSE $4 END, location = COALESCE($5, location), settled_at = CASE WHEN ",
    blocks!(),
    " THEN NULL ELSE COALESCE($6, settled_at) END, attempts = attempts + 1, lease_owner = NULL, \
     progress = CASE WHEN $3 <> 'delivered' THEN progress END \
     WHERE id = $1 AND lease_epoch = $2 AND (status = 'leased' \
     OR (status = 'cancelled' AND $3 = 'delivered' AND followed_by IS NULL))"
);
pub(super) const FOLLOWED: &str = "UPDATE delivery SET settled_at = $3, due_at = $3 \
     WHERE id = $1 AND tenant = $2 AND status = 'dead' AND settled_at IS NULL";
pub(super) const KEEP_PROGRESS: &str =
    "UPDATE delivery SET progress = $3 WHERE id = $1 AND lease_epoch = $2 AND status = 'leased'";
pub(super) const LEFTOVERS: &str = "SELECT id, lease_epoch, progress FROM delivery WHERE target = $1 AND id > $2 \
     AND status IN ('dead', 'cancelled') AND length(progress) > 0 AND settled_at + $4 <= $3 ORDER BY id LIMIT $5";
// What was asked for again meanwhile is gone on with.
pub(super) const FORGET_LEFTOVERS: &str = "UPDATE delivery SET progress = NULL WHERE id = $1 AND lease_epoch = $2 \
     AND status IN ('dead', 'cancelled')";
pub(super) const INSERT_ATTEMPT: &str = "INSERT INTO attempt (id, tenant, owner, delivery_id, upload_id, target, number, \
     cause, status, location, issue, size_bytes, started_at, ended_at) ";
pub(super) const NEXT_NUMBER: &str = "(SELECT COALESCE(MAX(number), 0) + 1 FROM attempt WHERE delivery_id = ";
pub(super) const PARK: &str = "UPDATE delivery SET status = CASE WHEN attempts = 0 THEN 'pending' ELSE 'waiting' END, \
     due_at = $3, lease_owner = NULL \
     WHERE id = $1 AND lease_epoch = $2 AND status = 'leased'";
pub(super) const FREE_ALL_LEASES: &str = "UPDATE delivery SET status = CASE WHEN attempts = 0 THEN 'pending' \
     ELSE 'waiting' END, due_at = $1, lease_epoch = lease_epoch + 1, lease_owner = NULL \
     WHERE status = 'leased'";
pub(super) const CANCEL: &str = "UPDATE delivery SET status = 'cancelled', settled_at = $3, lease_owner = NULL \
     WHERE upload_id = $1 AND tenant = $2 AND owner = COALESCE($4, owner) \
     AND status IN ('pending', 'leased', 'waiting', 'held')";
// What begins with `$1/`: `0` is what comes after the slash.
pub(super) const CANCEL_ORDERED: &str = "UPDATE delivery SET status = 'cancelled', settled_at = $3, \
     lease_owner = NULL \
     WHERE settled_at IS NULL AND ordering_key >= $1 || '/' AND ordering_key < $1 || '0' AND tenant = $2 \
     AND ordering_key <> $5 AND (status IN ('pending', 'waiting') OR (status = 'leased' AND $4)) \
     RETURNING followed_by";
pub(super) const IS_ORDERED_UNDER_WAY: &str = "SELECT COUNT(*) FROM (SELECT 1 AS one FROM delivery \
     WHERE settled_at IS NULL AND ordering_key >= $1 || '/' AND ordering_key < $1 || '0' AND tenant = $2 \
     AND ordering_key <> $3 LIMIT 1) AS under_way";
// `settled_at` takes it out of what workers look at.
pub(super) const HOLD: &str = "UPDATE delivery SET status = 'held', settled_at = $3 \
     WHERE upload_id = $1 AND tenant = $2 AND status = 'pending'";
pub(super) const RELEASE: &str = "UPDATE delivery SET status = 'pending', due_at = $3, settled_at = NULL \
     WHERE upload_id = $1 AND tenant = $2 AND status = 'held'";
pub(super) const LIST: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM delivery WHERE upload_id = $1 AND tenant = $2 AND owner = COALESCE($3, owner) ORDER BY created_at, id"
);
// `search` appends the conditions. The names that both tables have are in the first.
pub(super) const FOUND: &str = "SELECT delivery.id, delivery.tenant, delivery.owner, upload_id, target, path, status, cause, due_at, attempts, \
     lease_epoch, trace, location, header, followed_by, ordering_key IS NOT NULL AS is_ordered, data_stream_id, data_stream_route, manifest, \
     state AS upload_state, delivery.created_at, settled_at, \
     (SELECT issue FROM attempt WHERE attempt.delivery_id = delivery.id AND attempt.status = 'FAILURE' \
     AND number = (SELECT MAX(number) FROM attempt WHERE attempt.delivery_id = delivery.id)) AS last_issue \
     FROM delivery JOIN upload ON upload.id = upload_id WHERE ";
pub(super) const REQUEUE: &str = "UPDATE delivery SET status = 'pending', cause = 'manual', due_at = $4, attempts = 0, \
     settled_at = NULL \
     WHERE id = $1 AND tenant = $2 AND owner = COALESCE($3, owner) AND status NOT IN ('pending', 'leased', 'waiting') \
     AND EXISTS (SELECT 1 FROM upload WHERE upload.id = upload_id AND state = 'complete')";
pub(super) const FIND: &str = concat!(
    "SELECT progress, ",
    columns!(),
    " FROM delivery WHERE id = $1 AND tenant = $2 AND owner = COALESCE($3, owner)"
);
pub(super) const ATTEMPTS: &str = "SELECT id, delivery_id, target, number, cause, status, location, issue, size_bytes, \
     started_at, ended_at FROM attempt \
     WHERE upload_id = $1 AND tenant = $2 AND owner = COALESCE($3, owner) ORDER BY ended_at, number, id";
pub(super) const COUNTS: &str = "SELECT status, COUNT(*) FROM delivery WHERE tenant = $1 AND owner = COALESCE($2, owner) \
     GROUP BY status";
pub(super) const UPLOAD: &str = "SELECT id, tenant, owner, manifest, media_type, data_stream_id, data_stream_route, \
     (SELECT COUNT(*) FROM attempt WHERE attempt.delivery_id = $3 AND attempt.status = 'SUCCESS') AS delivered_before \
     FROM upload WHERE id = $1 AND tenant = $2";

/// Every fixed statement of this store, and the database it is for if there is only one.
#[cfg(test)]
pub(in crate::delivery) const STATEMENTS: &[(&str, Option<Dialect>)] = &[
    (REPEAT, None),
    (TARGETS_DUE_SQLITE, Some(Dialect::Sqlite)),
    (TARGETS_DUE_POSTGRES, Some(Dialect::Postgres)),
    (CLAIM_SQLITE, Some(Dialect::Sqlite)),
    (CLAIM_POSTGRES, Some(Dialect::Postgres)),
    (PUT_OFF_SQLITE, Some(Dialect::Sqlite)),
    (PUT_OFF_POSTGRES, Some(Dialect::Postgres)),
    (CALL_UP, None),
    (RENEW_SQLITE, Some(Dialect::Sqlite)),
    (RENEW_POSTGRES, Some(Dialect::Postgres)),
    (SETTLE, None),
    (KEEP_PROGRESS, None),
    (LEFTOVERS, None),
    (FORGET_LEFTOVERS, None),
    (FOLLOWED, None),
    (PARK, None),
    (FREE_ALL_LEASES, None),
    (CANCEL, None),
    (CANCEL_ORDERED, None),
    (IS_ORDERED_UNDER_WAY, None),
    (HOLD, None),
    (RELEASE, None),
    (REQUEUE, None),
    (LIST, None),
    (FIND, None),
    (ATTEMPTS, None),
    (COUNTS, None),
    (UPLOAD, None),
];
