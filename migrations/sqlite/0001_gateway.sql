-- What the gateway keeps. `tenant` and `owner` stand on every row; times are nanoseconds since 1970 in
-- UTC; received JSON is a BLOB as it came; the bytes of uploads are never here. The PostgreSQL folder has
-- the same tables and columns under the same number.

CREATE TABLE upload (
    id                TEXT    NOT NULL PRIMARY KEY,
    tenant            TEXT    NOT NULL,
    owner             TEXT    NOT NULL,
    door              TEXT    NOT NULL,
    state             TEXT    NOT NULL,
    upload_length     INTEGER,
    upload_offset     INTEGER NOT NULL,
    manifest          BLOB    NOT NULL,
    data_stream_id    TEXT    NOT NULL,
    data_stream_route TEXT    NOT NULL,
    media_type        TEXT,
    storage_key       TEXT    NOT NULL,
    sha256            BLOB,
    upload_concat     TEXT,
    lock_epoch        INTEGER NOT NULL,
    created_at        INTEGER NOT NULL,
    changed_at        INTEGER NOT NULL,
    completed_at      INTEGER,
    expires_at        INTEGER
) STRICT;
CREATE INDEX upload_by_state ON upload (state, changed_at);

-- What each append added: a delivery checks these while it copies.
CREATE TABLE segment (
    upload_id  TEXT    NOT NULL REFERENCES upload (id) ON DELETE CASCADE,
    first_byte INTEGER NOT NULL,
    tenant     TEXT    NOT NULL,
    owner      TEXT    NOT NULL,
    length     INTEGER NOT NULL,
    sha256     BLOB    NOT NULL,
    PRIMARY KEY (upload_id, first_byte)
) STRICT, WITHOUT ROWID;

-- One upload on its way to one path at one target. `due_at` says when a worker may take it; while one has it,
-- that is the end of its lease.
CREATE TABLE delivery (
    id           TEXT    NOT NULL PRIMARY KEY,
    tenant       TEXT    NOT NULL,
    owner        TEXT    NOT NULL,
    upload_id    TEXT    NOT NULL REFERENCES upload (id) ON DELETE CASCADE,
    target       TEXT    NOT NULL,
    path         TEXT    NOT NULL,
    status       TEXT    NOT NULL,
    cause        TEXT    NOT NULL,
    due_at       INTEGER NOT NULL,
    attempts     INTEGER NOT NULL,
    lease_epoch  INTEGER NOT NULL,
    lease_owner  TEXT,
    ordering_key TEXT,
    trace        TEXT,
    location     TEXT,
    created_at   INTEGER NOT NULL,
    settled_at   INTEGER,
    UNIQUE (upload_id, target, path)
) STRICT;
CREATE INDEX delivery_by_due ON delivery (target, due_at, id) WHERE settled_at IS NULL;
CREATE INDEX delivery_by_status ON delivery (tenant, status);

-- One try of a delivery, as it ended.
CREATE TABLE attempt (
    id          TEXT    NOT NULL PRIMARY KEY,
    tenant      TEXT    NOT NULL,
    owner       TEXT    NOT NULL,
    delivery_id TEXT    NOT NULL REFERENCES delivery (id) ON DELETE CASCADE,
    upload_id   TEXT    NOT NULL,
    target      TEXT    NOT NULL,
    number      INTEGER NOT NULL,
    cause       TEXT    NOT NULL,
    status      TEXT    NOT NULL,
    location    TEXT,
    issue       TEXT,
    size_bytes  INTEGER,
    started_at  INTEGER NOT NULL,
    ended_at    INTEGER NOT NULL,
    UNIQUE (delivery_id, number)
) STRICT;
CREATE INDEX attempt_by_upload ON attempt (upload_id, ended_at);

-- Processing status reports in the order in which they became true. No foreign key: a refused creation
-- leaves its two reports and nothing else.
CREATE TABLE report (
    sequence     INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    tenant       TEXT    NOT NULL,
    owner        TEXT    NOT NULL,
    upload_id    TEXT    NOT NULL,
    stage        TEXT    NOT NULL,
    body         BLOB    NOT NULL,
    created_at   INTEGER NOT NULL,
    published_at INTEGER
) STRICT;
CREATE INDEX report_by_upload ON report (upload_id, stage);

-- An accepted $submit-attachment. Absent identifier systems are '', so that equal keys collide.
CREATE TABLE submission (
    id                  TEXT    NOT NULL PRIMARY KEY,
    tenant              TEXT    NOT NULL,
    owner               TEXT    NOT NULL,
    attach_to           TEXT    NOT NULL,
    tracking_system     TEXT    NOT NULL,
    tracking_value      TEXT    NOT NULL,
    admin_ref_system    TEXT,
    admin_ref_value     TEXT,
    payer_system        TEXT,
    payer_value         TEXT,
    organization_system TEXT,
    organization_value  TEXT,
    provider_system     TEXT,
    provider_value      TEXT,
    member_system       TEXT,
    member_value        TEXT,
    service_date        TEXT,
    is_last_submission  INTEGER NOT NULL,
    amends              TEXT,
    body_sha256         BLOB    NOT NULL,
    body_length         INTEGER NOT NULL,
    skeleton            BLOB    NOT NULL,
    upload_ids          TEXT    NOT NULL,
    answer              BLOB    NOT NULL,
    received_at         INTEGER NOT NULL,
    UNIQUE (tenant, owner, attach_to, tracking_value, tracking_system, body_sha256)
) STRICT;

-- Answers kept for clients that send an Idempotency-Key.
CREATE TABLE idempotency (
    tenant      TEXT    NOT NULL,
    owner       TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    body_sha256 BLOB    NOT NULL,
    answer      BLOB    NOT NULL,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    PRIMARY KEY (tenant, owner, key)
) STRICT;
CREATE INDEX idempotency_by_expiry ON idempotency (expires_at);

-- Who did what to what, and whether it was allowed. Never content.
CREATE TABLE audit (
    id         TEXT    NOT NULL PRIMARY KEY,
    tenant     TEXT    NOT NULL,
    owner      TEXT    NOT NULL,
    at         INTEGER NOT NULL,
    action     TEXT    NOT NULL,
    outcome    TEXT    NOT NULL,
    entity     TEXT,
    detail     TEXT,
    request_id TEXT
) STRICT;
CREATE INDEX audit_by_time ON audit (tenant, at);

-- The upload store whose bytes these rows name: the same text lies in the store. One row.
CREATE TABLE upload_store (
    tenant TEXT NOT NULL,
    owner  TEXT NOT NULL,
    id     TEXT NOT NULL PRIMARY KEY
) STRICT;
