-- One row a request, as the ledger writes it down (core/src/ledger/record.rs). No foreign keys: the account outlives the
-- providers and keys that it names.

CREATE TABLE IF NOT EXISTS request_logs (
    id                 VARCHAR(64)  NOT NULL PRIMARY KEY,
    request_id         VARCHAR(256) NOT NULL,
    session_id         VARCHAR(256) NOT NULL,
    api_key_id         VARCHAR(64)  NOT NULL,
    started_at         BIGINT       NOT NULL,
    dialect            VARCHAR(256) NOT NULL,
    operation          VARCHAR(256) NOT NULL,
    stream             BIGINT       NOT NULL,
    model              VARCHAR(256) NOT NULL,
    answered_model     TEXT         NOT NULL,
    provider_id        VARCHAR(64)  NOT NULL,
    provider           VARCHAR(256) NOT NULL,
    provider_key       VARCHAR(256) NOT NULL,
    upstream_model     VARCHAR(256) NOT NULL,
    attempts           BIGINT       NOT NULL,
    status             BIGINT       NOT NULL,
    outcome            VARCHAR(256) NOT NULL,
    error              TEXT         NOT NULL,
    finish_reason      VARCHAR(256) NOT NULL,
    latency_us         BIGINT       NOT NULL,
    ttft_us            BIGINT,
    overhead_us        BIGINT       NOT NULL,
    prompt_tokens      BIGINT       NOT NULL,
    completion_tokens  BIGINT       NOT NULL,
    cached_read_tokens BIGINT       NOT NULL,
    cache_write_tokens BIGINT       NOT NULL,
    reasoning_tokens   BIGINT       NOT NULL,
    usage_source       VARCHAR(256) NOT NULL,
    client_address     TEXT         NOT NULL,
    user_agent         TEXT         NOT NULL,
    end_user           TEXT         NOT NULL,
    tags               MEDIUMTEXT   NOT NULL,
    trace_id           VARCHAR(256) NOT NULL DEFAULT '',
    api_key_name       VARCHAR(256) NOT NULL DEFAULT '',
    team               VARCHAR(256) NOT NULL DEFAULT '',
    origin             VARCHAR(256) NOT NULL DEFAULT 'caller',
    error_kind         VARCHAR(256) NOT NULL DEFAULT '',
    cost_nanos         BIGINT,
    price_version      VARCHAR(256) NOT NULL DEFAULT '',
    KEY request_logs_api_key (api_key_id, id),
    KEY request_logs_request (request_id),
    KEY request_logs_session (session_id, id),
    KEY request_logs_model (model, id),
    KEY request_logs_provider (provider, id),
    KEY request_logs_status (status, id),
    KEY request_logs_outcome (outcome, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- How far each core's journal has been stored: written in the same transaction as the rows, so that none is stored twice.
CREATE TABLE IF NOT EXISTS ledger_offsets (
    journal          VARCHAR(256) NOT NULL PRIMARY KEY,
    segment          BIGINT       NOT NULL,
    segment_position BIGINT       NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
