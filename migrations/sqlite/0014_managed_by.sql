-- Who owns a row: 'admin', or 'file' for what is declared in a file and read-only in Admin.

ALTER TABLE models ADD COLUMN managed_by TEXT NOT NULL DEFAULT 'admin';
ALTER TABLE model_providers ADD COLUMN managed_by TEXT NOT NULL DEFAULT 'admin';
ALTER TABLE api_keys ADD COLUMN managed_by TEXT NOT NULL DEFAULT 'admin';
