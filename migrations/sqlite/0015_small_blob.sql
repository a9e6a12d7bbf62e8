-- The bytes of small uploads, under the name that others have in the blob store.
CREATE TABLE small_blob (
    storage_key TEXT NOT NULL PRIMARY KEY,
    tenant      TEXT NOT NULL,
    owner       TEXT NOT NULL,
    bytes       BLOB NOT NULL
) STRICT, WITHOUT ROWID;
