-- The first schema. Applied in one transaction; user_version and application_id are set by the code that applies it.

CREATE TABLE instance (
  one         INTEGER PRIMARY KEY CHECK (one = 1),
  instance_id TEXT NOT NULL
) STRICT;

-- One row per sandbox ever made, until retention takes it. seq is the order of insertion: times can repeat or go back.
CREATE TABLE sandboxes (
  seq          INTEGER PRIMARY KEY,
  id           TEXT    NOT NULL UNIQUE,
  state        TEXT    NOT NULL CHECK (state IN ('creating', 'running', 'destroying', 'destroyed', 'error')),
  provider     TEXT    NOT NULL,
  image        TEXT    NOT NULL,
  memory_bytes INTEGER NOT NULL,
  disk_bytes   INTEGER NOT NULL,
  milli_cpus   INTEGER NOT NULL,
  pids         INTEGER NOT NULL,
  profile      TEXT    NOT NULL,
  user         TEXT    NOT NULL,
  network      TEXT    NOT NULL,
  owner_id     TEXT    NOT NULL,
  tenant_id    TEXT    NOT NULL,
  metadata     BLOB    NOT NULL, -- lists and maps: see records.cpp
  id_base      INTEGER NOT NULL CHECK (id_base BETWEEN 0 AND 4294967295),
  created_ms   INTEGER NOT NULL,
  expires_ms   INTEGER NOT NULL,
  destroyed_ms INTEGER NOT NULL,
  enforced     BLOB    NOT NULL,
  unenforced   BLOB    NOT NULL,
  reason       TEXT    NOT NULL
) STRICT;

-- Everything that is asked often is asked about live rows, and destroyed ones pile up: hence partial indices.
CREATE INDEX sandboxes_live ON sandboxes (seq)
  WHERE state IN ('creating', 'running', 'destroying');
-- Two live sandboxes never share host ids, whatever the code that chose them believed.
CREATE UNIQUE INDEX sandboxes_id_range ON sandboxes (id_base)
  WHERE state IN ('creating', 'running', 'destroying') AND id_base <> 0;
CREATE INDEX sandboxes_destroyed ON sandboxes (destroyed_ms)
  WHERE state = 'destroyed';

CREATE TABLE audit (
  seq        INTEGER PRIMARY KEY,
  wall_ms    INTEGER NOT NULL,
  actor      TEXT    NOT NULL,
  tenant     TEXT    NOT NULL,
  source     TEXT    NOT NULL,
  request_id TEXT    NOT NULL,
  action     TEXT    NOT NULL,
  object     TEXT    NOT NULL,
  phase      TEXT    NOT NULL,
  intent_seq INTEGER NOT NULL,
  outcome    TEXT    NOT NULL,
  detail     TEXT    NOT NULL
) STRICT;

-- Against accidents, not against an owner of the file.
CREATE TRIGGER audit_keeps_rows BEFORE DELETE ON audit BEGIN
  SELECT RAISE(ABORT, 'audit is append-only');
END;
CREATE TRIGGER audit_keeps_content BEFORE UPDATE ON audit BEGIN
  SELECT RAISE(ABORT, 'audit is append-only');
END;
