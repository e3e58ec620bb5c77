// An instance whose bytes were freed can be received again for another destination: then its row
// names the bytes that came. The data set is the same, byte for byte; what stands before it may be
// another sender's. Released: never edited.
#include "ledger/sqlite/schema.h"

namespace isthmus {

std::string bytes_again_migration() {
  return R"(
DROP TRIGGER instance_is_a_fact;
CREATE TRIGGER instance_is_a_fact
BEFORE UPDATE OF id, sop_class_uid, sop_instance_uid, series_instance_uid, study_instance_uid,
  patient_hash, dataset_digest, received_at, conflicts_with, identity_conflict ON instance
BEGIN SELECT RAISE(ABORT, 'what was received does not change'); END;
CREATE TRIGGER instance_holds_a_fact
BEFORE UPDATE OF transfer_syntax_uid, size_bytes, dataset_offset_bytes, file_digest ON instance
WHEN NEW.spool_ref = OLD.spool_ref
BEGIN SELECT RAISE(ABORT, 'what is held does not change'); END;
)";
}

}  // namespace isthmus
