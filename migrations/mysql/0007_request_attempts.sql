-- One row each time that a provider was asked, numbered from 1 within its request. `status` is the provider's HTTP status, 0 where
-- none came. `outcome` as in request_logs.

CREATE TABLE IF NOT EXISTS request_attempts (
    log_id         VARCHAR(64)  NOT NULL,
    number         BIGINT       NOT NULL,
    started_at     BIGINT       NOT NULL,
    provider_id    VARCHAR(64)  NOT NULL,
    provider       VARCHAR(256) NOT NULL,
    provider_key   VARCHAR(256) NOT NULL,
    upstream_model VARCHAR(256) NOT NULL,
    status         BIGINT       NOT NULL,
    outcome        VARCHAR(256) NOT NULL,
    error          TEXT         NOT NULL,
    latency_us     BIGINT       NOT NULL,
    ttft_us        BIGINT,
    PRIMARY KEY (log_id, number),
    KEY request_attempts_provider (provider_id, upstream_model, log_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
