-- Sessions of operators that were ended before their time. A row is forgotten once its session would be over anyway.

CREATE TABLE IF NOT EXISTS ended_sessions (
    id         VARCHAR(64) NOT NULL PRIMARY KEY,
    expires_at BIGINT      NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
