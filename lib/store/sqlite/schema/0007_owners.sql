-- How many an owner has is asked before each spawn where there is a limit.

CREATE INDEX sandboxes_owner ON sandboxes (tenant_id, owner_id)
  WHERE state IN ('creating', 'running', 'destroying') AND owner_id <> '';
