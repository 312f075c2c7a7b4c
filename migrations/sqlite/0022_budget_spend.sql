-- What was charged to each key and team, day by day (UTC; `day` is its first microsecond), in nano-dollars: written with the logs in one
-- transaction, and never less than before. `scope` is 'key:ID' or 'team:ID'. A budget's period is a sum of days.

CREATE TABLE budget_spend (
    scope                TEXT NOT NULL,
    day                  BIGINT NOT NULL,
    charged_nanos        BIGINT NOT NULL,
    requests             BIGINT NOT NULL,
    PRIMARY KEY (scope, day)
);
