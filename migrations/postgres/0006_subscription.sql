-- Subscriptions to topics, beside their FHIR resources, and the events that they are about. The SQLite folder has
-- the same tables and columns under the same number.

-- What is asked for, as version `generation` of the resource says: the last by which the client asked for it. `version`
-- is the last one there is, perhaps by us, and `created_in` the first. `events` counts all since `started_at`, the first
-- time that it was active; `waiting` those that are in no notification yet. `failure` is what brought it into error.
CREATE TABLE subscription (
    tenant         TEXT COLLATE "C" NOT NULL,
    id             TEXT COLLATE "C" NOT NULL,
    owner          TEXT COLLATE "C" NOT NULL,
    version        BIGINT           NOT NULL,
    generation     BIGINT           NOT NULL,
    created_in     BIGINT           NOT NULL,
    status         TEXT COLLATE "C" NOT NULL,
    endpoint       TEXT COLLATE "C" NOT NULL,
    content_type   TEXT COLLATE "C" NOT NULL,
    headers        TEXT COLLATE "C" NOT NULL,
    content        TEXT COLLATE "C" NOT NULL,
    criteria       TEXT COLLATE "C" NOT NULL,
    heartbeat_secs BIGINT           NOT NULL,
    timeout_secs   BIGINT           NOT NULL,
    max_count      BIGINT           NOT NULL,
    end_at         BIGINT,
    events         BIGINT           NOT NULL,
    waiting        BIGINT           NOT NULL,
    failure        TEXT COLLATE "C",
    started_at     BIGINT,
    told_at        BIGINT,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX subscription_started ON subscription (tenant) WHERE started_at IS NOT NULL;

-- The events of a subscription by their numbers, from 1 on without a gap. `told_at` is when one was put into a
-- notification, unless that did not arrive.
CREATE TABLE subscription_event (
    tenant       TEXT COLLATE "C" NOT NULL,
    subscription TEXT COLLATE "C" NOT NULL,
    number       BIGINT           NOT NULL,
    owner        TEXT COLLATE "C" NOT NULL,
    task         TEXT COLLATE "C" NOT NULL,
    version      BIGINT           NOT NULL,
    change       TEXT COLLATE "C" NOT NULL,
    at           BIGINT           NOT NULL,
    told_at      BIGINT,
    PRIMARY KEY (tenant, subscription, number)
);
CREATE INDEX subscription_event_waiting ON subscription_event (tenant, subscription, number) WHERE told_at IS NULL;
