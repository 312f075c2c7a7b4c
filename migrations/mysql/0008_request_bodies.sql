-- What was asked and answered, only where a key or a setting wants it, and only as much as the size cap lets. A body that is no UTF-8
-- is kept in base64; `encoding` says so. Gone with its request's row.

CREATE TABLE IF NOT EXISTS request_bodies (
    log_id            VARCHAR(64)  NOT NULL PRIMARY KEY,
    request           LONGTEXT     NOT NULL,
    request_encoding  VARCHAR(256) NOT NULL,
    request_bytes     BIGINT       NOT NULL,
    response          LONGTEXT     NOT NULL,
    response_encoding VARCHAR(256) NOT NULL,
    response_bytes    BIGINT       NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
