-- Bulk exports and the files that they made. The SQLite folder has the same tables and columns under the same number.

-- What was asked for is in `request`, as JSON. `epoch` counts the workers that took the job: what an earlier one still
-- wants to write does not fit any more. `resources` is how many were written so far.
CREATE TABLE export_job (
    id               TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant           TEXT COLLATE "C" NOT NULL,
    owner            TEXT COLLATE "C" NOT NULL,
    request          TEXT COLLATE "C" NOT NULL,
    transaction_time BIGINT           NOT NULL,
    state            TEXT COLLATE "C" NOT NULL,
    epoch            BIGINT           NOT NULL,
    attempts         BIGINT           NOT NULL,
    lease_until      BIGINT           NOT NULL,
    resources        BIGINT           NOT NULL,
    expires_at       BIGINT
);
CREATE INDEX export_job_by_state ON export_job (state, lease_until);
CREATE INDEX export_job_by_owner ON export_job (tenant, owner, state);
CREATE INDEX export_job_by_expiry ON export_job (expires_at) WHERE expires_at IS NOT NULL;

-- A file has its row once its bytes are durable. `last_key` is the row of the last resource that was looked at; none
-- if nothing of the type is left.
CREATE TABLE export_file (
    job              TEXT COLLATE "C" NOT NULL,
    number           BIGINT           NOT NULL,
    tenant           TEXT COLLATE "C" NOT NULL,
    owner            TEXT COLLATE "C" NOT NULL,
    id               TEXT COLLATE "C" NOT NULL,
    kind             TEXT COLLATE "C" NOT NULL,
    type             TEXT COLLATE "C" NOT NULL,
    resources        BIGINT           NOT NULL,
    last_key         BIGINT,
    PRIMARY KEY (job, number)
);
