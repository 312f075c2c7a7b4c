-- What a request was charged to its key's and its team's budget, in nano-dollars: its cost, or what the ceiling for unknown prices makes
-- of its tokens. NULL: nothing was asked of a provider.
--
-- MySQL cannot take half of a change back, nor ask whether a column is there: so that a change that broke off can be made again, its
-- statement is only made where the last column is missing.

SET @change = (
    SELECT IF(COUNT(*) = 0,
    'ALTER TABLE request_logs ADD COLUMN charged_nanos BIGINT',
    'DO 0')
    FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'request_logs' AND column_name = 'charged_nanos'
);
PREPARE change_columns FROM @change;
EXECUTE change_columns;
DEALLOCATE PREPARE change_columns;
