-- The hash of a segment: 32 bytes are a SHA-256, as they were before; another hash begins with its multihash code and
-- length. A segment is checked against it whenever all of it is read.
ALTER TABLE segment RENAME COLUMN sha256 TO hash;
