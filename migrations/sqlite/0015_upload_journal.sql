-- How far the journals of small uploads are redeemed.
-- The PostgreSQL folder has the same tables and columns under the same number.

-- A journal is a folder of one gateway, named by this id. Its entries up to `redeemed` have their rows; whoever redeems
-- entries moves the number in the same transaction.
CREATE TABLE upload_journal (
    id       TEXT    NOT NULL PRIMARY KEY,
    tenant   TEXT    NOT NULL,
    owner    TEXT    NOT NULL,
    redeemed INTEGER NOT NULL
) STRICT;
