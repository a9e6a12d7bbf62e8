-- FHIR resources, their history and what they can be found by. `kind` and `space` are hashes over tenant, resource
-- type and (`space`) search parameter. The SQLite folder has the same tables and columns under the same number.

-- The current version of each resource; a deleted one has no content. `key` is the order of creation.
CREATE TABLE resource (
    key          BIGINT NOT NULL PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    kind         BIGINT NOT NULL,
    tenant       TEXT COLLATE "C" NOT NULL,
    owner        TEXT COLLATE "C" NOT NULL,
    type         TEXT COLLATE "C" NOT NULL,
    id           TEXT COLLATE "C" NOT NULL,
    version      BIGINT NOT NULL,
    last_updated BIGINT NOT NULL,
    change       TEXT COLLATE "C" NOT NULL,
    content      BYTEA,
    UNIQUE (kind, id)
);
CREATE INDEX resource_by_kind ON resource (kind, key) WHERE content IS NOT NULL;
CREATE INDEX resource_by_time ON resource (kind, last_updated, key) WHERE content IS NOT NULL;
-- The rest of them, for the history of a type: no search walks over what was deleted.
CREATE INDEX resource_deleted_by_time ON resource (kind, last_updated, key) WHERE content IS NULL;

-- The versions before the current one. `replaced_at` is when the next one came.
CREATE TABLE resource_history (
    resource     BIGINT NOT NULL,
    version      BIGINT NOT NULL,
    kind         BIGINT NOT NULL,
    tenant       TEXT COLLATE "C" NOT NULL,
    owner        TEXT COLLATE "C" NOT NULL,
    last_updated BIGINT NOT NULL,
    replaced_at  BIGINT NOT NULL,
    change       TEXT COLLATE "C" NOT NULL,
    content      BYTEA,
    PRIMARY KEY (resource, version)
);
CREATE INDEX resource_history_by_time ON resource_history (kind, last_updated, resource, version);

-- Each value of each search parameter of a resource. No tenant and no owner: the space is one tenant's own, and rows
-- are only ever looked at together with their resource, which has both. An absent `extra` is empty.
CREATE TABLE search_entry (
    space    BIGINT NOT NULL,
    value    BYTEA  NOT NULL,
    resource BIGINT NOT NULL,
    extra    BYTEA  NOT NULL,
    PRIMARY KEY (space, value, resource, extra)
);
CREATE INDEX search_entry_by_resource ON search_entry (resource, space);
