-- FHIR resources, their history and what they can be found by. `kind` and `space` are hashes over tenant, resource
-- type and (`space`) search parameter. The PostgreSQL folder has the same tables and columns under the same number.

-- The current version of each resource; a deleted one has no content. `key` is the order of creation. The content
-- stands last: what comes before it is read without it.
CREATE TABLE resource (
    key          INTEGER NOT NULL PRIMARY KEY,
    kind         INTEGER NOT NULL,
    tenant       TEXT    NOT NULL,
    owner        TEXT    NOT NULL,
    type         TEXT    NOT NULL,
    id           TEXT    NOT NULL,
    version      INTEGER NOT NULL,
    last_updated INTEGER NOT NULL,
    change       TEXT    NOT NULL,
    content      BLOB,
    UNIQUE (kind, id)
) STRICT;
CREATE INDEX resource_by_kind ON resource (kind) WHERE content IS NOT NULL;
CREATE INDEX resource_by_time ON resource (kind, last_updated) WHERE content IS NOT NULL;
-- The rest of them, for the history of a type: no search walks over what was deleted.
CREATE INDEX resource_deleted_by_time ON resource (kind, last_updated) WHERE content IS NULL;

-- The versions before the current one. `replaced_at` is when the next one came.
CREATE TABLE resource_history (
    resource     INTEGER NOT NULL,
    version      INTEGER NOT NULL,
    kind         INTEGER NOT NULL,
    tenant       TEXT    NOT NULL,
    owner        TEXT    NOT NULL,
    last_updated INTEGER NOT NULL,
    replaced_at  INTEGER NOT NULL,
    change       TEXT    NOT NULL,
    content      BLOB,
    PRIMARY KEY (resource, version)
) STRICT;
CREATE INDEX resource_history_by_time ON resource_history (kind, last_updated, resource, version);

-- Each value of each search parameter of a resource. No tenant and no owner: the space is one tenant's own, and rows
-- are only ever looked at together with their resource, which has both. An absent `extra` is empty.
CREATE TABLE search_entry (
    space    INTEGER NOT NULL,
    value    BLOB    NOT NULL,
    resource INTEGER NOT NULL,
    extra    BLOB    NOT NULL,
    PRIMARY KEY (space, value, resource, extra)
) STRICT, WITHOUT ROWID;
CREATE INDEX search_entry_by_resource ON search_entry (resource, space);
