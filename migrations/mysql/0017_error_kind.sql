-- Failures are looked for by their kind, a cut answer's too, whose outcome is 'truncated'.
-- Nobody can say whether a migration that was cut off has come this far, and MySQL has no index IF NOT EXISTS.

SET @make_index = IF(
    EXISTS (
        SELECT 1 FROM information_schema.statistics
        WHERE table_schema = DATABASE() AND table_name = 'request_logs' AND index_name = 'request_logs_error_kind'
    ),
    'DO 0',
    'CREATE INDEX request_logs_error_kind ON request_logs (error_kind, id)'
);

PREPARE make_index FROM @make_index;

EXECUTE make_index;

DEALLOCATE PREPARE make_index;
