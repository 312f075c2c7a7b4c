-- What a request was charged to its key's and its team's budget, in nano-dollars: its cost, or what the ceiling for unknown prices makes
-- of its tokens. NULL: nothing was asked of a provider.

ALTER TABLE request_logs
    ADD COLUMN charged_nanos BIGINT;
