-- What all callers together may ask of a model in a minute; NULL: as much as comes.

ALTER TABLE models ADD COLUMN requests_per_minute BIGINT;
ALTER TABLE models ADD COLUMN tokens_per_minute BIGINT;
