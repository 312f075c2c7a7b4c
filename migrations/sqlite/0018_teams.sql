-- Teams: what their keys may use together. Limits are NULL where there is none; `budget_period` is 'day', 'month', 'total', or empty without
-- a budget. Money is in nano-dollars. A key names its team in `api_keys.team`.

CREATE TABLE teams (
    id                   TEXT NOT NULL PRIMARY KEY,
    name                 TEXT NOT NULL UNIQUE,
    remark               TEXT NOT NULL,
    enabled              BIGINT NOT NULL,
    requests_per_minute  BIGINT,
    tokens_per_minute    BIGINT,
    max_concurrency      BIGINT,
    budget_nanos         BIGINT,
    budget_period        TEXT NOT NULL,
    managed_by           TEXT NOT NULL,
    created_at           BIGINT NOT NULL,
    updated_at           BIGINT NOT NULL
);
