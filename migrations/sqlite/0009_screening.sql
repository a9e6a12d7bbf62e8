-- What is known of the bytes of an upload beside what its sender says; no row where there is nothing to tell.
CREATE TABLE screening (
    upload_id  TEXT    NOT NULL PRIMARY KEY REFERENCES upload (id) ON DELETE CASCADE,
    tenant     TEXT    NOT NULL,
    owner      TEXT    NOT NULL,
    declared   TEXT,
    found      TEXT,
    agreement  TEXT    NOT NULL,
    is_allowed INTEGER NOT NULL,
    verdict    TEXT    NOT NULL,
    signature  TEXT,
    is_held    INTEGER NOT NULL,
    scanned_at INTEGER,
    created_at INTEGER NOT NULL
) STRICT;

-- A payload of a resource that became an upload, or would have: once for its bytes, however often it is sent. What
-- it comes from is a hash: of the sender and the identifier of a Communication, else of the resource.
CREATE TABLE forwarded (
    origin     BLOB    NOT NULL,
    payload    TEXT    NOT NULL,
    sha256     BLOB    NOT NULL,
    tenant     TEXT    NOT NULL,
    owner      TEXT    NOT NULL,
    resource   TEXT    NOT NULL,
    version    INTEGER NOT NULL,
    upload_id  TEXT    NOT NULL,
    outcome    TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (origin, payload, sha256)
) STRICT, WITHOUT ROWID;
