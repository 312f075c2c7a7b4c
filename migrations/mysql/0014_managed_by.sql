-- Who owns a row: 'admin', or 'file' for what is declared in a file and read-only in Admin.
--
-- Here these columns and indexes are made with their tables: MySQL cannot take half of a change back.

DO 0;
