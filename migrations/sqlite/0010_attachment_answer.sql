-- What was sent in answer to attachment requests, and which requests wait for documents. The PostgreSQL folder has the
-- same tables and columns under the same number.

-- Each is one `$submit-attachment`, counted from 1 on for each Task. `state` is `sent`, `delivered` or `dead`; `sha256`
-- is that of the body: the same one is not sent twice while the first may still arrive or has arrived. `contents` says
-- which resource answers which input, as JSON.
CREATE TABLE attachment_answer (
    tenant     TEXT    NOT NULL,
    owner      TEXT    NOT NULL,
    task       TEXT    NOT NULL,
    number     INTEGER NOT NULL,
    state      TEXT    NOT NULL,
    sha256     BLOB    NOT NULL,
    is_last    INTEGER NOT NULL,
    contents   TEXT    NOT NULL,
    upload_id  TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, task, number)
) STRICT;
CREATE UNIQUE INDEX attachment_answer_once ON attachment_answer (tenant, task, sha256) WHERE state <> 'dead';

-- A Task that waits, under each of the names by which a document can turn out to be meant for it: the SHA-256 of its
-- tracking id, of an identifier of the patient, or of the reference to the Patient.
CREATE TABLE awaited_document (
    tenant TEXT NOT NULL,
    owner  TEXT NOT NULL,
    task   TEXT NOT NULL,
    name   BLOB NOT NULL,
    PRIMARY KEY (tenant, name, task)
) STRICT;
CREATE INDEX awaited_document_by_task ON awaited_document (tenant, task);
