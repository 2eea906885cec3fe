-- Room for recording how sandboxes end, held for a disk that is full: rows 1 to n of nothing, the last of which are deleted when it is needed.

CREATE TABLE held_room (
  id   INTEGER PRIMARY KEY,
  room BLOB NOT NULL
) STRICT;
