-- Who did what through Admin; rows are only ever added. `actor` is the admin key's name, 'bootstrap' for ADMIN_KEY, empty where none was
-- accepted. `state_before` and `state_after` are JSON with secrets masked, empty where there is nothing.

CREATE TABLE audit_log (
    id           TEXT   NOT NULL PRIMARY KEY,
    at           BIGINT NOT NULL,
    actor        TEXT   NOT NULL,
    address      TEXT   NOT NULL,
    request_id   TEXT   NOT NULL,
    action       TEXT   NOT NULL,
    noun         TEXT   NOT NULL,
    target       TEXT   NOT NULL,
    target_name  TEXT   NOT NULL,
    outcome      TEXT   NOT NULL,
    state_before TEXT   NOT NULL,
    state_after  TEXT   NOT NULL
);

CREATE INDEX audit_log_actor ON audit_log (actor, id);
CREATE INDEX audit_log_target ON audit_log (target, id);
