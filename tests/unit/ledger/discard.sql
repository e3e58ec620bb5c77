-- Made by discard_migration() (bridge/ledger/sqlite/migration_discard.cc).

PRAGMA writable_schema=ON;
UPDATE sqlite_schema SET sql = replace(sql,
  'CHECK (state IN (''waiting'', ''staged'', ''imported'', ''rejected'', ''quarantined''))',
  'CHECK (state IN (''waiting'', ''staged'', ''imported'', ''rejected'', ''quarantined'', '
  || '''discarded''))')
WHERE type = 'table' AND name = 'delivery';
PRAGMA writable_schema=RESET;
DROP TRIGGER delivery_transition;
CREATE TRIGGER delivery_transition BEFORE UPDATE OF state ON delivery
WHEN OLD.state <> NEW.state AND OLD.state || '>' || NEW.state NOT IN (
  'waiting>staged', 'staged>imported', 'staged>rejected', 'staged>waiting', 'waiting>quarantined',
  'staged>quarantined', 'rejected>waiting', 'quarantined>waiting', 'rejected>discarded',
  'quarantined>discarded', 'discarded>quarantined')
BEGIN SELECT RAISE(ABORT, 'no such transition of a delivery'); END;
