// Instances can be found by their accession number, whose keyed hash is kept like a patient's. Rows
// that were there stay without: what they hold of it is in their data sets, if those are still
// here. Adding a column changes no row. Released: never edited.
#include "ledger/sqlite/schema.h"

namespace isthmus {

std::string accession_migration() {
  return R"(
ALTER TABLE instance ADD COLUMN accession_hash TEXT NOT NULL DEFAULT '';
CREATE INDEX instance_by_accession ON instance (accession_hash) WHERE accession_hash <> '';
CREATE TRIGGER instance_accession_is_a_fact BEFORE UPDATE OF accession_hash ON instance
BEGIN SELECT RAISE(ABORT, 'what was received does not change'); END;
)";
}

}  // namespace isthmus
