-- Prices that operators have set, over those shipped with the program (orchestrator-core/src/policy/prices.toml). Nano-dollars per
-- million tokens; NULL where a kind of token has no price of its own. `upstream_model` may be a glob. A change is a new row with the
-- next version; of several rows for the same kind and model the highest version is in force, and `deleted` in it means: as shipped.

CREATE TABLE IF NOT EXISTS prices (
    id             VARCHAR(64)  NOT NULL PRIMARY KEY,
    version        BIGINT       NOT NULL UNIQUE,
    kind           VARCHAR(256) NOT NULL,
    upstream_model VARCHAR(256) NOT NULL,
    input          BIGINT,
    cached_read    BIGINT,
    cache_write    BIGINT,
    output         BIGINT,
    deleted        BIGINT       NOT NULL,
    created_at     BIGINT       NOT NULL,
    KEY prices_model (kind, upstream_model, version)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
