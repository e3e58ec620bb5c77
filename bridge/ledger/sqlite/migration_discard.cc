// A delivery can be discarded. Its states stand in a CHECK of a table that may have millions of
// rows, and SQLite changes no CHECK in place; but one that allows more than before is true of every
// row that is there. So the table's text is changed and nothing else (sqlite.org/lang_altertable,
// section 7, the simpler procedure). Released: never edited.
#include "ledger/sqlite/schema.h"

namespace isthmus {

std::string discard_migration() {
  return R"(
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
)";
}

Result<void> deliveries_can_be_discarded(sql::Database& database) {
  TRY_ASSIGN(const auto found,
             database.query_integer("SELECT count(*) FROM sqlite_schema WHERE type = 'table' "
                                    "AND name = 'delivery' AND instr(sql, '''discarded''') > 0"));
  if (found == 1) return {};
  return fatal_error("ledger.io", "The ledger's table of deliveries is not as it was made.");
}

}  // namespace isthmus
