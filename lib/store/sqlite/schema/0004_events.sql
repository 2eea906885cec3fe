-- What happened, for whoever looks on. Old rows are forgotten, their ids never return.

CREATE TABLE events (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  wall_ms    INTEGER NOT NULL,
  type       TEXT    NOT NULL,
  sandbox_id TEXT    NOT NULL,
  tenant_id  TEXT    NOT NULL,
  data       TEXT    NOT NULL -- a JSON object, or ''
) STRICT;
