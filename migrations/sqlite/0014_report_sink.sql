-- Which reports each sink has. The PostgreSQL folder has the same tables and columns under the same number.

-- `place` is where a report stands in the order in which all sinks get reports: given to it once it is committed, so that
-- nothing with a smaller one ever appears later, as it may with `sequence` where several transactions write at once.
ALTER TABLE report ADD COLUMN place INTEGER;
ALTER TABLE report DROP COLUMN published_at;
CREATE INDEX report_without_place ON report (sequence) WHERE place IS NULL;
CREATE UNIQUE INDEX report_by_place ON report (place) WHERE place IS NOT NULL;

-- The last place that was given away: no place is ever given twice. One row; who changes it gives places.
CREATE TABLE report_order (
    tenant     TEXT    NOT NULL,
    owner      TEXT    NOT NULL,
    last_place INTEGER NOT NULL
) STRICT;
INSERT INTO report_order (tenant, owner, last_place) VALUES ('', '', 0);

-- A sink has all reports up to `place`. `epoch` counts who has served it: what an earlier one still wants to write does
-- not fit any more. A sink that the configuration does not name any more keeps its row.
CREATE TABLE report_sink (
    name       TEXT    NOT NULL PRIMARY KEY,
    tenant     TEXT    NOT NULL,
    owner      TEXT    NOT NULL,
    place      INTEGER NOT NULL,
    epoch      INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

-- Reports that a sink will never take, and with which status it said so.
CREATE TABLE report_refusal (
    sink       TEXT    NOT NULL,
    sequence   INTEGER NOT NULL REFERENCES report (sequence) ON DELETE CASCADE,
    tenant     TEXT    NOT NULL,
    owner      TEXT    NOT NULL,
    upload_id  TEXT    NOT NULL,
    status     INTEGER NOT NULL,
    refused_at INTEGER NOT NULL,
    PRIMARY KEY (sink, sequence)
) STRICT, WITHOUT ROWID;
CREATE INDEX report_refusal_by_report ON report_refusal (sequence);

-- What retention looks at: submissions that nothing was made of yet, uploads that a pushed resource names by their URL,
-- deliveries by when they ended.
CREATE INDEX submission_unmade ON submission (tenant) WHERE resources IS NULL;
CREATE INDEX forwarded_by_name ON forwarded (upload_id) WHERE outcome = 'named';
CREATE INDEX delivery_by_end ON delivery (settled_at, id) WHERE settled_at IS NOT NULL;
