-- What operators should know of, once each: `subject` is what it is about ('key:ID', 'team:ID', 'provider_key:ID'), `kind` what happened
-- ('budget_threshold', 'budget_exhausted', 'provider_key_refused'), `mark` which time it was (a period's beginning and a threshold).

CREATE TABLE IF NOT EXISTS alerts (
    id                   VARCHAR(64) NOT NULL PRIMARY KEY,
    created_at           BIGINT NOT NULL,
    kind                 VARCHAR(64) NOT NULL,
    subject              VARCHAR(256) NOT NULL,
    mark                 VARCHAR(256) NOT NULL,
    message              TEXT NOT NULL,
    acknowledged_at      BIGINT,
    UNIQUE (kind, subject, mark)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
