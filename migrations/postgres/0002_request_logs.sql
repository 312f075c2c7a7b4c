-- One row a request, as the ledger writes it down (core/src/ledger/record.rs). No foreign keys: the account outlives the
-- providers and keys that it names.

CREATE TABLE request_logs (
    id                 TEXT   NOT NULL PRIMARY KEY,
    request_id         TEXT   NOT NULL,
    session_id         TEXT   NOT NULL,
    api_key_id         TEXT   NOT NULL,
    started_at         BIGINT NOT NULL,
    dialect            TEXT   NOT NULL,
    operation          TEXT   NOT NULL,
    stream             BIGINT NOT NULL,
    model              TEXT   NOT NULL,
    answered_model     TEXT   NOT NULL,
    provider_id        TEXT   NOT NULL,
    provider           TEXT   NOT NULL,
    provider_key       TEXT   NOT NULL,
    upstream_model     TEXT   NOT NULL,
    attempts           BIGINT NOT NULL,
    status             BIGINT NOT NULL,
    outcome            TEXT   NOT NULL,
    error              TEXT   NOT NULL,
    finish_reason      TEXT   NOT NULL,
    latency_us         BIGINT NOT NULL,
    ttft_us            BIGINT,
    overhead_us        BIGINT NOT NULL,
    prompt_tokens      BIGINT NOT NULL,
    completion_tokens  BIGINT NOT NULL,
    cached_read_tokens BIGINT NOT NULL,
    cache_write_tokens BIGINT NOT NULL,
    reasoning_tokens   BIGINT NOT NULL,
    usage_source       TEXT   NOT NULL,
    client_address     TEXT   NOT NULL,
    user_agent         TEXT   NOT NULL,
    end_user           TEXT   NOT NULL,
    tags               TEXT   NOT NULL
);

CREATE INDEX request_logs_started ON request_logs (started_at);

CREATE INDEX request_logs_api_key ON request_logs (api_key_id, started_at);

-- How far each core's journal has been stored: written in the same transaction as the rows, so that none is stored twice.
CREATE TABLE ledger_offsets (
    journal          TEXT   NOT NULL PRIMARY KEY,
    segment          BIGINT NOT NULL,
    segment_position BIGINT NOT NULL
);
