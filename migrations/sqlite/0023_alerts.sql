-- What operators should know of, once each: `subject` is what it is about ('key:ID', 'team:ID', 'provider_key:ID'), `kind` what happened
-- ('budget_threshold', 'budget_exhausted', 'provider_key_refused'), `mark` which time it was (a period's beginning and a threshold).

CREATE TABLE alerts (
    id                   TEXT NOT NULL PRIMARY KEY,
    created_at           BIGINT NOT NULL,
    kind                 TEXT NOT NULL,
    subject              TEXT NOT NULL,
    mark                 TEXT NOT NULL,
    message              TEXT NOT NULL,
    acknowledged_at      BIGINT,
    UNIQUE (kind, subject, mark)
);
