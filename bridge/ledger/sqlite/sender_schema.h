// The tables of senders: their script.
#pragma once

#include <string>

namespace isthmus {

// The script of the migration that adds `sender` and `refused_sender`
// (tests/unit/ledger/schema_senders.sql holds it as it was released).
std::string ledger_schema_of_senders();

}  // namespace isthmus
