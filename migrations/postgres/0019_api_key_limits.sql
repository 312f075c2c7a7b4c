-- What a key may use, as in `teams`; the secret that a rotated key still takes for a while, as a digest; and when it was last used, which
-- the ledger's writer says.

ALTER TABLE api_keys
    ADD COLUMN requests_per_minute BIGINT,
    ADD COLUMN tokens_per_minute BIGINT,
    ADD COLUMN max_concurrency BIGINT,
    ADD COLUMN budget_nanos BIGINT,
    ADD COLUMN budget_period TEXT NOT NULL DEFAULT '',
    ADD COLUMN previous_digest TEXT,
    ADD COLUMN previous_until BIGINT,
    ADD COLUMN last_used_at BIGINT;
