-- What becomes of a provider's answer when the key's holder leaves before its end: 'cancel' or 'drain'.

ALTER TABLE api_keys ADD COLUMN on_disconnect TEXT NOT NULL DEFAULT 'cancel';
