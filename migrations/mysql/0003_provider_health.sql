-- How health is checked, by whom, and what was found.

-- One row. The settings change at run time. Of all cores the lease's holder alone asks providers; `health_revision` counts what is
-- written to provider_health, so that each core sees that it must read it again.
CREATE TABLE IF NOT EXISTS health_check_configs (
    id                BIGINT       NOT NULL PRIMARY KEY,
    enabled           BIGINT       NOT NULL,
    interval_minutes  BIGINT       NOT NULL,
    max_error_count   BIGINT       NOT NULL,
    retry_after_hours BIGINT       NOT NULL,
    updated_at        BIGINT       NOT NULL,
    lease_holder      VARCHAR(256) NOT NULL,
    lease_until       BIGINT       NOT NULL,
    health_revision   BIGINT       NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- What each core knows of each provider (core/src/health.rs). `hours` is what this core has counted, hour by hour, as JSON: the sum
-- over all cores is the statistics. The other columns are the latest outcomes; of several rows the one checked last is right. A core's
-- rows outlive it for a day.
CREATE TABLE IF NOT EXISTS provider_health (
    provider_id           VARCHAR(64)  NOT NULL,
    core_id               VARCHAR(256) NOT NULL,
    status                VARCHAR(256) NOT NULL,
    consecutive_successes BIGINT       NOT NULL,
    error_count           BIGINT       NOT NULL,
    refused               BIGINT       NOT NULL,
    response_time_ms      BIGINT,
    last_status_code      BIGINT,
    last_checked          BIGINT,
    last_success          BIGINT,
    last_error            BIGINT,
    error_message         TEXT,
    hours                 MEDIUMTEXT   NOT NULL,
    updated_at            BIGINT       NOT NULL,
    PRIMARY KEY (provider_id, core_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
