-- What becomes of a provider's answer when the key's holder leaves before its end: 'cancel' or 'drain'.
--
-- Here these columns and indexes are made with their tables: MySQL cannot take half of a change back.

DO 0;
