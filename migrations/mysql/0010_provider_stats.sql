-- What became of the calls to each provider, by day (its first microsecond, UTC) and the model's name there. One call is one attempt.
-- Tokens and cost count at the attempt that answered.

CREATE TABLE IF NOT EXISTS provider_stats (
    day                BIGINT       NOT NULL,
    provider_id        VARCHAR(64)  NOT NULL,
    upstream_model     VARCHAR(256) NOT NULL,
    provider           VARCHAR(256) NOT NULL,
    attempts           BIGINT       NOT NULL,
    successes          BIGINT       NOT NULL,
    prompt_tokens      BIGINT       NOT NULL,
    completion_tokens  BIGINT       NOT NULL,
    cached_read_tokens BIGINT       NOT NULL,
    cache_write_tokens BIGINT       NOT NULL,
    reasoning_tokens   BIGINT       NOT NULL,
    cost_nanos         BIGINT       NOT NULL,
    latency_us         BIGINT       NOT NULL,
    ttft_us            BIGINT       NOT NULL,
    ttft_count         BIGINT       NOT NULL,
    last_used_at       BIGINT       NOT NULL,
    PRIMARY KEY (day, provider_id, upstream_model)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
