-- What the gateway keeps. `tenant` and `owner` stand on every row; times are nanoseconds since 1970 in
-- UTC; received JSON is BYTEA as it came; the bytes of uploads are never here. The SQLite folder has
-- the same tables and columns under the same number.

CREATE TABLE upload (
    id                TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant            TEXT COLLATE "C" NOT NULL,
    owner             TEXT COLLATE "C" NOT NULL,
    door              TEXT COLLATE "C" NOT NULL,
    state             TEXT COLLATE "C" NOT NULL,
    upload_length     BIGINT,
    upload_offset     BIGINT NOT NULL,
    manifest          BYTEA NOT NULL,
    data_stream_id    TEXT COLLATE "C" NOT NULL,
    data_stream_route TEXT COLLATE "C" NOT NULL,
    media_type        TEXT COLLATE "C",
    storage_key       TEXT COLLATE "C" NOT NULL,
    sha256            BYTEA,
    upload_concat     TEXT COLLATE "C",
    lock_epoch        BIGINT NOT NULL,
    created_at        BIGINT NOT NULL,
    changed_at        BIGINT NOT NULL,
    completed_at      BIGINT,
    expires_at        BIGINT
);
CREATE INDEX upload_by_state ON upload (state, changed_at);

-- What each append added: a delivery checks these while it copies.
CREATE TABLE segment (
    upload_id  TEXT COLLATE "C" NOT NULL REFERENCES upload (id) ON DELETE CASCADE,
    first_byte BIGINT NOT NULL,
    tenant     TEXT COLLATE "C" NOT NULL,
    owner      TEXT COLLATE "C" NOT NULL,
    length     BIGINT NOT NULL,
    sha256     BYTEA NOT NULL,
    PRIMARY KEY (upload_id, first_byte)
);

-- One upload on its way to one path at one target. `due_at` says when a worker may take it; while one has it,
-- that is the end of its lease.
CREATE TABLE delivery (
    id           TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant       TEXT COLLATE "C" NOT NULL,
    owner        TEXT COLLATE "C" NOT NULL,
    upload_id    TEXT COLLATE "C" NOT NULL REFERENCES upload (id) ON DELETE CASCADE,
    target       TEXT COLLATE "C" NOT NULL,
    path         TEXT COLLATE "C" NOT NULL,
    status       TEXT COLLATE "C" NOT NULL,
    cause        TEXT COLLATE "C" NOT NULL,
    due_at       BIGINT NOT NULL,
    attempts     BIGINT NOT NULL,
    lease_epoch  BIGINT NOT NULL,
    lease_owner  TEXT COLLATE "C",
    ordering_key TEXT COLLATE "C",
    trace        TEXT COLLATE "C",
    location     TEXT COLLATE "C",
    created_at   BIGINT NOT NULL,
    settled_at   BIGINT,
    UNIQUE (upload_id, target, path)
);
CREATE INDEX delivery_by_due ON delivery (target, due_at, id) WHERE settled_at IS NULL;
CREATE INDEX delivery_by_status ON delivery (tenant, status);

-- One try of a delivery, as it ended.
CREATE TABLE attempt (
    id          TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant      TEXT COLLATE "C" NOT NULL,
    owner       TEXT COLLATE "C" NOT NULL,
    delivery_id TEXT COLLATE "C" NOT NULL REFERENCES delivery (id) ON DELETE CASCADE,
    upload_id   TEXT COLLATE "C" NOT NULL,
    target      TEXT COLLATE "C" NOT NULL,
    number      BIGINT NOT NULL,
    cause       TEXT COLLATE "C" NOT NULL,
    status      TEXT COLLATE "C" NOT NULL,
    location    TEXT COLLATE "C",
    issue       TEXT COLLATE "C",
    size_bytes  BIGINT,
    started_at  BIGINT NOT NULL,
    ended_at    BIGINT NOT NULL,
    UNIQUE (delivery_id, number)
);
CREATE INDEX attempt_by_upload ON attempt (upload_id, ended_at);

-- Processing status reports in the order in which they became true. No foreign key: a refused creation
-- leaves its two reports and nothing else.
CREATE TABLE report (
    sequence     BIGINT  NOT NULL PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    tenant       TEXT COLLATE "C" NOT NULL,
    owner        TEXT COLLATE "C" NOT NULL,
    upload_id    TEXT COLLATE "C" NOT NULL,
    stage        TEXT COLLATE "C" NOT NULL,
    body         BYTEA NOT NULL,
    created_at   BIGINT NOT NULL,
    published_at BIGINT
);
CREATE INDEX report_by_upload ON report (upload_id, stage);

-- An accepted $submit-attachment. Absent identifier systems are '', so that equal keys collide.
CREATE TABLE submission (
    id                  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant              TEXT COLLATE "C" NOT NULL,
    owner               TEXT COLLATE "C" NOT NULL,
    attach_to           TEXT COLLATE "C" NOT NULL,
    tracking_system     TEXT COLLATE "C" NOT NULL,
    tracking_value      TEXT COLLATE "C" NOT NULL,
    admin_ref_system    TEXT COLLATE "C",
    admin_ref_value     TEXT COLLATE "C",
    payer_system        TEXT COLLATE "C",
    payer_value         TEXT COLLATE "C",
    organization_system TEXT COLLATE "C",
    organization_value  TEXT COLLATE "C",
    provider_system     TEXT COLLATE "C",
    provider_value      TEXT COLLATE "C",
    member_system       TEXT COLLATE "C",
    member_value        TEXT COLLATE "C",
    service_date        TEXT COLLATE "C",
    is_last_submission  BOOLEAN NOT NULL,
    amends              TEXT COLLATE "C",
    body_sha256         BYTEA NOT NULL,
    body_length         BIGINT NOT NULL,
    skeleton            BYTEA NOT NULL,
    upload_ids          TEXT COLLATE "C" NOT NULL,
    answer              BYTEA NOT NULL,
    received_at         BIGINT NOT NULL,
    UNIQUE (tenant, owner, attach_to, tracking_value, tracking_system, body_sha256)
);

-- Answers kept for clients that send an Idempotency-Key.
CREATE TABLE idempotency (
    tenant      TEXT COLLATE "C" NOT NULL,
    owner       TEXT COLLATE "C" NOT NULL,
    key         TEXT COLLATE "C" NOT NULL,
    body_sha256 BYTEA NOT NULL,
    answer      BYTEA NOT NULL,
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    PRIMARY KEY (tenant, owner, key)
);
CREATE INDEX idempotency_by_expiry ON idempotency (expires_at);

-- Who did what to what, and whether it was allowed. Never content.
CREATE TABLE audit (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant     TEXT COLLATE "C" NOT NULL,
    owner      TEXT COLLATE "C" NOT NULL,
    at         BIGINT NOT NULL,
    action     TEXT COLLATE "C" NOT NULL,
    outcome    TEXT COLLATE "C" NOT NULL,
    entity     TEXT COLLATE "C",
    detail     TEXT COLLATE "C",
    request_id TEXT COLLATE "C"
);
CREATE INDEX audit_by_time ON audit (tenant, at);

-- The upload store whose bytes these rows name: the same text lies in the store. One row.
CREATE TABLE upload_store (
    tenant TEXT COLLATE "C" NOT NULL,
    owner  TEXT COLLATE "C" NOT NULL,
    id     TEXT COLLATE "C" NOT NULL PRIMARY KEY
);
