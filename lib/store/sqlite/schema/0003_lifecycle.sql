-- Names, the timeout of commands, how long an ended sandbox's record is kept, and what it was made from.

ALTER TABLE sandboxes ADD COLUMN name          TEXT    NOT NULL DEFAULT '';
ALTER TABLE sandboxes ADD COLUMN timeout_ms    INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sandboxes ADD COLUMN keep_until_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sandboxes ADD COLUMN spec          BLOB    NOT NULL DEFAULT x'';

CREATE UNIQUE INDEX sandboxes_name ON sandboxes (tenant_id, name)
  WHERE state IN ('creating', 'running', 'destroying') AND name <> '';

-- Spawns that may be asked again: which sandbox a key stands for, and a fingerprint of the request that made it.
CREATE TABLE idempotency (
  tenant_id  TEXT    NOT NULL,
  key        TEXT    NOT NULL,
  request    BLOB    NOT NULL,
  sandbox_id TEXT    NOT NULL UNIQUE,
  expires_ms INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_expiry ON idempotency (expires_ms);
