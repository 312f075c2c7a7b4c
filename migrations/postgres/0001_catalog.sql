-- The catalog: who serves what, and who may ask. Ids are UUID v7 text, times are microseconds since 1970 (UTC), booleans are
-- 0 or 1, lists and maps are JSON text. Column types are those that SQLite, MySQL and PostgreSQL share.

CREATE TABLE providers (
    id          TEXT   NOT NULL PRIMARY KEY,
    name        TEXT   NOT NULL UNIQUE,
    kind        TEXT   NOT NULL,
    base_url    TEXT   NOT NULL,
    enabled     BIGINT NOT NULL,
    priority    BIGINT NOT NULL,
    weight      BIGINT NOT NULL,
    max_retries BIGINT NOT NULL,
    timeout     BIGINT,
    timeouts    TEXT   NOT NULL,
    headers     TEXT   NOT NULL,
    options     TEXT   NOT NULL,
    managed_by  TEXT   NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL
);

-- `sealed` is the encrypted secret with its envelope (see core/src/admin/secrets.rs).
CREATE TABLE provider_keys (
    id          TEXT   NOT NULL PRIMARY KEY,
    provider_id TEXT   NOT NULL REFERENCES providers (id) ON DELETE CASCADE,
    label       TEXT   NOT NULL,
    masked      TEXT   NOT NULL,
    sealed      TEXT   NOT NULL,
    weight      BIGINT NOT NULL,
    enabled     BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL
);

CREATE INDEX provider_keys_provider ON provider_keys (provider_id);

CREATE TABLE models (
    id         TEXT   NOT NULL PRIMARY KEY,
    name       TEXT   NOT NULL UNIQUE,
    remark     TEXT   NOT NULL,
    strategy   TEXT   NOT NULL,
    fallbacks  TEXT   NOT NULL,
    max_retry  BIGINT NOT NULL,
    timeout    BIGINT,
    timeouts   TEXT   NOT NULL,
    enabled    BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE model_providers (
    id                TEXT   NOT NULL PRIMARY KEY,
    model_id          TEXT   NOT NULL REFERENCES models (id) ON DELETE CASCADE,
    provider_id       TEXT   NOT NULL REFERENCES providers (id) ON DELETE CASCADE,
    provider_model    TEXT   NOT NULL,
    priority          BIGINT,
    weight            BIGINT NOT NULL,
    timeouts          TEXT   NOT NULL,
    tool_call         BIGINT NOT NULL,
    structured_output BIGINT NOT NULL,
    image             BIGINT NOT NULL,
    enabled           BIGINT NOT NULL,
    created_at        BIGINT NOT NULL,
    updated_at        BIGINT NOT NULL,
    UNIQUE (model_id, provider_id, provider_model)
);

CREATE INDEX model_providers_provider ON model_providers (provider_id);

-- `digest` is the SHA-256 of the caller's secret in hexadecimal; the secret itself is kept nowhere.
CREATE TABLE api_keys (
    id         TEXT   NOT NULL PRIMARY KEY,
    name       TEXT   NOT NULL UNIQUE,
    owner      TEXT   NOT NULL,
    team       TEXT   NOT NULL,
    tags       TEXT   NOT NULL,
    prefix     TEXT   NOT NULL,
    digest     TEXT   NOT NULL UNIQUE,
    models     TEXT   NOT NULL,
    operations TEXT   NOT NULL,
    enabled    BIGINT NOT NULL,
    expires_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE settings (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

-- One row: counts every change of the catalog, so that each core sees that it must load it again.
CREATE TABLE catalog_revision (
    id       BIGINT NOT NULL PRIMARY KEY,
    revision BIGINT NOT NULL
);

INSERT INTO catalog_revision (id, revision) VALUES (1, 0);
