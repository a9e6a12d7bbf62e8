-- What an unfinished delivery has at its target already, in the words of the destination: the next attempt, also
-- one of a later process, goes on from there.
ALTER TABLE delivery ADD COLUMN progress BYTEA;
