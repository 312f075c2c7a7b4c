-- Requests a minute that a core asks a provider at most; NULL: as many as come.
ALTER TABLE providers ADD COLUMN rate_limit BIGINT;
