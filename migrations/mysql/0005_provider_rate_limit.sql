-- Requests a minute that a core asks a provider at most; NULL: as many as come.
--
-- Here these columns and indexes are made with their tables: MySQL cannot take half of a change back.

DO 0;
