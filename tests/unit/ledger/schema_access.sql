-- Made by ledger_schema_of_access() (bridge/ledger/sqlite/access_schema.cc).

CREATE TABLE token (
  id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 16),
  name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 64),
  digest TEXT NOT NULL CHECK (length(digest) = 64),
  scopes TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  revoked_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX token_in_force ON token (name) WHERE revoked_at IS NULL;
CREATE TRIGGER token_is_a_fact
BEFORE UPDATE OF id, name, digest, scopes, created_at, expires_at ON token
BEGIN SELECT RAISE(ABORT, 'a token does not change'); END;
CREATE TRIGGER token_stays_revoked BEFORE UPDATE ON token WHEN OLD.revoked_at IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'a revoked token stays revoked'); END;
CREATE TRIGGER token_stays BEFORE DELETE ON token
BEGIN SELECT RAISE(ABORT, 'a token is never deleted'); END;

CREATE TABLE audit (
  seq INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  call_id TEXT NOT NULL CHECK (length(call_id) = 32),
  caller TEXT NOT NULL,
  authentication TEXT NOT NULL,
  address TEXT NOT NULL,
  action TEXT NOT NULL,
  subject TEXT NOT NULL,
  status INTEGER NOT NULL  -- of the answer; 0 before it
) STRICT;
CREATE TRIGGER audit_is_a_fact BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log does not change'); END;
CREATE TRIGGER audit_stays BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is never deleted'); END;
