// Which instances the spool holds, in the order of their bytes: what a segmented spool asks at
// every start, and of one segment when it is compacted. Instances arrive in that order, so that the
// index grows at few places, however many rows there are; what was freed is not in it.
#include "ledger/sqlite/schema.h"

namespace isthmus {

std::string held_instances_migration() {
  return "CREATE INDEX instance_held ON instance (spool_ref) WHERE freed_at IS NULL;\n";
}

}  // namespace isthmus
