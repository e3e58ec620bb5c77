// The migration that brings updates of metadata. Private to the ledger.
#pragma once

#include <string>

namespace isthmus {

// tests/unit/ledger/schema_updates.sql holds it as it was released.
std::string ledger_schema_of_updates();

}  // namespace isthmus
