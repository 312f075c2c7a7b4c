-- Sessions of operators that were ended before their time. A row is forgotten once its session would be over anyway.

CREATE TABLE ended_sessions (
    id         TEXT   NOT NULL PRIMARY KEY,
    expires_at BIGINT NOT NULL
);
