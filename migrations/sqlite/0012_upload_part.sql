-- Which partial uploads a final one is made of, in order (tus 1.0.0, Concatenation). They are kept at least until it
-- is complete.
CREATE TABLE upload_part (
    upload_id TEXT    NOT NULL REFERENCES upload (id) ON DELETE CASCADE,
    position  INTEGER NOT NULL,
    tenant    TEXT    NOT NULL,
    owner     TEXT    NOT NULL,
    part_id   TEXT    NOT NULL,
    PRIMARY KEY (upload_id, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX upload_part_by_part ON upload_part (part_id);

-- Uploads expire from now on; those that were begun before get a week from their last byte.
CREATE INDEX upload_by_expiry ON upload (expires_at) WHERE expires_at IS NOT NULL;
UPDATE upload SET expires_at = changed_at + 604800000000000 WHERE state = 'open';
