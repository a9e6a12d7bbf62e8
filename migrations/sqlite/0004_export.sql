-- Bulk exports and the files that they made. The PostgreSQL folder has the same tables and columns under the same
-- number.

-- What was asked for is in `request`, as JSON. `epoch` counts the workers that took the job: what an earlier one still
-- wants to write does not fit any more. `resources` is how many were written so far.
CREATE TABLE export_job (
    id               TEXT    NOT NULL PRIMARY KEY,
    tenant           TEXT    NOT NULL,
    owner            TEXT    NOT NULL,
    request          TEXT    NOT NULL,
    transaction_time INTEGER NOT NULL,
    state            TEXT    NOT NULL,
    epoch            INTEGER NOT NULL,
    attempts         INTEGER NOT NULL,
    lease_until      INTEGER NOT NULL,
    resources        INTEGER NOT NULL,
    expires_at       INTEGER
) STRICT;
CREATE INDEX export_job_by_state ON export_job (state, lease_until);
CREATE INDEX export_job_by_owner ON export_job (tenant, owner, state);
CREATE INDEX export_job_by_expiry ON export_job (expires_at) WHERE expires_at IS NOT NULL;

-- A file has its row once its bytes are durable. `last_key` is the row of the last resource that was looked at; none
-- if nothing of the type is left.
CREATE TABLE export_file (
    job       TEXT    NOT NULL,
    number    INTEGER NOT NULL,
    tenant    TEXT    NOT NULL,
    owner     TEXT    NOT NULL,
    id        TEXT    NOT NULL,
    kind      TEXT    NOT NULL,
    type      TEXT    NOT NULL,
    resources INTEGER NOT NULL,
    last_key  INTEGER,
    PRIMARY KEY (job, number)
) STRICT;
