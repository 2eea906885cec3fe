-- Sandboxes that never started are kept, and forgotten, like those that have ended.

DROP INDEX sandboxes_destroyed;
CREATE INDEX sandboxes_ended ON sandboxes (destroyed_ms)
  WHERE state IN ('destroyed', 'error');
