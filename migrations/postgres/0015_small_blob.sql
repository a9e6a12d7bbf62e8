-- The bytes of small uploads, under the name that others have in the blob store.
CREATE TABLE small_blob (
    storage_key TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant      TEXT COLLATE "C" NOT NULL,
    owner       TEXT COLLATE "C" NOT NULL,
    bytes       BYTEA            NOT NULL
);
