-- What a key may use, as in `teams`; the secret that a rotated key still takes for a while, as a digest; and when it was last used, which
-- the ledger's writer says.
--
-- MySQL cannot take half of a change back, nor ask whether a column is there: so that a change that broke off can be made again, its
-- statement is only made where the last column is missing.

SET @change = (
    SELECT IF(COUNT(*) = 0,
    'ALTER TABLE api_keys ADD COLUMN requests_per_minute BIGINT,
     ADD COLUMN tokens_per_minute BIGINT,
     ADD COLUMN max_concurrency BIGINT,
     ADD COLUMN budget_nanos BIGINT,
     ADD COLUMN budget_period VARCHAR(64) NOT NULL DEFAULT '''',
     ADD COLUMN previous_digest VARCHAR(64),
     ADD COLUMN previous_until BIGINT,
     ADD COLUMN last_used_at BIGINT',
    'DO 0')
    FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'api_keys' AND column_name = 'last_used_at'
);
PREPARE change_columns FROM @change;
EXECUTE change_columns;
DEALLOCATE PREPARE change_columns;
