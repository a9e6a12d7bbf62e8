-- What is known of the bytes of an upload beside what its sender says; no row where there is nothing to tell.
CREATE TABLE screening (
    upload_id  TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES upload (id) ON DELETE CASCADE,
    tenant     TEXT COLLATE "C" NOT NULL,
    owner      TEXT COLLATE "C" NOT NULL,
    declared   TEXT COLLATE "C",
    found      TEXT COLLATE "C",
    agreement  TEXT COLLATE "C" NOT NULL,
    is_allowed BOOLEAN          NOT NULL,
    verdict    TEXT COLLATE "C" NOT NULL,
    signature  TEXT COLLATE "C",
    is_held    BOOLEAN          NOT NULL,
    scanned_at BIGINT,
    created_at BIGINT           NOT NULL
);

-- A payload of a resource that became an upload, or would have: once for its bytes, however often it is sent. What
-- it comes from is a hash: of the sender and the identifier of a Communication, else of the resource.
CREATE TABLE forwarded (
    origin     BYTEA            NOT NULL,
    payload    TEXT COLLATE "C" NOT NULL,
    sha256     BYTEA            NOT NULL,
    tenant     TEXT COLLATE "C" NOT NULL,
    owner      TEXT COLLATE "C" NOT NULL,
    resource   TEXT COLLATE "C" NOT NULL,
    version    BIGINT           NOT NULL,
    upload_id  TEXT COLLATE "C" NOT NULL,
    outcome    TEXT COLLATE "C" NOT NULL,
    created_at BIGINT           NOT NULL,
    PRIMARY KEY (origin, payload, sha256)
);
