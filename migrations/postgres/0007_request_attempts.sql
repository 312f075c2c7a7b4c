-- One row each time that a provider was asked, numbered from 1 within its request. `status` is the provider's HTTP status, 0 where
-- none came. `outcome` as in request_logs.

CREATE TABLE request_attempts (
    log_id         TEXT   NOT NULL,
    number         BIGINT NOT NULL,
    started_at     BIGINT NOT NULL,
    provider_id    TEXT   NOT NULL,
    provider       TEXT   NOT NULL,
    provider_key   TEXT   NOT NULL,
    upstream_model TEXT   NOT NULL,
    status         BIGINT NOT NULL,
    outcome        TEXT   NOT NULL,
    error          TEXT   NOT NULL,
    latency_us     BIGINT NOT NULL,
    ttft_us        BIGINT,
    PRIMARY KEY (log_id, number)
);

CREATE INDEX request_attempts_provider ON request_attempts (provider_id, upstream_model, log_id);
