-- What all callers together may ask of a model in a minute; NULL: as much as comes.
--
-- MySQL cannot take half of a change back, nor ask whether a column is there: so that a change that broke off can be made again, its
-- statement is only made where the last column is missing.

SET @change = (
    SELECT IF(COUNT(*) = 0,
    'ALTER TABLE models ADD COLUMN requests_per_minute BIGINT,
     ADD COLUMN tokens_per_minute BIGINT',
    'DO 0')
    FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'models' AND column_name = 'tokens_per_minute'
);
PREPARE change_columns FROM @change;
EXECUTE change_columns;
DEALLOCATE PREPARE change_columns;
