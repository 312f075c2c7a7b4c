-- What was asked and answered, only where a key or a setting wants it, and only as much as the size cap lets. A body that is no UTF-8
-- is kept in base64; `encoding` says so. Gone with its request's row.

CREATE TABLE request_bodies (
    log_id             TEXT   NOT NULL PRIMARY KEY,
    request            TEXT   NOT NULL,
    request_encoding   TEXT   NOT NULL,
    request_bytes      BIGINT NOT NULL,
    response           TEXT   NOT NULL,
    response_encoding  TEXT   NOT NULL,
    response_bytes     BIGINT NOT NULL
);

ALTER TABLE api_keys ADD COLUMN log_bodies BIGINT NOT NULL DEFAULT 0;
