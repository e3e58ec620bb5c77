// Which batches go first is a fact of the batch: it holds through a restart, and whatever the
// configuration says then. Released: never edited.
#include "ledger/sqlite/schema.h"

namespace isthmus {

std::string lanes_migration() {
  return "ALTER TABLE batch ADD COLUMN lane TEXT NOT NULL DEFAULT 'routine' "
         "CHECK (lane IN ('routine', 'stat'));\n";
}

}  // namespace isthmus
