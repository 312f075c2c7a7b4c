-- Teams: what their keys may use together. Limits are NULL where there is none; `budget_period` is 'day', 'month', 'total', or empty without
-- a budget. Money is in nano-dollars. A key names its team in `api_keys.team`.

CREATE TABLE IF NOT EXISTS teams (
    id                   VARCHAR(64) NOT NULL PRIMARY KEY,
    name                 VARCHAR(256) NOT NULL UNIQUE,
    remark               TEXT NOT NULL,
    enabled              BIGINT NOT NULL,
    requests_per_minute  BIGINT,
    tokens_per_minute    BIGINT,
    max_concurrency      BIGINT,
    budget_nanos         BIGINT,
    budget_period        VARCHAR(64) NOT NULL,
    managed_by           VARCHAR(64) NOT NULL,
    created_at           BIGINT NOT NULL,
    updated_at           BIGINT NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
