-- What must still be done because of what was committed, and what a delivery over HTTP needs to know. The PostgreSQL
-- folder has the same tables and columns under the same number.

-- `taken_until` is the end of the lease of whoever works on an item, `epoch` counts the leases: what an earlier one
-- still wants to write does not fit any more. Items of one errand and subject are worked on in their order.
CREATE TABLE agenda (
    sequence    INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    tenant      TEXT    NOT NULL,
    owner       TEXT    NOT NULL,
    errand      TEXT    NOT NULL,
    subject     TEXT    NOT NULL,
    version     INTEGER NOT NULL,
    due_at      INTEGER NOT NULL,
    taken_until INTEGER,
    attempts    INTEGER NOT NULL,
    epoch       INTEGER NOT NULL
) STRICT;
CREATE INDEX agenda_by_due ON agenda (due_at, sequence);
CREATE INDEX agenda_by_subject ON agenda (errand, subject, sequence);

-- `header` holds further header fields of a call, as JSON; `followed_by` names what waits for the outcome.
ALTER TABLE delivery ADD COLUMN header TEXT;
ALTER TABLE delivery ADD COLUMN followed_by TEXT;
CREATE INDEX delivery_by_order ON delivery (ordering_key, created_at, id)
    WHERE settled_at IS NULL AND ordering_key IS NOT NULL;
