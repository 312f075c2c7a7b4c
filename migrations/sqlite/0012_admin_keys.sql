-- Operators' keys. `digest` is the SHA-256 of the secret in hexadecimal; the secret itself is kept nowhere. `role` is 'viewer',
-- 'operator' or 'admin'.

CREATE TABLE admin_keys (
    id         TEXT   NOT NULL PRIMARY KEY,
    name       TEXT   NOT NULL UNIQUE,
    role       TEXT   NOT NULL,
    prefix     TEXT   NOT NULL,
    digest     TEXT   NOT NULL UNIQUE,
    enabled    BIGINT NOT NULL,
    expires_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
