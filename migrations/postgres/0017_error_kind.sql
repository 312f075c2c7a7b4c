-- Failures are looked for by their kind, a cut answer's too, whose outcome is 'truncated'.
-- Most requests have none: they are left out of the index, and a query says so too.

CREATE INDEX request_logs_error_kind ON request_logs (error_kind, id) WHERE error_kind <> '';
