-- Operators' keys. `digest` is the SHA-256 of the secret in hexadecimal; the secret itself is kept nowhere. `role` is 'viewer',
-- 'operator' or 'admin'.

CREATE TABLE IF NOT EXISTS admin_keys (
    id         VARCHAR(64)  NOT NULL PRIMARY KEY,
    name       VARCHAR(256) NOT NULL UNIQUE,
    role       VARCHAR(256) NOT NULL,
    prefix     VARCHAR(256) NOT NULL,
    digest     VARCHAR(64)  NOT NULL UNIQUE,
    enabled    BIGINT       NOT NULL,
    expires_at BIGINT,
    created_at BIGINT       NOT NULL,
    updated_at BIGINT       NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
