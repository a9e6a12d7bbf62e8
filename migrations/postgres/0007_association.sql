-- What became of submissions: which Task and which Claim they belong to, and the resources that were made of them. The
-- SQLite folder has the same columns under the same number.

-- `association` is `held` until something that the submission belongs to is here. `awaited_claim` is the number of a
-- Claim that the Task names and that is not here; `reasons` says what led to all this, as fixed codes. `resources` lists
-- the resources made of it as JSON, none before that is done; `checks` what its signatures turned out to be, as JSON.
ALTER TABLE submission ADD COLUMN association TEXT COLLATE "C" NOT NULL DEFAULT 'held';
ALTER TABLE submission ADD COLUMN task TEXT COLLATE "C";
ALTER TABLE submission ADD COLUMN claim TEXT COLLATE "C";
ALTER TABLE submission ADD COLUMN awaited_claim TEXT COLLATE "C";
ALTER TABLE submission ADD COLUMN reasons TEXT COLLATE "C";
ALTER TABLE submission ADD COLUMN resources TEXT COLLATE "C";
ALTER TABLE submission ADD COLUMN checks TEXT COLLATE "C" NOT NULL DEFAULT '[]';
CREATE INDEX submission_by_number ON submission (tenant, tracking_value, attach_to);
CREATE INDEX submission_by_awaited_claim ON submission (tenant, awaited_claim) WHERE awaited_claim IS NOT NULL;
