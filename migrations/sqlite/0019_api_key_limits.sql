-- What a key may use, as in `teams`; the secret that a rotated key still takes for a while, as a digest; and when it was last used, which
-- the ledger's writer says.

ALTER TABLE api_keys ADD COLUMN requests_per_minute BIGINT;
ALTER TABLE api_keys ADD COLUMN tokens_per_minute BIGINT;
ALTER TABLE api_keys ADD COLUMN max_concurrency BIGINT;
ALTER TABLE api_keys ADD COLUMN budget_nanos BIGINT;
ALTER TABLE api_keys ADD COLUMN budget_period TEXT NOT NULL DEFAULT '';
ALTER TABLE api_keys ADD COLUMN previous_digest TEXT;
ALTER TABLE api_keys ADD COLUMN previous_until BIGINT;
ALTER TABLE api_keys ADD COLUMN last_used_at BIGINT;
