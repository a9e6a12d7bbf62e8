-- What must still be done because of what was committed, and what a delivery over HTTP needs to know. The SQLite
-- folder has the same tables and columns under the same number.

-- `taken_until` is the end of the lease of whoever works on an item, `epoch` counts the leases: what an earlier one
-- still wants to write does not fit any more. Items of one errand and subject are worked on in their order.
CREATE TABLE agenda (
    sequence    BIGINT           NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant      TEXT COLLATE "C" NOT NULL,
    owner       TEXT COLLATE "C" NOT NULL,
    errand      TEXT COLLATE "C" NOT NULL,
    subject     TEXT COLLATE "C" NOT NULL,
    version     BIGINT           NOT NULL,
    due_at      BIGINT           NOT NULL,
    taken_until BIGINT,
    attempts    BIGINT           NOT NULL,
    epoch       BIGINT           NOT NULL
);
CREATE INDEX agenda_by_due ON agenda (due_at, sequence);
CREATE INDEX agenda_by_subject ON agenda (errand, subject, sequence);

-- `header` holds further header fields of a call, as JSON; `followed_by` names what waits for the outcome.
ALTER TABLE delivery ADD COLUMN header TEXT COLLATE "C";
ALTER TABLE delivery ADD COLUMN followed_by TEXT COLLATE "C";
CREATE INDEX delivery_by_order ON delivery (ordering_key, created_at, id)
    WHERE settled_at IS NULL AND ordering_key IS NOT NULL;
