// The tables of those who call: their script.
#pragma once

#include <string>

namespace isthmus {

// The script of the migration that adds `token` and `audit` (tests/unit/ledger/schema_access.sql
// holds it as it was released).
std::string ledger_schema_of_access();

}  // namespace isthmus
