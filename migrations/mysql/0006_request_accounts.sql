-- What a request's record says more: who asked (by name, which outlives the key), why it failed, and what it cost. `outcome` is 'ok',
-- 'truncated' or the error kind; `error_kind` is the kind in the latter two cases. `origin` is 'caller' or 'probe'. A cost is in
-- nano-dollars; NULL where no price was known. `price_version` names the price that it was computed from.
--
-- Ids are UUID v7: they sort by time, so every list is an index's walk backwards by id, and a stretch of time is a stretch of ids.
--
-- Here these columns and indexes are made with their tables: MySQL cannot take half of a change back.

DO 0;
