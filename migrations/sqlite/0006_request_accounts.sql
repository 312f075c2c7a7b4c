-- What a request's record says more: who asked (by name, which outlives the key), why it failed, and what it cost. `outcome` is 'ok',
-- 'truncated' or the error kind; `error_kind` is the kind in the latter two cases. `origin` is 'caller' or 'probe'. A cost is in
-- nano-dollars; NULL where no price was known. `price_version` names the price that it was computed from.
--
-- Ids are UUID v7: they sort by time, so every list is an index's walk backwards by id, and a stretch of time is a stretch of ids.

ALTER TABLE request_logs ADD COLUMN trace_id TEXT NOT NULL DEFAULT '';
ALTER TABLE request_logs ADD COLUMN api_key_name TEXT NOT NULL DEFAULT '';
ALTER TABLE request_logs ADD COLUMN team TEXT NOT NULL DEFAULT '';
ALTER TABLE request_logs ADD COLUMN origin TEXT NOT NULL DEFAULT 'caller';
ALTER TABLE request_logs ADD COLUMN error_kind TEXT NOT NULL DEFAULT '';
ALTER TABLE request_logs ADD COLUMN cost_nanos BIGINT;
ALTER TABLE request_logs ADD COLUMN price_version TEXT NOT NULL DEFAULT '';

DROP INDEX request_logs_started;
DROP INDEX request_logs_api_key;

CREATE INDEX request_logs_request ON request_logs (request_id);
CREATE INDEX request_logs_session ON request_logs (session_id, id);
CREATE INDEX request_logs_api_key ON request_logs (api_key_id, id);
CREATE INDEX request_logs_model ON request_logs (model, id);
CREATE INDEX request_logs_provider ON request_logs (provider, id);
CREATE INDEX request_logs_status ON request_logs (status, id);
CREATE INDEX request_logs_outcome ON request_logs (outcome, id);
