-- What was sent in answer to attachment requests, and which requests wait for documents. The SQLite folder has the
-- same tables and columns under the same number.

-- Each is one `$submit-attachment`, counted from 1 on for each Task. `state` is `sent`, `delivered` or `dead`; `sha256`
-- is that of the body: the same one is not sent twice while the first may still arrive or has arrived. `contents` says
-- which resource answers which input, as JSON.
CREATE TABLE attachment_answer (
    tenant     TEXT COLLATE "C" NOT NULL,
    owner      TEXT COLLATE "C" NOT NULL,
    task       TEXT COLLATE "C" NOT NULL,
    number     BIGINT           NOT NULL,
    state      TEXT COLLATE "C" NOT NULL,
    sha256     BYTEA            NOT NULL,
    is_last    BOOLEAN          NOT NULL,
    contents   TEXT COLLATE "C" NOT NULL,
    upload_id  TEXT COLLATE "C" NOT NULL,
    created_at BIGINT           NOT NULL,
    PRIMARY KEY (tenant, task, number)
);
CREATE UNIQUE INDEX attachment_answer_once ON attachment_answer (tenant, task, sha256) WHERE state <> 'dead';

-- A Task that waits, under each of the names by which a document can turn out to be meant for it: the SHA-256 of its
-- tracking id, of an identifier of the patient, or of the reference to the Patient.
CREATE TABLE awaited_document (
    tenant TEXT COLLATE "C" NOT NULL,
    owner  TEXT COLLATE "C" NOT NULL,
    task   TEXT COLLATE "C" NOT NULL,
    name   BYTEA            NOT NULL,
    PRIMARY KEY (tenant, name, task)
);
CREATE INDEX awaited_document_by_task ON awaited_document (tenant, task);
