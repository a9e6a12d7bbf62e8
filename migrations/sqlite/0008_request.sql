-- Requests that were sent to partners. The PostgreSQL folder has the same tables and columns under the same number.

-- `task_id` is our copy of the Task; `place` is where the Task is at the partner (`Task/12`), once that is known.
-- `sent_at` is when the partner took it, `poll_at` when it is looked at next: not before it was sent, and no more once
-- it is over or its outputs are being collected.
CREATE TABLE request (
    id         TEXT NOT NULL PRIMARY KEY,
    tenant     TEXT NOT NULL,
    owner      TEXT NOT NULL,
    task_id    TEXT NOT NULL,
    partner    TEXT NOT NULL,
    place      TEXT,
    created_at INTEGER NOT NULL,
    sent_at    INTEGER,
    poll_at    INTEGER
) STRICT;
CREATE INDEX request_by_poll ON request (tenant, owner, partner, poll_at) WHERE poll_at IS NOT NULL;
CREATE INDEX request_by_place ON request (place) WHERE poll_at IS NOT NULL;
