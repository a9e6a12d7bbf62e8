-- The bytes of Binary resources that are too long for their row. They lie in the upload store under the same id;
-- each belongs to one version of one resource and stays as long as that does.

CREATE TABLE binary_content (
    id         TEXT    NOT NULL PRIMARY KEY,
    tenant     TEXT    NOT NULL,
    owner      TEXT    NOT NULL,
    length     INTEGER NOT NULL,
    sha256     BLOB    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
