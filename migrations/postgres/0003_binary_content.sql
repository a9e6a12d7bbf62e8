-- The bytes of Binary resources that are too long for their row. They lie in the upload store under the same id;
-- each belongs to one version of one resource and stays as long as that does.

CREATE TABLE binary_content (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant     TEXT COLLATE "C" NOT NULL,
    owner      TEXT COLLATE "C" NOT NULL,
    length     BIGINT           NOT NULL,
    sha256     BYTEA            NOT NULL,
    created_at BIGINT           NOT NULL
);
