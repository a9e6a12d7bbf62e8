-- Subscriptions to topics, beside their FHIR resources, and the events that they are about. The PostgreSQL folder has
-- the same tables and columns under the same number.

-- What is asked for, as version `generation` of the resource says: the last by which the client asked for it. `version`
-- is the last one there is, perhaps by us, and `created_in` the first. `events` counts all since `started_at`, the first
-- time that it was active; `waiting` those that are in no notification yet. `failure` is what brought it into error.
CREATE TABLE subscription (
    tenant         TEXT    NOT NULL,
    id             TEXT    NOT NULL,
    owner          TEXT    NOT NULL,
    version        INTEGER NOT NULL,
    generation     INTEGER NOT NULL,
    created_in     INTEGER NOT NULL,
    status         TEXT    NOT NULL,
    endpoint       TEXT    NOT NULL,
    content_type   TEXT    NOT NULL,
    headers        TEXT    NOT NULL,
    content        TEXT    NOT NULL,
    criteria       TEXT    NOT NULL,
    heartbeat_secs INTEGER NOT NULL,
    timeout_secs   INTEGER NOT NULL,
    max_count      INTEGER NOT NULL,
    end_at         INTEGER,
    events         INTEGER NOT NULL,
    waiting        INTEGER NOT NULL,
    failure        TEXT,
    started_at     INTEGER,
    told_at        INTEGER,
    PRIMARY KEY (tenant, id)
) STRICT;
CREATE INDEX subscription_started ON subscription (tenant) WHERE started_at IS NOT NULL;

-- The events of a subscription by their numbers, from 1 on without a gap. `told_at` is when one was put into a
-- notification, unless that did not arrive.
CREATE TABLE subscription_event (
    tenant       TEXT    NOT NULL,
    subscription TEXT    NOT NULL,
    number       INTEGER NOT NULL,
    owner        TEXT    NOT NULL,
    task         TEXT    NOT NULL,
    version      INTEGER NOT NULL,
    change       TEXT    NOT NULL,
    at           INTEGER NOT NULL,
    told_at      INTEGER,
    PRIMARY KEY (tenant, subscription, number)
) STRICT;
CREATE INDEX subscription_event_waiting ON subscription_event (tenant, subscription, number) WHERE told_at IS NULL;
