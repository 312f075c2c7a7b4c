-- Who did what through Admin; rows are only ever added. `actor` is the admin key's name, 'bootstrap' for ADMIN_KEY, empty where none was
-- accepted. `state_before` and `state_after` are JSON with secrets masked, empty where there is nothing.

CREATE TABLE IF NOT EXISTS audit_log (
    id           VARCHAR(64)  NOT NULL PRIMARY KEY,
    at           BIGINT       NOT NULL,
    actor        VARCHAR(256) NOT NULL,
    address      VARCHAR(256) NOT NULL,
    request_id   VARCHAR(256) NOT NULL,
    action       VARCHAR(256) NOT NULL,
    noun         VARCHAR(256) NOT NULL,
    target       VARCHAR(256) NOT NULL,
    target_name  VARCHAR(256) NOT NULL,
    outcome      VARCHAR(256) NOT NULL,
    state_before MEDIUMTEXT   NOT NULL,
    state_after  MEDIUMTEXT   NOT NULL,
    KEY audit_log_actor (actor, id),
    KEY audit_log_target (target, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
