-- The catalog: who serves what, and who may ask. Ids are UUID v7 text, times are microseconds since 1970 (UTC), booleans are
-- 0 or 1, lists and maps are JSON text. Column types are those that SQLite, MySQL and PostgreSQL share.

CREATE TABLE IF NOT EXISTS providers (
    id          VARCHAR(64)  NOT NULL PRIMARY KEY,
    name        VARCHAR(256) NOT NULL UNIQUE,
    kind        VARCHAR(256) NOT NULL,
    base_url    TEXT         NOT NULL,
    enabled     BIGINT       NOT NULL,
    priority    BIGINT       NOT NULL,
    weight      BIGINT       NOT NULL,
    max_retries BIGINT       NOT NULL,
    timeout     BIGINT,
    timeouts    MEDIUMTEXT   NOT NULL,
    headers     MEDIUMTEXT   NOT NULL,
    options     MEDIUMTEXT   NOT NULL,
    managed_by  VARCHAR(256) NOT NULL,
    created_at  BIGINT       NOT NULL,
    updated_at  BIGINT       NOT NULL,
    rate_limit  BIGINT
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- `sealed` is the encrypted secret with its envelope (see core/src/admin/secrets.rs).
CREATE TABLE IF NOT EXISTS provider_keys (
    id          VARCHAR(64)  NOT NULL PRIMARY KEY,
    provider_id VARCHAR(64)  NOT NULL,
    label       VARCHAR(256) NOT NULL,
    masked      VARCHAR(256) NOT NULL,
    sealed      TEXT         NOT NULL,
    weight      BIGINT       NOT NULL,
    enabled     BIGINT       NOT NULL,
    created_at  BIGINT       NOT NULL,
    updated_at  BIGINT       NOT NULL,
    KEY provider_keys_provider (provider_id),
    FOREIGN KEY (provider_id) REFERENCES providers (id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS models (
    id         VARCHAR(64)  NOT NULL PRIMARY KEY,
    name       VARCHAR(256) NOT NULL UNIQUE,
    remark     TEXT         NOT NULL,
    strategy   VARCHAR(256) NOT NULL,
    fallbacks  MEDIUMTEXT   NOT NULL,
    max_retry  BIGINT       NOT NULL,
    timeout    BIGINT,
    timeouts   MEDIUMTEXT   NOT NULL,
    enabled    BIGINT       NOT NULL,
    created_at BIGINT       NOT NULL,
    updated_at BIGINT       NOT NULL,
    managed_by VARCHAR(256) NOT NULL DEFAULT 'admin'
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS model_providers (
    id                VARCHAR(64)  NOT NULL PRIMARY KEY,
    model_id          VARCHAR(64)  NOT NULL,
    provider_id       VARCHAR(64)  NOT NULL,
    provider_model    VARCHAR(256) NOT NULL,
    priority          BIGINT,
    weight            BIGINT       NOT NULL,
    timeouts          MEDIUMTEXT   NOT NULL,
    tool_call         BIGINT       NOT NULL,
    structured_output BIGINT       NOT NULL,
    image             BIGINT       NOT NULL,
    enabled           BIGINT       NOT NULL,
    created_at        BIGINT       NOT NULL,
    updated_at        BIGINT       NOT NULL,
    managed_by        VARCHAR(256) NOT NULL DEFAULT 'admin',
    UNIQUE (model_id, provider_id, provider_model),
    KEY model_providers_provider (provider_id),
    FOREIGN KEY (model_id) REFERENCES models (id) ON DELETE CASCADE,
    FOREIGN KEY (provider_id) REFERENCES providers (id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- `digest` is the SHA-256 of the caller's secret in hexadecimal; the secret itself is kept nowhere.
CREATE TABLE IF NOT EXISTS api_keys (
    id            VARCHAR(64)  NOT NULL PRIMARY KEY,
    name          VARCHAR(256) NOT NULL UNIQUE,
    owner         VARCHAR(256) NOT NULL,
    team          VARCHAR(256) NOT NULL,
    tags          MEDIUMTEXT   NOT NULL,
    prefix        VARCHAR(256) NOT NULL,
    digest        VARCHAR(64)  NOT NULL UNIQUE,
    models        MEDIUMTEXT   NOT NULL,
    operations    MEDIUMTEXT   NOT NULL,
    enabled       BIGINT       NOT NULL,
    expires_at    BIGINT,
    created_at    BIGINT       NOT NULL,
    updated_at    BIGINT       NOT NULL,
    on_disconnect VARCHAR(256) NOT NULL DEFAULT 'cancel',
    log_bodies    BIGINT       NOT NULL DEFAULT 0,
    managed_by    VARCHAR(256) NOT NULL DEFAULT 'admin'
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS settings (
    name  VARCHAR(256) NOT NULL PRIMARY KEY,
    value TEXT         NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- One row: counts every change of the catalog, so that each core sees that it must load it again.
CREATE TABLE IF NOT EXISTS catalog_revision (
    id       BIGINT NOT NULL PRIMARY KEY,
    revision BIGINT NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

INSERT IGNORE INTO catalog_revision (id, revision) VALUES (1, 0);
