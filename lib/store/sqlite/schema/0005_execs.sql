-- Commands that ran, without what they read or wrote. seq is the order of their starts.

CREATE TABLE execs (
  seq         INTEGER PRIMARY KEY,
  id          TEXT    NOT NULL UNIQUE,
  sandbox_id  TEXT    NOT NULL,
  tenant_id   TEXT    NOT NULL,
  command     TEXT    NOT NULL,
  user        TEXT    NOT NULL,
  workdir     TEXT    NOT NULL,
  flags       INTEGER NOT NULL, -- see records.cpp
  started_ms  INTEGER NOT NULL,
  ended_ms    INTEGER NOT NULL, -- 0: it runs
  reason      TEXT    NOT NULL,
  exit_code   INTEGER NOT NULL,
  signal      INTEGER NOT NULL,
  wall_us     INTEGER NOT NULL,
  cpu_us      INTEGER NOT NULL,
  memory_peak INTEGER NOT NULL,
  out_bytes   INTEGER NOT NULL,
  err_bytes   INTEGER NOT NULL,
  error       TEXT    NOT NULL
) STRICT;

CREATE INDEX execs_of_sandbox ON execs (sandbox_id, seq);
CREATE INDEX execs_running ON execs (sandbox_id) WHERE ended_ms = 0;

-- History goes with the record of its sandbox.
CREATE TRIGGER execs_go_with_sandbox AFTER DELETE ON sandboxes BEGIN
  DELETE FROM execs WHERE sandbox_id = OLD.id;
END;
